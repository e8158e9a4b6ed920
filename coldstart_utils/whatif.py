"""Floor 4: what-if panels: pure functions from a state to tidy frames, their pictures, and thin ipywidgets views."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import json
import operator
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib import font_manager, rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image, ImageDraw, ImageFont
from scipy import linalg, sparse
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

from . import context, datasets, evaluation, factorization, longtail, metrics, splits
from .encoders import TextEncoder
from .factorization import unit_rows
from .plotting import BLUE, FAINT, GREEN, GREY, INK, ORANGE, SKY, png, shown_width
from .runtime import ColdstartError

Array = np.ndarray
State = dict[str, Any]
Frames = dict[str, pd.DataFrame]
TOP_K, RANK, REG, FOLDS, LONGEST = 20, 32, 10.0, 5, 600
# Chosen on MovieLens-100K apart from the chapters' seeds: for the order of users of one new item on 60 films drawn by
# seed 400, for the lists of new users on the split of seed 1234.
ITEM, USER = {"noise": 0.3, "silence": 0.1}, {"noise": 0.03, "silence": 0.3}
SHOTS, DIALS = (0, 1, 2, 3, 5, 10, 20), ("text", "popularity", "diversity", "exploration")
AGES = {17: "–17", 24: "18–24", 34: "25–34", 44: "35–44", 54: "45–54", 999: "55–"}
START: dict[str, State] = {
    "item": {"film": "", "title": "", "year": "", "genres": [], "description": "", "k": 0},
    "user": {"liked": [], "disliked": [], "age": 0, "occupation": "", "sentence": ""},
    "policy": dict.fromkeys(DIALS, 0.0) | {"A": {}, "B": {}},
}
MOST = {"k": 50, "age": 120} | dict.fromkeys(DIALS, 1)
WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+(?:['’-]\w+)*"

# --- What is slow, once ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Belief:
    """What is believed of a factor before any answer: N(mean + f·W, covariance), f its features [d], W [d, rank].

    Answers meet `other` [m, rank], the factors of the other side; `axes` [rank, 2] lead from a factor to the map.
    """

    other: Array
    mean: Array
    W: Array
    covariance: Array
    axes: Array

    def guess(self, features: Array) -> Array:
        """Return the means [n, rank] for rows of `features` [n, d], or of none [n, 0]."""
        return self.mean + features @ self.W[: features.shape[1]]


@dataclass(frozen=True)
class World:
    """What the panels stand on, made by `prepare`: a catalogue, its vectors, models, groups of users, and tests.

    `models[f]` was learnt without the items of `fold` f, the last one with all of them. `notes` says what this
    catalogue cannot show, `absent` which controls it has no use for.
    """

    dataset: datasets.Dataset
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


def prepare(dataset: datasets.Dataset, encoder: TextEncoder) -> World:
    """Return the `World` of a catalogue: six models, groups, a k-shot test, policies. Takes seconds, with a bar.

    MovieLens-100K comes with its *generated* descriptions. Raises ColdstartError for items without text, or too few
    users or items to hold a fifth back.
    """
    if dataset.name == "ml-100k" and "synopsis" not in dataset.items:
        dataset = datasets.attach_expansion(dataset)
    X, items, bar = dataset.matrix(), dataset.items, tqdm(total=FOLDS + 5, desc="what-if panels", delay=2, leave=False)
    texts = [encoder.encode(part) for part in _texts(dataset)]
    bar.update()
    live = copy(encoder)
    # What visitors type is not kept on disk, and that it is cut the panel says itself.
    live.cache, live._tell = False, lambda cut: None
    live.encode(["The first text loads the model."])
    bar.update()
    names = [name[:70].rstrip(".") or "?" for name in datasets.item_texts(dataset, ["title", "year"])]
    twice = pd.Series(names).duplicated(keep=False)
    row = {f"{name} · {n + 1}" if double else name: n for n, (name, double) in enumerate(zip(names, twice))}
    other = [c for c in items if items[c].dtype != float and c not in ("item_id", "title", "year", "genres")]
    body = "synopsis" if "synopsis" in other else other[0] if other else None
    known = {c: sorted({token for value in items[c] for token in datasets.as_text(value).split()})
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
            points[warm] = factorization.principal_scores(U, V[warm], 2)[1]
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


def _texts(dataset: datasets.Dataset) -> list[list[str]]:
    columns = list(dataset.items)
    if not set(datasets.GENERATED) <= set(columns):
        return [datasets.item_texts(dataset)]
    said = datasets.item_texts(dataset, [c for c in columns if c not in datasets.GENERATED])
    return [said, dataset.items["synopsis"].tolist()]


def _features(vocabulary: Mapping[str, list[str]], items: pd.DataFrame, texts: Sequence[Array]) -> Array:
    """Return one row an item: each of the `texts` [n, d], then genres and year, every block at unit length."""
    return np.hstack([unit_rows(block) for block in (*texts, *(_one_hot(items[c], vocabulary[c]) for c in vocabulary))])


def _one_hot(column: pd.Series, known: list[str]) -> Array:
    has = [set(datasets.as_text(value).split()) for value in column]
    return np.array([[token in own for token in known] for own in has], float).reshape(len(has), -1)


def _als(X: sparse.csr_matrix, kept: Array) -> tuple[Array, Array]:
    model = factorization.als_implicit(X[:, kept], rank=min(RANK, X.shape[0], len(kept)), reg=REG, sweeps=8)
    V = np.zeros((X.shape[1], model.V.shape[1]))
    V[kept] = model.V
    return model.U.astype(float), V


def _belief(factors: Array, rows: Array, features: Array, other: Array, points: Array | None = None) -> Belief:
    K = features @ features.T if features.shape[1] else None
    _, covariance = factorization.empirical_prior(factors, rows, K, reg=REG)
    mean, W = factors[rows].mean(axis=0), np.zeros((0, factors.shape[1]))
    if features.shape[1]:
        W = factorization.ridge(features[rows], factors[rows] - mean, REG)
    fits = points is not None and len(points) == len(factors)
    axes = np.linalg.lstsq(factors[rows], points[rows], rcond=None)[0] if fits else np.zeros((len(mean), 2))
    return Belief(other, mean, W, covariance, axes)


def _age(age: float) -> str | None:
    return next((name for top, name in AGES.items() if 0 < age <= top), None)


def _groups(
    dataset: datasets.Dataset, known: Mapping[str, list[str]], U: Array, X: sparse.csr_matrix, names: list[str]
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
        x = factorization.posterior(split.support, V, belief.guess(profile), belief.covariance, **USER)
        found = evaluation.evaluate({"": evaluation.from_factors(x, V)}, split, k=TOP_K)
        parts.append(found[["user", "recall"]].assign(k=k))
    return pd.concat(parts)


def _bench(X: sparse.csr_matrix, features: Array, vectors: Array, tail: Array) -> SimpleNamespace:
    """Return what policies are tried on: 300 users of a warm split, scores by ALS and text, chapter 06's front."""
    split, rng = splits.warm(X, 0), np.random.default_rng(0)
    items, users = split.warm_items, np.sort(rng.permutation(split.users)[:300])
    U, V = _als(split.train, items)
    known, wanted = (matrix[users][:, items].toarray() > 0 for matrix in (split.train, split.test))
    plain, text = U[users] @ V[items].T, U[users] @ _belief(V, items, features, U).guess(features)[items].T
    fame = np.log1p(np.asarray(split.train.sum(axis=0)).ravel()[items])[None]
    als, text, fame = (
        (s - s.mean(1, keepdims=True)) / np.maximum(s.std(1, keepdims=True), 1e-12) for s in (plain, text, fame)
    )
    k = min(TOP_K, int((~known).sum(axis=1).min()))
    strays = metrics.top_k(np.where(known, -1.0, rng.random(known.shape)), k), rng.random((len(users), k))
    bench = SimpleNamespace(items=items, als=als, text=text, fame=fame, known=known, wanted=wanted, k=k, strays=strays,
                            alike=vectors[items] @ vectors[items].T, tail=tail[items], seen={})  # fmt: skip
    tried = product((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.33, 0.67, 1.0), (0.0, 0.5), (0.0, 0.2))
    bench.grid = pd.DataFrame([_outcome(bench, dials)[2] for dials in tried])
    dial = [m for m in (0, 1, 2, 3, 4, 6, 8, 11, 14, 17, 20) if m <= min(k, bench.tail.sum())]
    plain = np.where(known, -1e6, plain)
    priced = (metrics.top_k(longtail.reserve(plain, bench.tail, m, k, each=False), k) for m in dial)
    bench.front = pd.DataFrame([_measures(bench, lists)[1] for lists in priced])
    return bench


# --- Pure functions: a state, and what follows from it ---------------------------------------------------------------


def checked(world: World, kind: str, state: Mapping[str, Any]) -> State:
    """Return the state of the panel `kind` with all its keys; what a film leaves unsaid is taken from the catalogue.

    Raises ColdstartError for a key, type, name or number that the panel does not have.
    """
    if not isinstance(state, dict) or not set(state) <= set(START[kind]):
        raise ColdstartError(f"scene, {kind}: expected {', '.join(START[kind])}, got {str(state)[:80]}")
    full = START[kind] | own_fields(world, state.get("film", "")) | state
    jobs = ["", *world.dataset.users.get("occupation", [])]
    known = {"film": ["", *world.row], "liked": world.row, "disliked": world.row, "occupation": jobs,
             "genres": world.vocabulary.get("genres", [])}  # fmt: skip
    for key, value in full.items():
        like, told = START[kind][key], f"scene, {kind}, {key}: expected"
        number = isinstance(like, int | float)
        if isinstance(value, bool) or not isinstance(value, int | float if number else type(like)):
            raise ColdstartError(f"{told} a value like {like!r}, got {str(value)[:80]}")
        if number and (not 0 <= value <= MOST[key] or (isinstance(like, int) and value != int(value))):
            raise ColdstartError(f"{told} a number from 0 to {MOST[key]}, got {value}")
        for one in (value if isinstance(like, list) else [value]) if key in known else []:
            if not isinstance(one, str) or one not in known[key]:
                raise ColdstartError(f"{told} what is in the catalogue; {str(one)[:60]!r} is not")
        if isinstance(like, dict) and value:
            full[key] = {dial: checked(world, kind, value)[dial] for dial in DIALS}
    return full


def own_fields(world: World, film: str) -> State:
    """Return title, year, genres and description that the catalogue has of a film, none for another name."""
    row = world.dataset.items.iloc[world.row[film]] if isinstance(film, str) and film in world.row else {}
    columns = {"title": "title", "year": "year", "genres": "genres", "description": world.body}
    found = {key: datasets.as_text(row[column]) for key, column in columns.items() if column in row}
    return found | ({"genres": found["genres"].split()} if "genres" in found else {})


def _read(world: World, states: Sequence[State]) -> tuple[Array, Array]:
    """Return features [n, d] and text vectors [n, 384] of the items that `states` describe, read in one batch."""
    items, body = world.dataset.items, world.body
    rows = []
    for s in states:
        said = {"title": s["title"][:LONGEST], "year": s["year"], "genres": " ".join(s["genres"])}
        said[body] = s["description"][:LONGEST]
        row = items.iloc[world.row[s["film"]]].to_dict() if s["film"] else dict.fromkeys(items, "")
        rows.append(row | {column: text for column, text in said.items() if column in items})
    frame = pd.DataFrame(rows)
    parts = _texts(replace(world.dataset, items=frame))
    if not body:
        parts[0] = [f"{text} {s['description'][:LONGEST]}".strip() for text, s in zip(parts[0], states)]
    vectors = world.encode([text for part in parts for text in part]).reshape(len(parts), len(states), -1)
    return _features(world.vocabulary, frame, vectors), vectors[0]


def _unit(vector: Array) -> Array:
    return unit_rows(vector[None])[0]


def answered(belief: Belief, guess: Array, V: Array, y: Array, noise: float, silence: float) -> tuple[Array, ...]:
    """Return `factorization.posterior` of one row in parts: the guess after silence [rank], what each answer y [n]
    about V [n, rank] adds to it [n, rank], and the covariance that is left [rank, rank].
    """
    inverse = linalg.inv(belief.covariance)
    precision = inverse + silence * belief.other.T @ belief.other
    guess = linalg.solve(precision, inverse @ guess)
    left = linalg.inv(precision + V.T @ V / noise)
    return guess, ((y - V @ guess) / noise)[:, None] * (V @ left), left


def new_item(world: World, state: Mapping[str, Any]) -> Frames:
    """Return what is predicted for an item nobody has rated, and after `k` real choices of a `film` that plays new.

    Frames: `neighbours` in text space; `audience`, the share of each group in the choices (predicted, true, all);
    `shown`, whom it would be shown to; `path` of the factor on the map, from text to evidence; `summary`, AUC of the
    order of users not revealed (by text, now), and the ellipse of one standard deviation. Raises ColdstartError for a
    state that does not fit.
    """
    state = checked(world, "item", state)
    film = world.row.get(state["film"])
    belief, pairs = world.models[FOLDS if film is None else world.fold[film]], world.dataset.interactions
    features, (vector,) = _read(world, [state])
    chose = np.zeros(len(belief.other), bool)
    chose[pairs["user"][pairs["item"] == (-1 if film is None else film)]] = True
    # Shuffled, but the same each time.
    told = np.random.default_rng(film).permutation(np.flatnonzero(chose))[: state["k"]]
    answers, n = np.zeros((len(told) + 1, len(chose))), len(told)
    answers[:, told] = np.tri(n + 1, n, -1)
    start = np.repeat(belief.guess(features), n + 1, axis=0)
    path = factorization.posterior(sparse.csr_matrix(answers), belief.other, start, belief.covariance, **ITEM)
    # Silence says something about an item only once it has been shown.
    path[0] = start[0]
    covariance = answered(belief, start[0], belief.other[told], np.ones(n), **ITEM)[2] if n else belief.covariance
    spread, turn = np.linalg.eigh(belief.axes.T @ covariance @ belief.axes)
    scores, left = belief.other @ path[-1], np.setdiff1d(np.arange(len(chose)), told)
    order = (path[[0, -1]] @ belief.other[left].T, np.tile(chose[left], (2, 1)))
    auc = metrics.auc(*order) if 0 < chose[left].sum() < len(left) else (np.nan, np.nan)
    near = world.vectors @ _unit(vector - world.centre)
    near[[] if film is None else [film]] = -1
    best = np.argsort(-near, kind="stable")[: 8 * bool(vector.any())]
    every = np.bincount(pairs["user"], minlength=len(chose))
    weights = {"predicted": np.maximum(scores, 0), "true": chose, "all": every}
    shares = {name: w @ world.members.to_numpy() / (w.sum() or np.nan) for name, w in weights.items()}
    top = left[np.argsort(-scores[left], kind="stable")[:10]]
    shown = world.groups.iloc[top].astype(object).fillna("other").assign(score=scores[top])
    ellipse = [*2 * np.sqrt(np.maximum(spread[::-1], 0)), np.degrees(np.arctan2(*turn[::-1, 1]))]
    return {
        "neighbours": pd.DataFrame({"film": [world.names[i] for i in best], "similarity": near[best]}),
        "audience": pd.DataFrame(list(world.members), columns=["kind", "group"]).assign(**shares),
        "shown": shown if film is None else shown.assign(chose=chose[top]),
        "path": pd.DataFrame(path @ belief.axes, columns=["x", "y"]).assign(k=range(n + 1)),
        "summary": pd.DataFrame([[n, chose.sum(), *auc, *ellipse]],
                                columns=["k", "of", "text", "now", "width", "height", "angle"]),
    }  # fmt: skip


def words(world: World, state: Mapping[str, Any]) -> pd.DataFrame:
    """Return each of the first 40 words and the `share` of the prediction that rests on it, largest first.

    With s the scores of all users less their mean, and s′ those of the text without the word, it is 1 − s′·s / s·s:
    what is lost of the contrast between users. All texts are read in one batch.
    """
    state = checked(world, "item", state)
    found = [(key, word) for key in ("title", "description") for word in re.finditer(WORD, state[key][:LONGEST])][:40]
    without = [state | {key: state[key][: word.start()] + state[key][word.end() :]} for key, word in found]
    belief = world.models[world.fold[world.row[state["film"]]] if state["film"] else FOLDS]
    scores = belief.guess(_read(world, [state, *without])[0]) @ belief.other.T
    scores -= scores.mean(axis=1, keepdims=True)
    share = 1 - scores[1:] @ scores[0] / max(scores[0] @ scores[0], 1e-12)
    order = np.argsort(-share, kind="stable")
    return pd.DataFrame({"word": [found[i][1][0] for i in order], "share": share[order]})


def new_user(world: World, state: Mapping[str, Any]) -> Frames:
    """Return the list of a new user who likes and dislikes films, has an age or occupation, or writes a sentence.

    A sentence counts as one choice, of an item that is what it says. Frames: `list` (film, score, and its parts less
    their means over the catalogue: popularity, prior, films, sentence; `reason`, the largest of them; `by`, the film
    that gives most); `recall` after k choices of held-out users like this one; `ask`, the films whose answers would
    teach most; `summary`. Raises ColdstartError for a state that does not fit.
    """
    state = checked(world, "user", state)
    belief, V, warm = world.users, world.users.other, world.users.other.any(axis=1)
    rows, liked = [world.row[name] for name in (*state["liked"], *state["disliked"])], len(state["liked"])
    person = {key: state[key] for key in ("age", "occupation") if key not in world.absent and state[key]}
    told = (
        [context.user_texts(replace(world.dataset, users=pd.DataFrame([{"user_id": ""} | person])))[0]]
        if person
        else [""]
    )
    profile, sentence = world.encode([*told, state["sentence"][:LONGEST]])
    about, y = V[rows], np.arange(len(rows)) < liked
    if sentence.any():
        # What the words say beside the average, at the usual length of a factor.
        content = np.tile(_unit(sentence - world.centre), 1 + (world.body == "synopsis"))
        wish = _unit(content @ world.models[-1].W[: len(content)]) * np.sqrt(V[warm].var(axis=0).sum())
        about, y = np.vstack([about, wish]), np.append(y, True)
    guess = belief.guess(profile[None])[0] if person else belief.mean
    start, gains, covariance = answered(belief, guess, about, y, **USER)
    plain = answered(belief, belief.mean, V[:0], y[:0], **USER)[0]
    by_film = V @ gains[: len(rows)].T
    parts = pd.DataFrame({"popularity": V @ plain, "prior": V @ (start - plain), "films": by_film.sum(axis=1),
                          "sentence": V @ gains[len(rows) :].sum(axis=0)})  # fmt: skip
    score, free = parts.sum(axis=1).to_numpy(), warm & ~np.isin(np.arange(len(V)), rows)
    top = np.argsort(-np.where(free, score, -np.inf), kind="stable")[: min(TOP_K, free.sum())]
    entries = (parts - parts[warm].mean()).iloc[top]
    by = [world.names[rows[j]] for j in by_film[top].argmax(axis=1)] if rows else [""] * len(top)
    entries = entries.assign(reason=entries.idxmax(axis=1), film=[world.names[i] for i in top], score=score[top], by=by)
    kind, like = "age", _age(state["age"])
    if len(y):
        members = world.members["taste"]
        centres = unit_rows(members.to_numpy().T @ unit_rows(world.models[-1].other))
        kind, like = "taste", members.columns[np.argmax(centres @ (start + gains.sum(axis=0)))]
    own = world.recall[world.recall[kind] == like] if kind in world.recall else world.recall[:0]
    curve = (own if len(own) else world.recall).groupby("k")["recall"].agg(["mean", "sem", "size"]).reset_index()
    half = 1.96 * curve["sem"].fillna(0)
    curve = curve.assign(low=curve["mean"] - half, high=curve["mean"] + half, like=str(like) if len(own) else "")
    gain = np.where(free, np.einsum("nk,nk->n", V @ covariance, V), -1.0)
    ask = np.argsort(-gain, kind="stable")[:3]
    summary = {
        "k": len(rows),
        "tail": world.tail[top].mean(),
        "variety": _variety(world.vectors[top] @ world.vectors[top].T),
    }
    return {"list": entries.reset_index(drop=True), "recall": curve, "summary": pd.DataFrame([summary]),
            "ask": pd.DataFrame({"film": [world.names[i] for i in ask], "variance": gain[ask]})}  # fmt: skip


def policy(world: World, state: Mapping[str, Any]) -> Frames:
    """Return where a policy stands between accuracy and exposure, and which films change hands between two of them.

    Four dials of 0 to 1 mix standardised scores, (1 − text)·ALS + text·bridge − popularity·log count, re-rank by
    maximal marginal relevance at weight `diversity` (Carbonell & Goldstein 1998), and give a place to a random film
    with chance `exploration`. `A` and `B` are pinned policies; the dials play one that is not. Frames: `points`
    (policy, dials, ndcg, tail, variety, coverage), `changes` (film, places in A and B), `difference` of NDCG, B less
    A, over users. Raises ColdstartError for a state that does not fit or a catalogue without a tail.
    """
    state, bench = checked(world, "policy", state), world.bench
    if bench is None:
        raise ColdstartError(world.notes)
    dials = {"now": state} | {name: state[name] for name in "AB" if state[name]}
    found = {name: _outcome(bench, tuple(float(own[dial]) for dial in DIALS)) for name, own in dials.items()}
    pair = {name: found.get(name, found["now"]) for name in "AB"}
    places = pd.DataFrame({name: np.bincount(own[0].ravel(), minlength=len(bench.items)) for name, own in pair.items()})
    order = np.argsort(places["B"] - places["A"], kind="stable").to_numpy()
    places.insert(0, "film", [world.names[i] for i in bench.items])
    gap = pair["B"][1] - pair["A"][1]
    half = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap))
    difference = {"mean": gap.mean(), "low": gap.mean() - half, "high": gap.mean() + half, "n": len(gap)}
    return {
        "points": pd.DataFrame([{"policy": name} | measures for name, (*_, measures) in found.items()]),
        "changes": places.iloc[[*order[::-1][:6], *order[:6][::-1]]].query("A != B").reset_index(drop=True),
        "difference": pd.DataFrame([difference]),
    }  # fmt: skip


def _outcome(bench: SimpleNamespace, dials: tuple[float, ...]) -> tuple[Array, Array, dict[str, float]]:
    """Return the lists [users, k] of a policy, NDCG of each user, and dials and measures."""
    if dials not in bench.seen:
        text, fame, diversity, exploration = dials
        score = (1 - text) * bench.als + text * bench.text - fame * bench.fame
        score[bench.known] = -np.inf
        lists = _apart(bench, score, diversity) if diversity else metrics.top_k(score, bench.k)
        stray, chance = bench.strays
        lists = np.where((chance < exploration) & ~(stray[:, :, None] == lists[:, None]).any(axis=2), stray, lists)
        ndcg, measures = _measures(bench, lists)
        bench.seen[dials] = lists, ndcg, dict(zip(DIALS, dials)) | measures
    return bench.seen[dials]


def _apart(bench: SimpleNamespace, score: Array, diversity: float) -> Array:
    pool = metrics.top_k(score, min(3 * bench.k, int(np.isfinite(score).sum(axis=1).min())))
    rows, alike, worth = (
        np.arange(len(pool)),
        bench.alike[pool[:, :, None], pool[:, None]],
        np.take_along_axis(score, pool, 1),
    )
    worth = (1 - diversity) * (worth - worth[:, -1:]) / np.maximum(worth[:, :1] - worth[:, -1:], 1e-12)
    nearest, chosen = np.zeros(pool.shape), []
    for _ in range(bench.k):
        chosen.append(best := np.argmax(worth - diversity * nearest, axis=1))
        worth[rows, best] = -np.inf
        nearest = np.maximum(nearest, alike[rows, best])
    return np.take_along_axis(pool, np.stack(chosen, axis=1), axis=1)


def _measures(bench: SimpleNamespace, lists: Array) -> tuple[Array, dict[str, float]]:
    hits = np.take_along_axis(bench.wanted, lists, axis=1)
    ndcg = metrics.ndcg_at_k(hits, bench.wanted.sum(axis=1), bench.k)
    variety = _variety(bench.alike[lists[:, :, None], lists[:, None]])
    coverage = metrics.coverage(lists, len(bench.items))
    return ndcg, {"ndcg": ndcg.mean(), "tail": bench.tail[lists].mean(), "variety": variety, "coverage": coverage}


def _variety(alike: Array) -> float:
    k = alike.shape[-1]
    return float(1 - (alike.sum(axis=(-1, -2)) - k).mean() / max(k * (k - 1), 1))


# --- Pictures --------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, DPI = 860, 460, 100
LABELS = json.loads(datasets.package_file("whatif.json").read_text(encoding="utf-8"))
COLOUR_OF = {"popularity": GREY, "prior": SKY, "films": BLUE, "sentence": GREEN}
# By file: matplotlib's own list does not know of a font that was installed after it was made.
CHINESE = [path for path in font_manager.findSystemFonts() if re.search("(?i)cjk|simhei|msyh|pingfang|wqy", path)][:1]
FONTS = [font_manager.findfont("DejaVu Sans"), *CHINESE]


def say(key: str, language: str, **values: Any) -> str:
    """Return the label or sentence `key` in the `language` 'en' or 'zh', with its `values` filled in."""
    return LABELS[key][language == "zh"].format(**values)


@cache
def _letters(path: str) -> frozenset[str]:
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))


@cache
def _truetype(path: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size * DPI / 72)


def _drawable(text: str, length: int) -> str:
    """Return `text` on one line, cut to `length`, with a box for every letter that no font at hand has."""
    line = " ".join(text.split())
    known = frozenset().union(*map(_letters, FONTS))
    return "".join(a if a in known else "□" for a in (line if len(line) <= length else line[: length - 1] + "…"))


class Sheet:
    """A picture of a panel whose still part is drawn once: `draw(frames)` moves the rest, `png()` gives the bytes."""

    def __init__(self, world: World, kind: str, language: str = "en") -> None:
        self.world, self.kind, self.still, self.moving, self.texts = world, kind, None, [], []
        # Chinese only where a font has it.
        self.say = lambda key, **values: say(key, language if CHINESE else "en", **values)
        for path in CHINESE:
            font_manager.fontManager.addfont(path)
        names = ["DejaVu Sans", *(font_manager.get_font(path).family_name for path in CHINESE)]
        with rc_context({"font.size": 11.5, "axes.labelsize": 11.5, "legend.fontsize": 11, "xtick.labelsize": 11,
                         "ytick.labelsize": 11, "legend.handletextpad": 0.3, "font.family": names}):  # fmt: skip
            self.fig = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, layout="none")
            self.canvas = FigureCanvasAgg(self.fig)
            getattr(self, f"_set_up_{kind}")()
            self.canvas.draw()

    def _move(self, artist: Any) -> Any:
        artist.set_animated(True)
        self.moving.append(artist)
        return artist

    def _dots(self, ax: Any, marker: str, colour: str, size: float, label: str = "", **style: Any) -> Any:
        style = {"color": colour, "ms": size, "mec": "white", "mew": 0.8} | style
        return self._move(ax.plot([], [], marker, label=self.say(label) if label else None, **style)[0])

    def _text(self, x: float, y: float, ha: str = "left", **style: Any) -> Any:
        # What somebody typed is no mathematics, dollar signs or not.
        self.texts.append(self.fig.text(x, y, "", ha=ha, va="center", parse_math=False, **style))
        return self.texts[-1]

    def draw(self, frames: Frames) -> Figure:
        """Move what moves to where the frames say and return the figure."""
        getattr(self, f"_draw_{self.kind}")(frames)
        return self.fig

    def png(self) -> bytes:
        """Return the figure as PNG bytes, of the same size each time."""
        self.still = self.still or self.canvas.copy_from_bbox(self.fig.bbox)
        self.canvas.restore_region(self.still)
        for artist in self.moving:
            self.fig.draw_artist(artist)
        image = Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3])
        pen = ImageDraw.Draw(image)
        for text in self.texts:  # ten times as fast as the same letters by matplotlib
            (x, y), said = text.get_position(), text.get_text()
            path = font_manager.findfont(text.get_fontproperties())
            path = path if _letters(path).issuperset(said) else FONTS[-1]
            font, anchor = _truetype(path, text.get_fontsize()), text.get_ha()[0] + "m"
            pen.text((x * WIDTH, (1 - y) * HEIGHT), said, text.get_color(), font, anchor)
        image.save(buffer := io.BytesIO(), "png", compress_level=1)
        return buffer.getvalue()

    def _set_up_item(self) -> None:
        world = self.world
        left, right = self.fig.add_axes((0.03, 0.1, 0.47, 0.79)), self.fig.add_axes((0.755, 0.16, 0.23, 0.73))
        left.plot(*world.points[world.points.any(axis=1)].T, "o", ms=3, mew=0, color="#BBBBBB")
        left.set(xlabel=self.say("map x"), ylabel=self.say("map y"), xticks=[], yticks=[])
        self.near, self.path = self._dots(left, "o", SKY, 7, "near", mec=INK), self._dots(left, "-", BLUE, 0)
        self.ellipse = self._move(left.add_patch(Ellipse((0, 0), 0, 0, fc=BLUE, alpha=0.2)))
        self.start, self.end = self._dots(left, "s", BLUE, 9, "from text"), self._dots(left, "o", ORANGE, 10, "with k")
        left.legend(loc="upper right", borderaxespad=0)
        kinds, labels = zip(*world.members)
        self.rows = np.arange(len(kinds)) + 0.9 * np.cumsum([0, *map(operator.ne, kinds[1:], kinds[:-1])])
        base = np.bincount(world.dataset.interactions["user"], minlength=len(world.groups)) @ world.members.to_numpy()
        base = base / len(world.dataset.interactions)
        right.barh(self.rows, base, height=0.9, color=FAINT, label=self.say("all choices"))
        self.predicted = self._dots(right, "o", BLUE, 8, "predicted")
        self.true = self._dots(right, "D", ORANGE, 6, "true")
        right.set_yticks(self.rows, [_drawable(str(label), 24) for label in labels])
        right.set(ylim=(self.rows[-1] + 0.8, -0.8), xlim=(0, 1.15 * max(0.4, base.max())))
        right.xaxis.set_major_formatter("{x:.0%}")
        right.tick_params(axis="y", length=0)
        named = right.get_legend_handles_labels()
        self.fig.legend(*named, loc="lower right", borderaxespad=0.2, ncols=3, columnspacing=1)
        self.title, self.auc = self._text(0.03, 0.95, fontsize=13.5), self._text(0.99, 0.95, "right")

    def _draw_item(self, frames: Frames) -> None:
        now, at, audience = frames["summary"].iloc[0], frames["path"][["x", "y"]].to_numpy(), frames["audience"]
        for artist, points in ((self.path, at), (self.start, at[:1]), (self.end, at[1:][-1:])):
            artist.set_data(*points.T)
        self.near.set_data(*self.world.points[[self.world.row[film] for film in frames["neighbours"]["film"]]].T)
        self.ellipse.set(center=tuple(at[-1]), width=now["width"], height=now["height"], angle=now["angle"])
        self.predicted.set_data(audience["predicted"], self.rows)
        self.true.set_data(audience["true"], self.rows)
        self.title.set_text(self.say("revealed" if now["of"] else "typed", k=now["k"], of=now["of"]))
        self.auc.set_text("" if np.isnan(now["now"]) else self.say("auc", text=now["text"], now=now["now"]))

    def _set_up_user(self) -> None:
        bars, right = self.fig.add_axes((0.335, 0.02, 0.14, 0.88)), self.fig.add_axes((0.775, 0.14, 0.21, 0.66))
        bars.set(ylim=(TOP_K - 0.5, -0.5), xlim=(0, 1))
        bars.set_axis_off()
        self.bars = self._move(bars.add_collection(PolyCollection([], lw=0)))
        self.title = self._text(0.01, 0.95, fontsize=13.5)
        heights = 0.9 - 0.88 * (np.arange(TOP_K) + 0.5) / TOP_K
        self.films, self.reasons = (
            [self._text(0.33, y, "right") for y in heights],
            [self._text(0.48, y) for y in heights],
        )
        top, shots = self.world.recall.groupby("k")["recall"].mean().max(), sorted(self.world.recall["k"].unique())
        right.set(xlim=(-0.3, len(shots) - 0.7), ylim=(0, 1.8 * top), xlabel=self.say("shots"))
        right.set_xticks(range(len(shots)), shots)
        self.band = self._move(right.add_collection(PolyCollection([], color=BLUE, alpha=0.2, lw=0)))
        self.line, self.here = self._dots(right, "o-", BLUE, 5), self._dots(right, "o", ORANGE, 10)
        self.fig.text(0.99, 0.95, self.say("recall", k=TOP_K), ha="right", va="center", fontsize=13.5)
        self.like = self._text(0.99, 0.86, "right")

    def _draw_user(self, frames: Frames) -> None:
        entries, recall, now = frames["list"], frames["recall"], frames["summary"].iloc[0]
        width = (entries["score"] / max(entries["score"].max(), 1e-12)).clip(0.01, 1)
        self.bars.set_verts([[(0, y - 0.42), (w, y - 0.42), (w, y + 0.42), (0, y + 0.42)] for y, w in enumerate(width)])
        self.bars.set_facecolor([COLOUR_OF[reason] for reason in entries["reason"]])
        for film, why, row in zip(self.films, self.reasons, [*entries.itertuples(), *[None] * TOP_K]):
            film.set_text(_drawable(row.film, 31) if row else "")
            why.set_text(_drawable(self.say(f"reason {row.reason}", by=row.by), 22) if row else "")
        self.title.set_text(self.say("measures", tail=now["tail"], variety=now["variety"]))
        like, at = recall["like"].iloc[0], np.arange(len(recall))
        told = self.say("like these" if like else "everyone", like=like, n=recall["size"].max())
        self.like.set_text(_drawable(told, 32))
        self.band.set_verts([[*zip(at, recall["low"]), *zip(at[::-1], recall["high"][::-1])]])
        self.line.set_data(at, recall["mean"])
        here = np.searchsorted(recall["k"], now["k"], side="right") - 1
        self.here.set_data([here], [recall["mean"].iloc[here]])

    def _set_up_policy(self) -> None:
        ax, bench = self.fig.add_axes((0.09, 0.12, 0.9, 0.68)), self.world.bench
        ax.plot(bench.grid["tail"], bench.grid["ndcg"], "o", color="#BBBBBB", ms=5, label=self.say("grid"))
        ax.plot(bench.front["tail"], bench.front["ndcg"], "-", color=GREEN, label=self.say("front"))
        ax.set(xlabel=self.say("tail x"), ylabel=self.say("ndcg", k=TOP_K))
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 1.15 * bench.front["ndcg"].max()))
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.legend(loc="upper right")
        self.marks = {}
        for n, (name, marker, colour) in enumerate((("now", "o", INK), ("A", "s", BLUE), ("B", "D", ORANGE))):
            line = self._text(0.02, 0.965 - 0.055 * n, color=colour)
            self.marks[name] = self._dots(ax, marker, colour, 13), line

    def _draw_policy(self, frames: Frames) -> None:
        points = frames["points"].set_index("policy")
        for name, (dot, line) in self.marks.items():
            own = points[points.index == name]
            dot.set_data(own["tail"], own["ndcg"])
            called = self.say("now") if name == "now" else name
            line.set_text("".join(self.say("place", policy=called, **row) for row in own.to_dict("records")))


def picture(world: World, kind: str, frames: Frames, *, language: str = "en") -> Figure:
    """Return the figure of the `frames` of a panel: 'item', 'user' or 'policy'."""
    return Sheet(world, kind, language).draw(frames)


# --- Views -----------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., Frames]] = {"item": new_item, "user": new_user, "policy": policy}
PAUSE, TYPED = 0.05, {"title", "year", "description", "k", "age", "sentence", *DIALS}
ROW = {"flex_flow": "row wrap", "align_items": "flex-start"}
CSS = """<style>.coldstart-table{font-size:14px;line-height:1.4}
.coldstart-table :is(td,th){padding:1px 12px 1px 0;text-align:left;line-height:inherit}
.coldstart-lists{display:flex;flex-wrap:wrap;gap:24px}</style>"""


@cache
def one_thread() -> ThreadpoolController:
    """Return what holds libraries to one thread: in sums as small as a panel's the others only wait for each other."""
    return ThreadpoolController()


class View(widgets.VBox):
    """One panel: controls, undo and reset, a line of status, picture and lists; `state` is all that it knows.

    The first change of a burst is drawn at once, the rest by one redraw after it. A fault appears as a sentence and
    stays until the next good draw.
    """

    def __init__(self, world: World, kind: str, state: State, language: str) -> None:
        self.world, self.kind, self.past, self.after = world, kind, [], lambda: None
        self.first = self.state = checked(world, kind, state)
        self.busy, self.pending, self.second, self.ready = False, None, None, 0.0
        self.controls = _controls(world, kind)
        for name, control in self.controls.items():
            control.layout, control.style.description_width = {"flex": "0 0 340px"}, "175px"
            if name in self.state:
                control.observe(lambda change, name=name: self.edit(name, change["new"]), names="value")
        actions = {"undo": self.undo, "reset": lambda: self.become(self.first)}
        if kind == "user":
            liking = {"like": lambda: self.add("liked"), "dislike": lambda: self.add("disliked")}
            actions = liking | {"remove": self.remove} | actions
        elif kind == "policy":
            actions = {"A": lambda: self.pin("A"), "B": lambda: self.pin("B")} | actions
        self.buttons = {name: widgets.Button(layout={"width": "auto"}) for name in actions}
        for name, button in self.buttons.items():
            button.on_click(lambda _, act=actions[name]: act())
        self.image = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
        self.status, self.fault, self.lists, self.words = (widgets.HTML() for _ in range(4))
        self.status.add_class("coldstart-status")
        self.fault.add_class("coldstart-fault")
        left = [*self.controls.values(), widgets.HBox([*self.buttons.values()], layout=ROW | {"flex": "0 0 340px"})]
        right = widgets.VBox([self.status, self.fault, self.image], layout={"flex": f"0 1 {WIDTH}px"})
        boxes = [widgets.HBox(left, layout=ROW | {"flex": "1 1 340px"}), right, self.lists, self.words]
        super().__init__([widgets.HBox(boxes, layout=ROW)])
        self.add_class(f"coldstart-{kind}")
        self.speak(language)

    def speak(self, language: str) -> None:
        """Say everything in the language 'en' or 'zh'."""
        self.language, self.sheet = language, Sheet(self.world, self.kind, language)
        for name, widget in (self.controls | self.buttons).items():
            widget.description = widget.tooltip = say(name, language)
        self.become(self.state, keep=True)

    def edit(self, name: str, value: Any) -> None:
        """Take over the `value` of a control."""
        if self.busy:
            return
        if name == "film" and value and value not in self.world.row:
            self.match(value)
            return
        film = own_fields(self.world, value) | {"k": 0} if name == "film" else {}
        self.become(self.state | film | {name: list(value) if isinstance(value, tuple) else value}, name)

    def match(self, text: str) -> None:
        """Say how many names of the catalogue hold `text`."""
        n = sum(text.lower() in name.lower() for name in self.world.names)
        told = say("matches" if n else "no match", self.language, n=n, text=text[:60])
        self.fault.value = _sentence(told, alert=not n)

    def become(self, state: State, name: str = "", *, keep: bool = False) -> None:
        """Go to another state, which undo takes back; what is typed into one field is one step."""
        if state != self.state and not keep and not (name in TYPED and self.past and self.past[-1][1] == name):
            self.past.append((self.state, name))
        self.state, self.busy = state, True
        for key, control in self.controls.items():
            if key in state:
                control.value = tuple(state[key]) if isinstance(state[key], list) else state[key]
        if self.kind == "user":
            marks = (("+", "liked"), ("−", "disliked"))
            self.controls["chosen"].options = [(f"{mark} {film}", film) for mark, key in marks for film in state[key]]
        self.busy = False
        self.redraw()

    def undo(self) -> None:
        """Go back one step."""
        if self.past:
            self.become(self.past.pop()[0], keep=True)

    def pin(self, name: str) -> None:
        """Pin the dials as policy A or B."""
        self.become(self.state | {name: {dial: self.state[dial] for dial in DIALS}})

    def add(self, key: str) -> None:
        """Add the film that was found to those liked or disliked."""
        if (film := self.controls["pick"].value) not in self.world.row:
            self.match(film)
            return
        left = self.without(film)
        self.become(left | {key: [*left[key], film]})
        self.controls["pick"].value = ""

    def remove(self) -> None:
        """Take the selected film out of those liked and disliked."""
        self.become(self.without(self.controls["chosen"].value))

    def without(self, film: str) -> State:
        """Return the state with the film neither liked nor disliked."""
        return self.state | {key: [one for one in self.state[key] if one != film] for key in ("liked", "disliked")}

    def redraw(self) -> None:
        """Draw now, or once after a burst."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.draw()
            return
        if self.pending is None and loop.time() >= self.ready:
            self.draw()
        elif self.pending is None:
            self.pending = loop.call_later(PAUSE, self.draw)
        self.ready = loop.time() + PAUSE
        if self.kind == "item":
            if self.second:
                self.second.cancel()
            self.second = loop.call_later(8 * PAUSE, self.draw_words)

    def draw(self) -> None:
        """Draw the state: picture, lists and status."""
        self.pending, begun = None, time.perf_counter()
        try:
            with one_thread().limit(limits=1):
                frames = FUNCTIONS[self.kind](self.world, self.state)
            self.sheet.draw(frames)
            self.image.value, self.lists.value = self.sheet.png(), _lists(self.kind, frames, self.language)
            now = frames["points" if self.kind == "policy" else "summary"].iloc[0].to_dict()
            ms = round(1000 * (time.perf_counter() - begun))
            self.status.value = _sentence(say(f"drawn {self.kind}", self.language, ms=ms, **now))
            self.fault.value = ""
        except Exception as error:  # in a callback any other would vanish
            self.fault.value = _sentence(_told(error), alert=True)
        self.after()

    def draw_words(self) -> None:
        """Show the words that carried the prediction, when there is time."""
        try:
            with one_thread().limit(limits=1):
                table = words(self.world, self.state).head(8)
            table["share"] = table["share"].map("{:.1%}".format)
            self.words.value = _table("words", table, self.language) if len(table) else ""
        except Exception as error:
            self.fault.value = _sentence(_told(error), alert=True)


def _controls(world: World, kind: str) -> dict[str, widgets.Widget]:
    """Return the controls of a panel that this catalogue has a use for; those named as a key of the state set it."""
    if kind == "policy":
        return {dial: widgets.FloatSlider(max=1, step=0.05) for dial in DIALS}
    names, known = widgets.Combobox(options=world.names), {"year": [], "genres": []} | world.vocabulary
    jobs = ["", *sorted(set(world.dataset.users.get("occupation", [])) - {""})]
    made = {
        "item": {
            "film": names, "title": widgets.Text(), "year": widgets.Combobox(options=known["year"]),
            "genres": widgets.SelectMultiple(options=known["genres"], rows=4),
            "description": widgets.Textarea(rows=3), "k": widgets.IntSlider(max=MOST["k"]),
        },
        "user": {
            "pick": names, "chosen": widgets.Select(rows=4), "age": widgets.BoundedIntText(max=MOST["age"]),
            "occupation": widgets.Dropdown(options=jobs), "sentence": widgets.Text(),
        },
    }  # fmt: skip
    return {name: control for name, control in made[kind].items() if name not in world.absent}


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"


def _sentence(text: str, *, alert: bool = False) -> str:
    role = 'role="alert" style="font-weight:bold"' if alert else 'role="status" aria-live="polite"'
    return f"<span {role}>{html.escape(text)}</span>"


def _table(key: str, frame: pd.DataFrame, language: str) -> str:
    named = frame.rename(columns={c: say(f"column {c}", language) for c in frame})
    cells = named.to_html(index=False, border=0, classes="coldstart-table", float_format="{:.2f}".format)
    return f"<div><b>{html.escape(say(key, language))}</b>{cells}</div>"


def _lists(kind: str, frames: Frames, language: str) -> str:
    if kind == "policy":
        head, tables = say("difference", language, **frames["difference"].iloc[0]), {"changes": frames["changes"]}
    elif kind == "user":
        head, entries = say("ask", language, films=" · ".join(frames["ask"]["film"])), frames["list"]
        why = [say(f"reason {row.reason}", language, by=row.by) for row in entries.itertuples()]
        tables = {"list": entries[["film", "score"]].assign(reason=why)}
    else:
        shown = frames["shown"].replace({True: "✓", False: ""})
        head, tables = "", {"neighbours": frames["neighbours"], "shown": shown}
    parts = "".join(_table(key, frame, language) for key, frame in tables.items())
    return f'{CSS}<div>{html.escape(head)}</div><div class="coldstart-lists">{parts}</div>'


class Panels(widgets.VBox):
    """The three panels under tabs, a switch of language, and the scene as JSON and as an address."""

    def __init__(self, world: World, scene: str, language: str) -> None:
        self.world, (states, told) = world, read_scene(world, scene)
        kinds = [kind for kind in FUNCTIONS if kind != "policy" or world.bench]
        self.views = {kind: View(world, kind, states.get(kind, {}), language) for kind in kinds}
        self.fault = widgets.HTML(_sentence(told or world.notes, alert=bool(told)))
        self.tab = widgets.Tab(list(self.views.values()), selected_index=0)
        self.language = widgets.ToggleButtons(options=[("English", "en"), ("中文", "zh")], value=language)
        self.scene, self.address = widgets.Textarea(rows=2, layout={"flex": "1 1 340px"}), widgets.HTML()
        self.scene.style.description_width, self.read, self.write = "140px", widgets.Button(), widgets.Button()
        self.read.on_click(lambda _: self.take(self.scene.value))
        self.write.on_click(lambda _: setattr(self.scene, "value", self.written()))
        self.language.observe(lambda change: self.speak(change["new"]), names="value")
        foot = widgets.HBox([self.scene, self.read, self.write, self.address], layout=ROW)
        super().__init__([self.language, self.fault, self.tab, foot])
        self.label(language)
        for view in self.views.values():
            view.after = self.show_address
        self.show_address()

    def label(self, language: str) -> None:
        """Name the tabs and what stands around them in the language 'en' or 'zh'."""
        self.tab.titles = [say(kind, language) for kind in self.views]
        for key in ("scene", "read", "write", "language"):
            getattr(self, key).description = getattr(self, key).tooltip = say(key, language)

    def speak(self, language: str) -> None:
        """Say everything in the language 'en' or 'zh'."""
        self.label(language)
        for view in self.views.values():
            view.speak(language)

    def written(self) -> str:
        """Return the states of the panels as JSON, without what goes without saying."""
        scene = {}
        for kind, view in self.views.items():
            plain = START[kind] | own_fields(self.world, view.state.get("film", ""))
            scene[kind] = {key: value for key, value in view.state.items() if value != plain[key]}
        return json.dumps({kind: state for kind, state in scene.items() if state}, ensure_ascii=False)

    def show_address(self) -> None:
        """Show the scene as a link to this page."""
        link, said = quote(self.written()), html.escape(say("address", self.language.value))
        self.address.value = f'<a class="coldstart-address" target="_blank" href="?scene={link}">{said}</a>'

    def take(self, text: str) -> None:
        """Set the panels to the scene in `text`, or say what is wrong with it."""
        states, told = read_scene(self.world, text)
        for kind in states.keys() & self.views.keys():
            self.views[kind].become(states[kind])
        self.fault.value = _sentence(told or say("scene read", self.language.value), alert=bool(told))

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = [*self.views.values()][self.tab.selected_index or 0]
        bundle, caption = super()._repr_mimebundle_(**options), say("caption", self.language.value)
        return _still(bundle, bytes(shown.image.value), caption, WIDTH)


def read_scene(world: World, text: str) -> tuple[dict[str, State], str]:
    """Return the state of each panel that the JSON `text` (or its percent-encoding) has, or what is wrong with it."""
    text = text.strip() if text.lstrip().startswith("{") else unquote(text).strip() or "{}"
    try:
        scene = json.loads(text)
        if isinstance(scene, dict) and set(scene) <= set(FUNCTIONS):
            return {kind: checked(world, kind, state) for kind, state in scene.items()}, ""
        return {}, f"scene: expected an object with {', '.join(FUNCTIONS)}, got {text[:60]}"
    except json.JSONDecodeError as error:
        return {}, f"scene: expected JSON, found a fault at character {error.pos + 1}, {error.msg}"
    except ColdstartError as error:
        return {}, str(error)


def scene_from_address() -> str:
    """Return the scene in the address of a page that Voila serves, `?scene=…`, or ''."""
    return parse_qs(os.environ.get("QUERY_STRING", "")).get("scene", [""])[0]


def panels(world: World, *, scene: str = "", language: str = "en") -> Panels:
    """Return the three panels of `world` as a widget, in the state that the JSON `scene` describes.

    Where no kernel listens the picture and a line of text stand in its place. A scene that cannot be read is told in a
    sentence above the panels.
    """
    return Panels(world, scene, language)


def _still(bundle: Any, picture: bytes, caption: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    still = {"image/png": base64.b64encode(picture).decode(), "text/plain": caption}
    return (bundle or {}) | still, {"image/png": {"width": width}}


class Panel(widgets.VBox):
    """Controls above the picture that `draw(**values)` makes of their values; `caption` is what a screen reader says.

    Where no kernel listens (an exported page, a code host) the last picture and the caption are shown instead. An
    error while drawing appears below the controls as one sentence, and the old picture stays.
    """

    def __init__(self, draw: Callable[..., Figure], controls: Mapping[str, widgets.Widget], *, caption: str) -> None:
        self._draw, self._controls, self._caption = draw, dict(controls), caption
        self.image = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
        self.status = widgets.HTML()
        for control in self._controls.values():
            control.style.description_width = "initial"
            control.layout.flex = "0 0 340px"
            control.observe(self._redraw, names="value")
        row = widgets.HBox(list(self._controls.values()), layout={"flex_flow": "row wrap"})
        super().__init__([row, self.status, self.image])
        self.image.value = png(self._draw(**self.values))

    @property
    def values(self) -> dict[str, Any]:
        """Return the value of every control by name."""
        return {name: control.value for name, control in self._controls.items()}

    def _redraw(self, _: object) -> None:
        try:
            self.image.value = png(self._draw(**self.values))
            self.status.value = ""
        except Exception as error:  # in a callback any other would vanish, and the cell stay green
            self.status.value = f"<b>{html.escape(_told(error))}</b>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = bytes(self.image.value)
        return _still(super()._repr_mimebundle_(**options), picture, self._caption, shown_width(picture))
