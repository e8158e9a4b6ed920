"""What policies are tried on: scores of one split, lists, and their measures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue import splits
from ..measure import metrics, ranking
from ..models import longtail
from ..models.scores import standardised
from .belief import TOP_K, believed, factors

Array = np.ndarray

PLACES = TOP_K
NOT_AGAIN = -1e6  # the score of an item that a user has chosen already


@dataclass(frozen=True)
class Dials:
    """A policy: how much of text, popularity correction, diversity and chance goes into a list.

    `text` weighs the bridge from texts against ALS, `popularity` how much of an item's log count is taken off,
    `diversity` is the weight of unlikeness within a list (maximal marginal relevance), `exploration` the chance that
    a place goes to an item drawn at random, all from 0 to 1. `reserve` is the mean number of places of a list that
    the tail holds at one price for all users (chapter 06), from 0 to 20.
    """

    text: float = 0.0
    popularity: float = 0.0
    diversity: float = 0.0
    exploration: float = 0.0
    reserve: int = 0


DIALS = tuple(field.name for field in fields(Dials))


@dataclass(frozen=True, eq=False)
class Bench:
    """What policies are tried on: 300 users of a warm split.

    `items` [n] are the rows of the catalogue that are ranked; `als`, `text` [users, n] are scores standardised within
    each user, `spread` [users, 1] what one unit of `als` is in the scores of ALS, `fame` [1, n] standardised log
    counts. `known` and `wanted` [users, n] mark what a user chose in training and in the test, `tail` [n] the items of
    the tail; `alike` [n, n] are cosines of texts. A list has `k` places; place by place `stray` [users, k] is the item
    that exploration would put there, if its chance exceeds `luck` [users, k].
    """

    items: Array
    als: Array
    text: Array
    spread: Array
    fame: Array
    known: Array
    wanted: Array
    tail: Array
    alike: Array
    k: int
    stray: Array
    luck: Array


@dataclass(frozen=True)
class Played:
    """A policy that was tried: its lists [users, k], the NDCG of each user [users], and `measures` by name.

    The measures are means over users: `ndcg`, `tail` (share of places that the tail gets), `variety` (1 − cosine among
    films of a list) and `coverage` (share of the items that are in any list).
    """

    lists: Array
    ndcg: Array
    measures: dict[str, float]


def prepare_bench(X: sparse.csr_matrix, features: Array, vectors: Array, tail: Array) -> Bench:
    """Return the bench of a catalogue from its interactions X [users, items], features [items, d], unit text vectors
    [items, 384] and a mark for the items of the tail [items].
    """
    split, rng = splits.warm(X, 0), np.random.default_rng(0)
    items, users = split.warm_items, np.sort(rng.permutation(split.users)[:300])
    U, V = factors(split.train, items)
    known, wanted = (matrix[users][:, items].toarray() > 0 for matrix in (split.train, split.test))
    scores = U[users] @ V[items].T
    als, spread = standardised(scores), np.maximum(scores.std(axis=1, keepdims=True), 1e-12)
    text = standardised(U[users] @ believed(V, items, features, U).guess(features)[items].T)
    fame = standardised(np.log1p(np.asarray(split.train.sum(axis=0)).ravel()[items])[None])
    k = min(TOP_K, int((~known).sum(axis=1).min()))
    stray = metrics.top_k(np.where(known, -1.0, rng.random(known.shape)), k)
    alike = vectors[items] @ vectors[items].T
    luck = rng.random((len(users), k))
    return Bench(items, als, text, spread, fame, known, wanted, tail[items], alike, k, stray, luck)


@lru_cache(maxsize=2)
def grid(bench: Bench) -> pd.DataFrame:
    """Return the dials and measures of eighty policies."""
    tried = product((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.33, 0.67, 1.0), (0.0, 0.5), (0.0, 0.2))
    return pd.DataFrame([_row(bench, Dials(*values)) for values in tried])


@lru_cache(maxsize=2)
def front(bench: Bench) -> pd.DataFrame:
    """Return the dials and measures of the policies that only reserve places for the tail, few to many."""
    most = min(bench.k, int(bench.tail.sum()))
    return pd.DataFrame([_row(bench, Dials(reserve=places)) for places in range(most + 1)])


@lru_cache(maxsize=64)
def played(bench: Bench, dials: Dials) -> Played:
    """Return the lists of a policy and how good they are."""
    lists = _lists(bench, replace(dials, exploration=0.0))
    return measured(bench, _explored(bench, lists, dials.exploration))


@lru_cache(maxsize=64)
def _lists(bench: Bench, dials: Dials) -> Array:
    """Return the lists [users, k] of a policy before chance has a part in them."""
    score = (1 - dials.text) * bench.als + dials.text * bench.text - dials.popularity * bench.fame
    if dials.reserve:
        # In the scores of ALS again, so that a place costs what it costs in chapter 06.
        score = np.where(bench.known, NOT_AGAIN, score * bench.spread)
        places = min(dials.reserve, bench.k, int(bench.tail.sum()))
        score = longtail.reserve(score, bench.tail, places, bench.k, each=False)
    score = np.where(bench.known, -np.inf, score)
    if dials.diversity:
        return ranking.mmr(score, bench.alike, bench.k, dials.diversity)
    return metrics.top_k(score, bench.k)


def measured(bench: Bench, lists: Array) -> Played:
    """Return what lists [users, k] of columns of the bench are worth."""
    hits = np.take_along_axis(bench.wanted, lists, axis=1)
    ndcg = metrics.ndcg_at_k(hits, bench.wanted.sum(axis=1), bench.k)
    measures = {
        "ndcg": float(ndcg.mean()),
        "tail": float(bench.tail[lists].mean()),
        "variety": variety(bench.alike[lists[:, :, None], lists[:, None]]),
        "coverage": metrics.coverage(lists, len(bench.items)),
    }
    return Played(lists, ndcg, measures)


def variety(alike: Array) -> float:
    """Return the mean of 1 − cosine between the items of a list, over lists, from the cosines [..., k, k]."""
    k = alike.shape[-1]
    return float(1 - (alike.sum(axis=(-1, -2)) - k).mean() / max(k * (k - 1), 1))


def _row(bench: Bench, dials: Dials) -> dict[str, float]:
    return asdict(dials) | played(bench, dials).measures


def _explored(bench: Bench, lists: Array, chance: float) -> Array:
    """Return the lists with some places given to items drawn at random, none of which is in the list already."""
    new = ~(bench.stray[:, :, None] == lists[:, None]).any(axis=2)
    return np.where((bench.luck < chance) & new, bench.stray, lists)
