"""Learning from k ratings: what a k-shot split reveals, seen from the side on which somebody is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from ..catalogue.matrices import feedback, places
from ..catalogue.splits import Split, revealed
from ..ground import ColdstartError
from .als import als_implicit, fold_in
from .content import unit_rows
from .evidence import posterior
from .least_squares import check_positive
from .scores import mixture

Array = np.ndarray
Scorer = Callable[[Array, Array], Array]
Prior = Callable[[Split], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Sides:
    """The two sides of a catalogue: `own`, on which some are new, and `other`, all of whom are known.

    `own` [n, rank] holds the factors of the known and zeros for the new, `other` [m, rank] those of the side that
    answers: to a new user the items do, to a new item the users. `old` are the rows that a prior is learnt from.
    """

    own: Array
    other: Array
    old: Array
    users_are_new: bool

    def scorer(self, factors: Array) -> Scorer:
        """Return the scorer (users, items) → [users, items] of the products of `factors` [n, rank] with `other`."""
        U, V = (factors, self.other) if self.users_are_new else (self.other, factors)
        return lambda users, items: U[users] @ V[items].T


def sides(split: Split, *, least: int = 1) -> Sides:
    """Return the `known_sides` of what is known in a k-shot split."""
    return known_sides(split.train, users_are_new=split.kind == "k_shot_users", least=least)


def known_sides(
    X: sparse.csr_matrix, *, users_are_new: bool, least: int = 1, rank: int = 64, reg: float = 10.0
) -> Sides:
    """Return the two sides of the choices X [users, items] as `als_implicit` factors, ready for somebody new.

    `old` are rows with at least `least` choices: a prior has to be learnt from such as those to come, and one learnt
    from films that hardly anybody chose expects too little of others. When users are new, the factors of the known ones
    are scaled to one length, the average: it says how much someone chooses, which no text and few ratings can tell.
    Matrices with the same content share one fit. Raises ColdstartError unless two rows have so many choices.
    """
    X = feedback(X)
    parts = (X.indptr.tobytes(), X.indices.tobytes(), X.data.tobytes())
    U, V = _factors(X.shape, parts, X.indices.dtype.str, X.data.dtype.str, rank, reg)
    own, other = (U, V) if users_are_new else (V, U)
    counts = np.diff((X if users_are_new else sparse.csr_matrix(X.T)).indptr)
    old = np.flatnonzero(counts >= max(least, 1))
    if len(old) < 2:
        raise ColdstartError(f"least: expected at least two rows with {least} choices, found {len(old)}")
    if users_are_new:
        own = unit_rows(own) * np.linalg.norm(own[old], axis=1).mean()
    return Sides(own, other, old, users_are_new)


@lru_cache(maxsize=32)
def _factors(
    shape: tuple[int, int], parts: tuple[bytes, ...], places: str, values: str, rank: int, reg: float
) -> tuple[Array, Array]:
    indptr, indices, data = parts
    read = (np.frombuffer(data, values), np.frombuffer(indices, places), np.frombuffer(indptr, places))
    als = als_implicit(sparse.csr_matrix(read, shape=shape), rank=min(rank, *shape), reg=reg, sweeps=8)
    return als.U, als.V


def yes_or_no(split: Split, items: Array) -> sparse.csr_matrix:
    """Return the answers [users, items] of the tested users about `items`: a stored 1 for a choice that `split`
    reveals, a stored 0 for none.

    The no that silence leaves open is said here: an answer that `posterior` believes like a yes. Raises
    ColdstartError if one of the items is still ranked.
    """
    items = places(items, split.train.shape[1])
    if np.isin(items, split.candidates).any():
        raise ColdstartError("yes_or_no: expected items that the split does not rank, see splits.interview")
    rows, columns = np.repeat(split.users, len(items)), np.tile(items, len(split.users))
    said = np.asarray(split.support[split.users][:, items].todense()).ravel()
    return sparse.csr_matrix((said, (rows, columns)), shape=split.train.shape)


def within_reach(degree: Array, shots: Sequence[int], *, needed: bool = True) -> tuple[list[int], int]:
    """Return which of `shots`, numbers of ratings to reveal, the data allow, and how many somebody new must have.

    `degree` [n] counts the ratings of each user or item. A number k is allowed where a tenth of all, and ten at least,
    have ten more: those are asked about. Where not even 1 is, somebody new reveals one rating and is asked about the
    others. If fewer than ten have two, nothing is allowed: raises ColdstartError where that is `needed`.
    """
    degree = np.asarray(degree)
    allowed = [k for k in shots if np.mean(degree > k + 9) > 0.1 and np.sum(degree > k + 9) >= 10]
    if allowed:
        return allowed, max(allowed) + 10
    if np.sum(degree > 1) >= 10:
        return [1], 2
    if needed:
        raise ColdstartError(f"k-shot: expected ten users and ten items with two choices, found {np.sum(degree > 1)}")
    return [], 0


# --- Methods: from a split to a scorer --------------------------------------------------------------------------------


def by_prior(split: Split, prior: Prior) -> Scorer:
    """Return the scorer of the guess alone: `prior(split)` is its mean [n, rank] and covariance [rank, rank]."""
    return sides(split).scorer(prior(split)[0])


def by_ratings(split: Split, k: int, reg: float, alpha: float) -> Scorer:
    """Return the scorer of `fold_in` alone, from k of the choices that `split` reveals."""
    known = sides(split)
    return known.scorer(fold_in(revealed(split, k), known.other, reg=reg, alpha=alpha))


def by_both(split: Split, k: int, prior: Prior, noise: float, silence: float) -> Scorer:
    """Return the scorer of the posterior: what `prior(split)` says, and k of the choices that `split` reveals.

    At k = 0 it is the guess alone: nobody was asked yet, so silence says nothing.
    """
    if k == 0:
        return by_prior(split, prior)
    return by_answers(split, revealed(split, k), prior, noise, silence)


def by_answers(split: Split, answers: sparse.csr_matrix, prior: Prior, noise: float, silence: float) -> Scorer:
    """Return the scorer of the posterior of `prior(split)` after `answers`, with the new side as rows.

    `silence` is the weight of an answer that was not given, as a no, relative to one that was: 1 is parity.
    """
    known = sides(split)
    return known.scorer(posterior(answers, known.other, *prior(split), noise=noise, silence=silence / noise))


def by_sum(split: Split, k: int, prior: Prior, reg: float, alpha: float, weight: float = 1.0) -> Scorer:
    """Return the scorer weight·`by_prior` + `by_ratings`, both standardised for each user (late fusion)."""
    guess, ratings = by_prior(split, prior), by_ratings(split, k, reg, alpha)
    return lambda users, items: mixture([guess(users, items), ratings(users, items)], [weight, 1.0])


def recent_mean(known: Sides, mean: Array, times: Array, half_life: float) -> Array:
    """Return `mean` [n, rank] drawn towards the factors of those who came before, [n, rank].

    Each of `known.old` that came earlier, by `times` [n], counts as half for every `half_life` that lies between; the
    mean itself counts as ten. Raises ColdstartError for a half-life that is not above 0.
    """
    check_positive(half_life, "half_life")
    times = np.asarray(times, float)
    ago = (times[:, None] - times[known.old]) / half_life
    share = np.where(ago > 0, 0.5 ** np.abs(ago), 0)
    return (share @ known.own[known.old] + 10 * mean) / (share.sum(axis=1, keepdims=True) + 10)
