"""What the panels stand on, prepared once: a catalogue, its vectors, models, groups of users, and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from ..catalogue import movielens, splits
from ..catalogue.dataset import Dataset
from ..catalogue.features import as_text, item_texts
from ..ground import ColdstartError
from ..language import context
from ..language.encoders import TextEncoder
from ..measure import ranking
from ..models import evidence, longtail, teachers
from ..models.content import unit_rows
from .belief import TOP_K, USER, Belief, _als, _belief
from .bench import _bench

Array = np.ndarray

FOLDS = 5
SHOTS = (0, 1, 2, 3, 5, 10, 20)
AGES = {17: "–17", 24: "18–24", 34: "25–34", 44: "35–44", 54: "45–54", 999: "55–"}


@dataclass(frozen=True)
class World:
    """What the panels stand on, made by `prepare`: a catalogue, its vectors, models, groups of users, and tests.

    `models[f]` was learnt without the items of `fold` f, the last one with all of them. `notes` says what this
    catalogue cannot show, `absent` which controls it has no use for.
    """

    dataset: Dataset
    encoder: TextEncoder
    row: dict[str, int]
    names: list[str]
    body: str | None
    vocabulary: dict[str, list[str]]
    centre: Array
    vectors: Array
    fold: Array
    models: list[Belief]
    points: Array
    users: Belief
    groups: pd.DataFrame
    members: pd.DataFrame
    recall: pd.DataFrame
    tail: Array
    bench: SimpleNamespace | None
    absent: set[str]
    notes: str
    read: dict[str, Array] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> Array:
        """Return one vector a text [n, d], zeros for an empty one; what was read before is not read again."""
        if len(self.read) > 2000:
            self.read.clear()
        fresh = [text for text in dict.fromkeys(texts) if text.strip() and text not in self.read]
        self.read.update(zip(fresh, self.encoder.encode(fresh)) if fresh else {})
        return np.stack([self.read.get(text, np.zeros_like(self.centre)) for text in texts])


def prepare(dataset: Dataset, encoder: TextEncoder) -> World:
    """Return the `World` of a catalogue: six models, groups, a k-shot test, policies. Takes seconds, with a bar.

    MovieLens-100K comes with its *generated* descriptions. Raises ColdstartError for items without text, or too few
    users or items to hold a fifth back.
    """
    if dataset.name == "ml-100k" and "synopsis" not in dataset.items:
        dataset = movielens.attach_expansion(dataset)
    X, items, bar = dataset.matrix(), dataset.items, tqdm(total=FOLDS + 5, desc="what-if panels", delay=2, leave=False)
    texts = [encoder.encode(part) for part in _texts(dataset)]
    bar.update()
    live = copy(encoder)
    # What visitors type is not kept on disk, and that it is cut the panel says itself.
    live.cache, live._tell = False, lambda cut: None
    live.encode(["The first text loads the model."])
    bar.update()
    names = [name[:70].rstrip(".") or "?" for name in item_texts(dataset, ["title", "year"])]
    twice = pd.Series(names).duplicated(keep=False)
    row = {f"{name} · {n + 1}" if double else name: n for n, (name, double) in enumerate(zip(names, twice))}
    other = [c for c in items if items[c].dtype != float and c not in ("item_id", "title", "year", "genres")]
    body = "synopsis" if "synopsis" in other else other[0] if other else None
    known = {c: sorted({token for value in items[c] for token in as_text(value).split()})
             for c in ("genres", "year") if c in items}  # fmt: skip
    features, centre = _features(known, items, texts), texts[0].mean(axis=0)
    vectors = unit_rows(texts[0] - centre)
    warm, fold = np.flatnonzero(np.diff(X.tocsc().indptr)), np.random.default_rng(0).permutation(len(items)) % FOLDS
    models, points = [], np.zeros((len(items), 2))
    for left_out in (FOLDS, *range(FOLDS)):
        kept = warm[fold[warm] != left_out]
        U, V = _als(X, kept)
        if left_out == FOLDS:
            whole = U, V
            points[warm] = teachers.principal_scores(U, V[warm], 2)[1]
            points *= np.where(points.sum(axis=0) < 0, -1, 1)
        models.append(_belief(V, kept, features, U, points))
        bar.update()
    U, V = whole
    groups = _groups(dataset, known, U, X, list(row))
    attributes = [c for c in ("age", "occupation") if c in groups]
    people = replace(dataset, users=dataset.users[["user_id", *attributes]])
    profile = encoder.encode(context.user_texts(people)) if attributes else np.zeros((len(U), 0))
    recall = pd.concat([_k_shot(X, profile, seed) for seed in range(2)], ignore_index=True).join(groups, on="user")
    bar.update()
    absent, tail = {"title", "year", "genres", "age", "occupation"} - {*items, *attributes}, np.zeros(len(items), bool)
    try:
        tail[longtail.popularity_bands(np.asarray(X.sum(axis=0)).ravel())["tail"]] = True
        bench = _bench(X, features, vectors, tail)
    except ColdstartError as error:
        bench, absent = None, absent | {f"policy ({error})"}
    bar.update()
    bar.close()
    notes = f"{dataset.name} has no {', '.join(sorted(absent))}: those controls are left out." if absent else ""
    members = pd.concat({kind: pd.get_dummies(groups[kind], dtype=float) for kind in groups}, axis=1)
    users = _belief(unit_rows(U) / 2, np.flatnonzero(U.any(axis=1)), profile, V, points)
    return World(
        dataset, live, row, list(row), body, known, centre, vectors, fold,
        [*models[1:], models[0]], points, users, groups, members, recall, tail, bench, absent, notes,
    )  # fmt: skip


def _texts(dataset: Dataset) -> list[list[str]]:
    columns = list(dataset.items)
    if not set(movielens.GENERATED) <= set(columns):
        return [item_texts(dataset)]
    said = item_texts(dataset, [c for c in columns if c not in movielens.GENERATED])
    return [said, dataset.items["synopsis"].tolist()]


def _features(vocabulary: Mapping[str, list[str]], items: pd.DataFrame, texts: Sequence[Array]) -> Array:
    """Return one row an item: each of the `texts` [n, d], then genres and year, every block at unit length."""
    return np.hstack([unit_rows(block) for block in (*texts, *(_one_hot(items[c], vocabulary[c]) for c in vocabulary))])


def _one_hot(column: pd.Series, known: list[str]) -> Array:
    has = [set(as_text(value).split()) for value in column]
    return np.array([[token in own for token in known] for own in has], float).reshape(len(has), -1)


def _age(age: float) -> str | None:
    return next((name for top, name in AGES.items() if 0 < age <= top), None)


def _groups(
    dataset: Dataset, known: Mapping[str, list[str]], U: Array, X: sparse.csr_matrix, names: list[str]
) -> pd.DataFrame:
    """Return age, occupation (the eight largest) and a cluster of taste, named by what it chooses more than others."""
    from sklearn.cluster import KMeans

    groups, users = pd.DataFrame(index=range(len(U))), dataset.users
    if "age" in users and (age := pd.to_numeric(users["age"], errors="coerce")).notna().any():
        groups["age"] = pd.Categorical(age.map(_age), list(AGES.values()))
    if "occupation" in users:
        large = users["occupation"].value_counts().index[:8]
        groups["occupation"] = pd.Categorical(users["occupation"].where(users["occupation"].isin(large)), large)
    n, tokens = max(1, min(6, len(U) // 5)), known.get("genres")
    cluster = KMeans(n, n_init=3, random_state=0).fit_predict(unit_rows(U))
    chosen = np.stack([np.asarray(X[cluster == c].sum(axis=0)).ravel() for c in range(n)])
    chosen = 1 + (chosen @ _one_hot(dataset.items["genres"], tokens) if tokens else chosen)
    share = chosen / chosen.sum(axis=1, keepdims=True)
    best = np.argsort(-share * np.log(share / share.mean(axis=0)), axis=1)[:, : 2 if tokens else 1]
    labels = [f"{c + 1} · " + ", ".join((tokens or names)[i][:16] for i in row) for c, row in enumerate(best)]
    groups["taste"] = pd.Categorical.from_codes(cluster, labels)
    return groups


def _k_shot(X: sparse.csr_matrix, profile: Array, seed: int) -> pd.DataFrame:
    """Return Recall@20 of held-out users [user, k, recall] after k of their choices, by the belief of the panel."""
    (U, V), parts = _als(splits.k_shot_users(X, seed, k=0).train, np.arange(X.shape[1])), []
    belief = _belief(unit_rows(U) / 2, np.flatnonzero(U.any(axis=1)), profile, V)
    for k in (k for k in SHOTS if k < 0.9 * X.nnz / X.shape[0]):
        split = splits.k_shot_users(X, seed, k=k)
        x = evidence.posterior(split.support, V, belief.guess(profile), belief.covariance, **USER)
        found = ranking.evaluate({"": ranking.from_factors(x, V)}, split, k=TOP_K)
        parts.append(found[["user", "recall"]].assign(k=k))
    return pd.concat(parts)
