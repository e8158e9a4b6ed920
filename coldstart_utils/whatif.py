"""Floor 4: what if this item, user or policy were new: pure functions from a state to tidy frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, sparse
from tqdm import tqdm

from . import context, datasets, evaluation, factorization, longtail, metrics, splits
from .encoders import TextEncoder
from .factorization import unit_rows
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
