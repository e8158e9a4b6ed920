"""Protocols: what is known, what is asked, and that nothing of the answer is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from ..ground import ColdstartError
from .matrices import (
    entries_at,
    entries_less,
    entries_where,
    feedback,
    place_in_row,
    places,
    some_of_each_row,
)

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """One protocol: `train` is known, `test` is asked (both users × items), `candidates` (shuffled) are ranked for
    `users`.

    `support` holds the k ratings that k-shot protocols reveal of a new user or item; it is never part of `train`. All
    three are kept as `matrices.feedback`: what is stored is a choice.
    """

    kind: str
    seed: int
    train: sparse.csr_matrix
    test: sparse.csr_matrix
    candidates: Array
    users: Array
    support: sparse.csr_matrix

    def __post_init__(self) -> None:
        for name in ("train", "test", "support"):
            object.__setattr__(self, name, feedback(getattr(self, name), f"split {self.kind}: {name}"))
        check_no_leak(self)

    @property
    def warm_items(self) -> Array:
        """Return the items with at least one training interaction [warm], ascending."""
        return np.flatnonzero(np.diff(self.train.tocsc().indptr))

    @property
    def item_counts(self) -> Array:
        """Return how many training interactions every item has [items]."""
        return np.diff(self.train.tocsc().indptr)

    def without(self, items: Array) -> Split:
        """Return the same protocol with `items`, row numbers or a mask, neither ranked nor asked for; users who ask for
        nothing else leave.
        """
        left = self.candidates[~np.isin(self.candidates, places(items, self.train.shape[1]))]
        test = entries_where(self.test, np.isin(self.test.tocoo().col, left))
        return replace(self, test=test, candidates=left, users=np.flatnonzero(np.diff(test.indptr)))


def check_no_leak(split: Split) -> None:
    """Raise ColdstartError if a tested pair is known already, a cold one is not cold, a target is no candidate, or one
    stands twice among these.
    """
    known = split.train.astype(bool) + split.support.astype(bool)
    if known.multiply(split.test.astype(bool)).nnz:
        raise ColdstartError(f"split {split.kind}: a tested pair of user and item is in the training data")
    if split.kind in ("cold_items", "k_shot_items") and split.train[:, split.candidates].nnz:
        raise ColdstartError(f"split {split.kind}: a cold item has training interactions")
    if split.kind == "k_shot_users" and split.train[split.users].nnz:
        raise ColdstartError("split k_shot_users: a new user has training interactions")
    asked = np.unique(split.test.nonzero()[1])
    if not np.isin(asked, split.candidates).all():
        raise ColdstartError(f"split {split.kind}: a tested item is not among the candidates")
    if len(np.unique(split.candidates)) < len(split.candidates):
        raise ColdstartError(f"split {split.kind}: an item stands twice among the candidates")


def _check_whole(k: int) -> None:
    if not 0 <= k < np.inf or k != int(k):
        raise ColdstartError(f"k: expected 0 or more, got {k}; k is a whole number")


def _choose(population: Array, fraction: float, rng: np.random.Generator) -> Array:
    n = round(fraction * len(population))
    if not 0 < n < len(population):
        raise ColdstartError(f"split: a share of {fraction} of {len(population)} leaves one side empty")
    return np.sort(rng.choice(population, n, replace=False))


def _split(kind: str, seed: int, train: Any, test: Any, candidates: Array, support: Any = None) -> Split:
    train, test = sparse.csr_matrix(train), sparse.csr_matrix(test)
    if not train.nnz or not test.nnz:
        raise ColdstartError(f"split {kind}: nothing is left to {'ask for' if train.nnz else 'learn from'}")
    users = np.flatnonzero(np.diff(test.indptr))
    support = sparse.csr_matrix(test.shape) if support is None else sparse.csr_matrix(support)
    # Ties are broken by place among the candidates. In order of ids they would tell: catalogues often number by fame.
    candidates = np.random.default_rng([seed, 2]).permutation(candidates)
    return Split(kind, seed, train, test, candidates, users, support)


def warm(matrix: sparse.csr_matrix, seed: int, *, fraction: float = 0.2) -> Split:
    """Hide a random `fraction` of each user's interactions; all items that are left with some are candidates.

    Where that is less than half a choice of everybody, one choice of some users is hidden.
    Nested, `warm(outer.train, …)` serves for tuning. Raises ColdstartError if a side would be empty.
    """
    matrix = feedback(matrix)
    each = _hidden_of_each(np.diff(matrix.indptr), fraction, seed)
    test = some_of_each_row(matrix, each, np.random.default_rng(seed))
    train = entries_less(matrix, test)
    candidates = np.flatnonzero(np.diff(train.tocsc().indptr))
    return _split("warm", seed, train, entries_where(test, np.isin(test.tocoo().col, candidates)), candidates)


def _hidden_of_each(choices: Array, fraction: float, seed: int) -> Array:
    """Return how many of each user's `choices` [users] a share of them is, whole numbers of which some are above 0."""
    each = np.round(fraction * choices)
    if each.any():
        return each
    # The share is less than half a choice of everybody: one choice of some keeps it, of those who have another.
    some = np.flatnonzero(choices > 1)
    if not len(some) or fraction <= 0:
        most = choices.max(initial=0)
        raise ColdstartError(f"split warm: nothing is left to ask for: a share of {fraction} of at most {most} choices")
    chance = np.random.default_rng([seed, 4]).random(len(some))
    each[some[chance <= max(fraction * choices.mean(), chance.min())]] = 1
    return each


def warm_parts(matrix: sparse.csr_matrix, n: int, *, seed: int = 0) -> list[Split]:
    """Return `n` splits like `warm`, the p-th labelled p, that together hide every interaction once.

    Each user's interactions are dealt out in random order, starting at a random part. An item that a split leaves
    without any is not ranked there. Raises ColdstartError unless 2 <= n <= interactions.
    """
    matrix = feedback(matrix)
    if not 2 <= n <= matrix.nnz:
        raise ColdstartError(f"warm_parts: expected 2 to {matrix.nnz} parts, got {n!r}")
    row, rng = matrix.tocoo().row, np.random.default_rng(seed)
    place, start = place_in_row(row, rng), rng.integers(n, size=matrix.shape[0])
    part = (place + start[row]) % n
    parts = []
    for number in range(n):
        train, test = entries_where(matrix, part != number), entries_where(matrix, part == number)
        candidates = np.flatnonzero(np.diff(train.tocsc().indptr))
        test = entries_where(test, np.isin(test.tocoo().col, candidates))
        parts.append(_split("warm", number, train, test, candidates))
    return parts


def cold_items(matrix: sparse.csr_matrix, seed: int, *, fraction: float = 0.2, among: Array | None = None) -> Split:
    """Hide all interactions of a random `fraction` of the items, which are then ranked among themselves.

    `among` restricts the choice (the warm items of an outer split, for nested tuning): items outside it are no
    candidates and keep what `matrix` knows of them. Raises ColdstartError if a side would be empty.
    """
    population = np.arange(matrix.shape[1]) if among is None else places(among, matrix.shape[1])
    return hide_items(matrix, _choose(population, fraction, np.random.default_rng(seed)), seed=seed)


def hide_items(matrix: sparse.csr_matrix, cold: Array, *, seed: int = 0) -> Split:
    """Hide all interactions of the items `cold`, which are then ranked among themselves (kind 'cold_items').

    `seed` labels the split and shuffles the candidates. Raises ColdstartError if a side would be empty.
    """
    matrix, cold = feedback(matrix), places(cold, matrix.shape[1])
    hidden = np.isin(matrix.tocoo().col, cold)
    return _split("cold_items", seed, entries_where(matrix, ~hidden), entries_where(matrix, hidden), cold)


def warm_and_cold(matrix: sparse.csr_matrix, cold: Array, seed: int = 0, *, fraction: float = 0.2) -> Split:
    """Hide all interactions of the items `cold` and a random `fraction` of each user's others; rank both in one list.

    What a shop asks for: new items have to find their place among the known ones. Raises ColdstartError if a side would
    be empty.
    """
    new = hide_items(matrix, cold, seed=seed)
    known = warm(new.train, seed, fraction=fraction)
    candidates = np.concatenate([known.candidates, new.candidates])
    return _split("warm_and_cold", seed, known.train, known.test + new.test, candidates)


def known_and_new(split: Split) -> dict[str, Array]:
    """Return the candidates of a split with training interactions as 'known', those without as 'new'."""
    known = np.isin(split.candidates, split.warm_items)
    return {"known": np.sort(split.candidates[known]), "new": np.sort(split.candidates[~known])}


def k_shot_users(
    matrix: sparse.csr_matrix, seed: int, *, k: int, fraction: float = 0.2, new: Array | None = None
) -> Split:
    """Hide a random `fraction` of the users, reveal k random ratings of each as `support`, ask for the rest (k=0:
    cold).

    The same seed hides the same users for every k, and ratings revealed at k are revealed at k + 1 too. All warm
    items are candidates. `new` names the users to hide. Raises ColdstartError if k is no whole number of 0 or
    more, or a side would be empty.
    """
    _check_whole(k)
    rng, matrix = np.random.default_rng(seed), feedback(matrix)
    new = _choose(np.arange(matrix.shape[0]), fraction, rng) if new is None else places(new, matrix.shape[0], "users")
    hidden = np.isin(matrix.tocoo().row, new)
    train, rest = entries_where(matrix, ~hidden), entries_where(matrix, hidden)
    candidates = np.flatnonzero(np.diff(train.tocsc().indptr))
    rest = entries_where(rest, np.isin(rest.tocoo().col, candidates))
    support = some_of_each_row(rest, k, rng)
    return _split("k_shot_users", seed, train, entries_less(rest, support), candidates, support)


def k_shot_items(
    matrix: sparse.csr_matrix, seed: int, *, k: int, fraction: float = 0.2, among: Array | None = None,
    new: Array | None = None,
) -> Split:  # fmt: skip
    """Hide a random `fraction` of the items, reveal k random ratings of each as `support`, ask for the rest.

    An item that has revealed all it had is not ranked: nobody is left who could want it. With k=0 this is `cold_items`
    with the same cold items, chosen `among` those given, or `hide_items` of those named by `new`. Raises ColdstartError
    if k is negative or a side is empty.
    """
    _check_whole(k)
    if new is None:
        cold = cold_items(matrix, seed, fraction=fraction, among=among)
    else:
        cold = hide_items(matrix, new, seed=seed)
    rng = np.random.default_rng([seed, 1])
    support = some_of_each_row(sparse.csr_matrix(cold.test.T), k, rng).T.tocsr()
    test = entries_less(cold.test, support)
    shown, asked = (np.diff(part.tocsc().indptr)[cold.candidates] > 0 for part in (support, test))
    return _split("k_shot_items", seed, cold.train, test, cold.candidates[asked | ~shown], support)


def revealed(split: Split, k: int) -> sparse.csr_matrix:
    """Return k of the choices that a k-shot split reveals of each new user or item, with the new side as rows.

    One split that reveals many serves a whole curve: what is asked stays the same for every k, and what is shown at k
    is shown at k + 1 too. Raises ColdstartError if k is negative.
    """
    _check_whole(k)
    rows = split.support if split.kind == "k_shot_users" else split.support.T
    return some_of_each_row(sparse.csr_matrix(rows), k, np.random.default_rng([split.seed, 3]))


def interview(split: Split, items: Array) -> Split:
    """Return the protocol in which each new user of a `k_shot_users` split says of `items` whether they chose them.

    Their choices among these items, row numbers or a mask, are revealed, and no others; the items are not ranked. Users
    who chose nothing else leave. Raises ColdstartError for a split of another kind, or items that are none.
    """
    if split.kind != "k_shot_users":
        raise ColdstartError(f"interview: expected a split of kind 'k_shot_users', got {split.kind!r}")
    items = places(items, split.train.shape[1])
    chosen = (split.support + split.test).tocsr()
    told = np.isin(chosen.tocoo().col, items)
    whole = replace(split, support=sparse.csr_matrix(chosen.shape), test=chosen)
    return replace(whole.without(items), support=entries_where(chosen, told))


def temporal_cold_items(matrix: sparse.csr_matrix, timestamps: sparse.csr_matrix, *, fraction: float = 0.2) -> Split:
    """Ask for the items whose first interaction lies in the last `fraction` of all in time, knowing what came before.

    The honest form of `cold_items`: what is new is the latest, and of known items only the past is known. Raises
    ColdstartError if `timestamps` does not have one time for every interaction, or no item is new in this sense.
    """
    matrix = feedback(matrix)
    times, coo = _times(matrix, timestamps), matrix.tocoo()
    late = times > np.quantile(times, 1 - fraction)
    cold = np.setdiff1d(coo.col[late], coo.col[~late])
    first_met = late & np.isin(coo.col, cold)
    return _split("cold_items", 0, entries_where(matrix, ~late), entries_where(matrix, first_met), cold)


def temporal(matrix: sparse.csr_matrix, timestamps: sparse.csr_matrix, *, fraction: float = 0.2) -> Split:
    """Ask for the last `fraction` of all interactions in time, knowing the ones before; warm items are candidates.

    `timestamps` has one stored time for every stored entry of `matrix`. Raises ColdstartError if it has not.
    """
    matrix = feedback(matrix)
    times, coo = _times(matrix, timestamps), matrix.tocoo()
    late = times > np.quantile(times, 1 - fraction)
    train = entries_where(matrix, ~late)
    candidates = np.flatnonzero(np.diff(train.tocsc().indptr))
    return _split("temporal", 0, train, entries_where(matrix, late & np.isin(coo.col, candidates)), candidates)


def _times(matrix: sparse.csr_matrix, timestamps: sparse.csr_matrix) -> Array:
    if timestamps.shape != matrix.shape or len(times := entries_at(timestamps, matrix).data) != matrix.nnz:
        raise ColdstartError("split temporal: expected one timestamp for every interaction")
    return times
