"""Users as tasks: the protocol behind tables of meta-learners, re-stated from its code with plain data in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.matrices import entries_where, floats, stored
from ..ground import ColdstartError

Array = np.ndarray
# Which places of each row [rows, n] are the k largest: [rows, k]. What it does with ties is its own.
First = Callable[[Array, int], Array]
ASKED, LEAST, MOST, LISTED = 10, 13, 100, 5


@dataclass(frozen=True, eq=False)
class Tasks:
    """New users and what they are asked: `support` [all users, items] holds the labels that each of `users` [n]
    reveals, `items` and `labels` [n, 10] the query. Every stored entry is a label, a 0 too.
    """

    users: Array
    support: sparse.csr_matrix
    items: Array
    labels: Array


@dataclass(frozen=True, eq=False)
class Round:
    """One test of the protocol: `train` [all users, items] of known users, others to choose settings on, and the
    tested ones.
    """

    train: sparse.csr_matrix
    valid: Tasks
    test: Tasks


def qualifying(R: sparse.csr_matrix, least: int = LEAST, most: int = MOST) -> Array:
    """Return the users with `least` to `most` labels in R [users, items]. ColdstartError if fewer than thirty have."""
    degree = np.diff(stored(R).indptr)
    users = np.flatnonzero((degree >= max(least, ASKED + 1)) & (degree <= most))
    if len(users) < 30:
        raise ColdstartError(f"tasks: expected 30 or more users with {least} to {most} ratings, found {len(users)}")
    return users


def as_clicks(R: sparse.csr_matrix, threshold: float = 4.0) -> sparse.csr_matrix:
    """Return R [users, items] with 1 for a rating of `threshold` or more and a stored 0 for a lower one."""
    R = stored(R)
    return sparse.csr_matrix(((R.data >= threshold).astype(float), R.indices, R.indptr), shape=R.shape)


def as_published(R: sparse.csr_matrix, seed: int) -> Round:
    """Return one round as the published code makes it: known, validation and test users are 8 : 1 : 1.

    The code shuffles all ratings, takes the users in the order of their first, and cuts that order. Who has few ratings
    tends to come late, and so to be tested. Raises ColdstartError as `qualifying`.
    """
    R, rng = stored(R), np.random.default_rng(seed)
    users = qualifying(R)
    rows = np.repeat(users, np.diff(R.indptr)[users])
    order = pd.unique(rng.permutation(rows))
    tenth = len(users) // 10
    known, valid, test = np.split(order, [len(users) - 2 * tenth, len(users) - tenth])
    return Round(_rows(R, known), _tasks(R, valid, rng), _tasks(R, test, rng))


def everybody(R: sparse.csr_matrix, seed: int, n: int = 10) -> Iterator[Round]:
    """Yield `n` rounds in which every qualifying user is tested once; the users tested next are the validation.

    Raises ColdstartError as `qualifying`.
    """
    R, rng = stored(R), np.random.default_rng(seed)
    parts = np.array_split(rng.permutation(qualifying(R)), n)
    tasks = [_tasks(R, part, rng) for part in parts]
    for number, test in enumerate(tasks):
        after = (number + 1) % n
        known = np.concatenate([part for place, part in enumerate(parts) if place not in (number, after)])
        yield Round(_rows(R, known), tasks[after], test)


def _rows(R: sparse.csr_matrix, users: Array) -> sparse.csr_matrix:
    kept = np.isin(np.repeat(np.arange(R.shape[0]), np.diff(R.indptr)), users)
    return entries_where(R, kept)


def _tasks(R: sparse.csr_matrix, users: Array, rng: np.random.Generator) -> Tasks:
    """Ask each user about ten items drawn at random, in random order, and reveal the others."""
    places = [rng.permutation(np.arange(R.indptr[user], R.indptr[user + 1])) for user in users]
    asked = np.array([place[-ASKED:] for place in places])
    shown = np.zeros(R.nnz, bool)
    shown[np.concatenate([place[:-ASKED] for place in places])] = True
    return Tasks(users, entries_where(R, shown), R.indices[asked], R.data[asked])


def graded(scores: Array, labels: Array, first: First, *, clicks: bool, k: int = LISTED) -> pd.DataFrame:
    """Return precision, recall, hit, ndcg and mrr at k of each user, for `scores` and `labels` [n, asked].

    The list is `first(scores, k)`. Relevant are, with `clicks`, the items with more than the user's least label, else
    `first(labels, k)`: k of them, also where ratings tie. A user without a relevant item has an ndcg of 0 and no
    recall. Formulas as in RecBole. Raises ColdstartError for shapes that differ or numbers that are not finite.
    """
    scores, labels = floats(scores, "scores"), floats(labels, "labels")
    if scores.shape != labels.shape or scores.ndim != 2 or scores.shape[1] < k:
        raise ColdstartError(f"tasks: expected scores {labels.shape} for {k} places, got {scores.shape}")
    relevant = labels > labels.min(axis=1, keepdims=True)
    if not clicks:
        relevant = np.zeros_like(relevant)
        np.put_along_axis(relevant, first(labels, k), True, axis=1)
    hits = np.take_along_axis(relevant, first(scores, k), axis=1)
    wanted, discount = relevant.sum(axis=1), 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([discount[:1], np.cumsum(discount)])[np.minimum(wanted, k)]
    with np.errstate(invalid="ignore"):
        recall = hits.sum(axis=1) / wanted
    found = {"precision": hits.mean(axis=1), "recall": recall, "hit": hits.any(axis=1).astype(float)}
    mrr = np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)
    return pd.DataFrame(found | {"ndcg": hits @ discount / ideal, "mrr": mrr})
