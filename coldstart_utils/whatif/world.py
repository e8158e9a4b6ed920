"""What the panels stand on, prepared once: a catalogue, its vectors, models, groups of users, and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from ..catalogue import movielens, questions
from ..catalogue.dataset import Dataset
from ..ground import ColdstartError
from ..language import context, fields
from ..language.encoders import TextEncoder
from ..models import longtail
from ..models.content import unit_rows
from . import bench, groups
from .atlas import Atlas, Pole, mapped
from .belief import Belief, believed, factors
from .desk import Desk, desk_of
from .reading import Reader, Shelf, one_hot, shelf

Array = np.ndarray
Tell = Callable[[str], None]

FOLDS = 5
STEPS = ("texts", "map", "folds", "groups", "recall", "policies", "model", "search")
CONTROLS = {"title", "year", "genres", "age", "occupation"}


@dataclass(frozen=True, eq=False)
class World:
    """What the panels stand on, made by `prepare`.

    `dataset` is the catalogue and `reader` reads what is typed. `names` are the films and `row` their rows; `body` is
    the column that a description stands in for, `vocabulary` the tokens of genres and year, `centre` the mean text
    vector, `vectors` [items, 384] what each text says beside it. `models[f]` is what is believed of an item without
    the items of `fold` f [items] having taught it, the last one with all of them; `users` what is believed of a user.

    `points` [items, 2] is the map, `x_poles` and `y_poles` say what lies at its ends. `choices` [users, items] are
    all choices, `counts` [items] and `active` [users] their sums. `groups` has the age, occupation and taste of each
    user, `members` the same as ones and zeros; `recall` is that of held-out users by k. `tail` [items] marks rarely
    chosen items. `bench` is what policies are tried on, None without a tail.
    `desk` is where questions are asked, None where no text has a word.
    `absent` names the controls that this catalogue has no use for, `notes` says so.
    """

    dataset: Dataset
    reader: Reader
    row: dict[str, int]
    names: list[str]
    body: str | None
    vocabulary: dict[str, list[str]]
    centre: Array
    vectors: Array
    fold: Array
    models: list[Belief]
    users: Belief
    points: Array
    x_poles: tuple[Pole, Pole]
    y_poles: tuple[Pole, Pole]
    choices: sparse.csc_matrix
    counts: Array
    active: Array
    groups: pd.DataFrame
    members: pd.DataFrame
    recall: pd.DataFrame
    tail: Array
    bench: bench.Bench | None
    desk: Desk | None
    absent: frozenset[str]
    notes: str

    @property
    def grid(self) -> pd.DataFrame:
        """How eighty policies fare, computed when it is first asked for; empty without a bench."""
        return bench.grid(self.bench) if self.bench else pd.DataFrame()

    @property
    def front(self) -> pd.DataFrame:
        """How those fare that only reserve places for the tail, as `grid`."""
        return bench.front(self.bench) if self.bench else pd.DataFrame()

    def finish(self) -> None:
        """Compute what otherwise is when it is first asked for."""
        if self.bench:
            bench.grid(self.bench)
            bench.front(self.bench)


@dataclass(frozen=True)
class _Policies:
    """The marks of the tail [items], and what policies are tried on, None without a tail."""

    tail: Array
    bench: bench.Bench | None = None


def prepare(dataset: Dataset, encoder: TextEncoder, *, tell: Tell | None = None) -> World:
    """Return the `World` of a catalogue: six models, groups, a k-shot test, policies. Takes seconds, with a bar.

    `tell` is called with the name of each of the STEPS as it begins. MovieLens-100K comes with its *generated*
    descriptions. Raises ColdstartError for items without text, or too few users or items to hold a fifth back.
    """
    if dataset.name == "ml-100k" and "synopsis" not in dataset.items:
        dataset = movielens.attach_expansion(dataset)
    with _steps(tell) as begin, ThreadPoolExecutor(1) as beside:
        begin("texts")
        read = shelf(dataset, encoder)
        begin("map")
        X = dataset.matrix()
        atlas = _atlas(dataset, X, read)
        begin("folds")
        fold = np.random.default_rng(0).permutation(X.shape[1]) % FOLDS
        models = _models(X, read.features, atlas, fold)
        begin("groups")
        kinds = groups.grouped(dataset, atlas.U, read.vocabulary.get("genres"), read.names)
        profile = _profiles(dataset, kinds, encoder)
        # The language model that reads what visitors type is loaded beside what needs no encoder: the encoder imports
        # `transformers` where a text is new, and two threads must not do so at once.
        loading = beside.submit(Reader, encoder)
        begin("recall")
        recall = pd.concat([groups.recall_by_shots(X, profile, seed) for seed in range(2)], ignore_index=True)
        begin("policies")
        policies, no_policies = _policies(X, read)
        begin("model")
        reader = loading.result()
        begin("search")
        desk, no_questions = _desk(dataset, read, atlas, encoder, reader)
    absent = _absent(dataset, kinds, {"policy": no_policies, "question": no_questions})
    recall = recall.join(kinds, on="user")
    return _world(dataset, reader, read, atlas, fold, models, kinds, profile, recall, policies, desk, absent)


@contextmanager
def _steps(tell: Tell | None) -> Iterator[Tell]:
    """Yield what is called as a step begins, which moves a bar and passes the step on."""
    with tqdm(total=len(STEPS), desc="what-if panels", delay=2, leave=False) as bar:

        def begin(step: str) -> None:
            bar.n = STEPS.index(step)
            bar.set_postfix_str(step)
            if tell:
                tell(step)

        yield begin


def _atlas(dataset: Dataset, X: sparse.csr_matrix, read: Shelf) -> Atlas:
    tokens = read.vocabulary.get("genres", [])
    has = one_hot(dataset.items["genres"], tokens) if tokens else np.zeros((X.shape[1], 0))
    return mapped(X, tokens, has)


def _models(X: sparse.csr_matrix, features: Array, atlas: Atlas, fold: Array) -> list[Belief]:
    """Learn what is believed of an item, without each fold in turn, and from all of them."""
    warm, alike = np.flatnonzero(atlas.V.any(axis=1)), features @ features.T
    beliefs = []
    for left_out in range(FOLDS):
        kept = warm[fold[warm] != left_out]
        U, V = factors(X, kept)
        beliefs.append(believed(V, kept, features, U, atlas.points, alike=alike))
    return [*beliefs, believed(atlas.V, warm, features, atlas.U, atlas.points, alike=alike)]


def _profiles(dataset: Dataset, kinds: pd.DataFrame, encoder: TextEncoder) -> Array:
    """Return vectors of what is said about the age and occupation of users [users, 384], or [users, 0]."""
    attributes = [name for name in ("age", "occupation") if name in kinds]
    if not attributes:
        return np.zeros((len(kinds), 0))
    people = replace(dataset, users=dataset.users[["user_id", *attributes]])
    return encoder.encode(context.user_texts(people))


def _policies(X: sparse.csr_matrix, read: Shelf) -> tuple[_Policies, str]:
    """Prepare what policies are tried on, if the catalogue has a head, a middle and a tail; else say why not."""
    tail = np.zeros(X.shape[1], bool)
    try:
        tail[longtail.popularity_bands(np.asarray(X.sum(axis=0)).ravel())["tail"]] = True
        tried = bench.prepare_bench(X, read.features, read.vectors, tail)
    except ColdstartError as error:
        return _Policies(tail), str(error)
    return _Policies(tail, tried), ""


def _desk(dataset: Dataset, read: Shelf, atlas: Atlas, encoder: TextEncoder, reader: Reader) -> tuple[Desk | None, str]:
    """Return where questions are asked, or None and why not. What visitors ask is read by the `reader`."""
    earlier = questions.generated_needs(dataset).texts if dataset.name == "ml-100k" else ()
    try:
        engine = fields.engine(dataset, encoder, earlier)
    except ColdstartError as error:
        return None, str(error)
    return desk_of(dataset, replace(engine, encoder=reader), read.names, atlas.U, atlas.V), ""


def _absent(dataset: Dataset, kinds: pd.DataFrame, faults: Mapping[str, str]) -> frozenset[str]:
    """Return the controls that a catalogue has no use for, and the panels that have a fault."""
    has = {*dataset.items, *(name for name in ("age", "occupation") if name in kinds)}
    return frozenset(CONTROLS - has) | {f"{panel} ({fault})" for panel, fault in faults.items() if fault}


def _world(
    dataset: Dataset,
    reader: Reader,
    read: Shelf,
    atlas: Atlas,
    fold: Array,
    models: list[Belief],
    kinds: pd.DataFrame,
    profile: Array,
    recall: pd.DataFrame,
    policies: _Policies,
    desk: Desk | None,
    absent: frozenset[str],
) -> World:
    choices, rows = dataset.matrix().tocsc(), np.flatnonzero(atlas.U.any(axis=1))
    return World(
        dataset=dataset,
        reader=reader,
        row={name: row for row, name in enumerate(read.names)},
        names=read.names,
        body=read.body,
        vocabulary=read.vocabulary,
        centre=read.centre,
        vectors=read.vectors,
        fold=fold,
        models=models,
        users=believed(unit_rows(atlas.U) / 2, rows, profile, atlas.V, atlas.points),
        points=atlas.points,
        x_poles=atlas.x,
        y_poles=atlas.y,
        choices=choices,
        counts=np.diff(choices.indptr),
        active=np.bincount(choices.indices, minlength=dataset.n_users),
        groups=kinds,
        members=groups.members(kinds),
        recall=recall,
        **vars(policies),
        desk=desk,
        absent=absent,
        notes=f"{dataset.name} has no {', '.join(sorted(absent))}: those controls are left out." if absent else "",
    )
