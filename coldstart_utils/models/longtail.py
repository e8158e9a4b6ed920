"""Who is rated and who is recommended: bands of popularity, fronts and quotas, weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..catalogue.splits import Split
from ..ground import ColdstartError

Array = np.ndarray

# --- Bands and fronts ------------------------------------------------------------------------------------------------


def popularity_bands(counts: Array, *, head: float = 0.5, middle: float = 0.3) -> dict[str, Array]:
    """Return the items of 'head', 'middle' and 'tail', most popular first, from their `counts` [items].

    The head are the fewest items that take the share `head` of all counts, the middle the next that take `middle`;
    ties go to the smaller id, and items without a count to no band. Raises ColdstartError for counts that are negative
    or not finite, and for shares that leave a band empty.
    """
    counts = _counts(counts)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    before = (np.cumsum(counts[order]) - counts[order]) / max(counts.sum(), 1e-12)
    band = (before >= head - 1e-12).astype(int) + (before >= head + middle - 1e-12)
    bands = {name: order[band == n] for n, name in enumerate(("head", "middle", "tail"))}
    if empty := [name for name, items in bands.items() if not len(items)]:
        raise ColdstartError(f"popularity_bands: shares of {head} and {middle} leave no item for the {empty[0]}")
    return bands


@lru_cache(maxsize=64)
def bands_of(split: Split) -> dict[str, Array]:
    """Return the `popularity_bands` of the training interactions of a split, as item numbers by band [items of it]."""
    return popularity_bands(split.item_counts)


def reserve(scores: Array, members: Array, places: int, k: int, *, each: bool) -> Array:
    """Return `scores` [users, items] plus the least bonus at which `members` [items] hold `places` of the k best.

    The j-th place of a user costs the score of the item that leaves for it, which is the j-th from the end of the k
    best others, less the score of the j-th best member. each=True: so many places in every list (a quota), the bonus
    of a user is the cost of the last. each=False: so many on average at one bonus for all, a price that just buys the
    cheapest places of all users; no other lists with as many members have a larger sum of scores. Members who hold
    their places already get no bonus. Raises ColdstartError unless places is 0 to k and to the number of members.
    """
    members = np.asarray(members, bool)
    if not 0 <= places <= min(k, members.sum()):
        raise ColdstartError(f"reserve: expected 0 to {min(k, members.sum())} places, got {places}")
    # In single precision the least bonus that decides would be lost.
    scores = np.asarray(scores, float)
    if places == 0 or members.all():
        return scores
    cost = _best(scores[:, ~members], k)[:, ::-1] - _best(scores[:, members], k)
    if each:
        bonus = cost[:, places - 1 : places]
    else:
        bought = places * len(cost)
        bonus = np.partition(cost, bought - 1, axis=None)[bought - 1]
    # A bonus that only draws level would leave the place to the rule for ties.
    return scores + np.where(bonus >= 0, bonus + 1e-9 * (1 + np.abs(bonus)), 0) * members


def reranked(split: Split, scores: Array, places: int, k: int, *, each: bool) -> Array:
    """Return `scores` [all users, all items] after `reserve` gave the tail of a split its places, [users, items].

    Items that a user is known to have chosen take no place.
    """
    tail = np.isin(np.arange(scores.shape[1]), bands_of(split)["tail"])
    known = (split.train + split.support).toarray() > 0
    changed = np.array(scores, float)
    changed[split.users] = reserve(np.where(known, -1e6, scores)[split.users], tail, places, k, each=each)
    return changed


def _best(scores: Array, k: int) -> Array:
    last = max(scores.shape[1] - k, 0)
    top = np.sort(np.partition(scores, last, axis=1)[:, last:], axis=1)[:, ::-1]
    return np.pad(top, ((0, 0), (0, k - top.shape[1])), constant_values=-np.inf)


def hypervolume(points: Array, reference: tuple[float, float] = (0.0, 0.0)) -> float:
    """Return the area that `points` [n, 2], larger is better, dominate above `reference` (Zitzler & Thiele 1999).

    Raises ColdstartError for points that are not pairs of finite numbers.
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ColdstartError(f"hypervolume: expected finite points of two numbers, got the shape {points.shape}")
    area = reached = 0.0
    for x, y in sorted(np.maximum(points - reference, 0), key=lambda point: -point[0]):
        area += x * max(y - reached, 0.0)
        reached = max(y, reached)
    return float(area)


# --- Weights for the least-squares loss ------------------------------------------------------------------------------


def inverse_propensity(counts: Array, power: float) -> Array:
    """Return weights [items] 1/p, p ∝ counts^power, the chance to be seen (Schnabel et al. 2016; Saito et al. 2020).

    Scaled so that the mean over all interactions is 1; items without a count weigh as if they had one. Raises
    ColdstartError for a negative power or count.
    """
    if not 0 <= power < np.inf:
        raise ColdstartError(f"power: expected a number of 0 or more, got {power!r}")
    counts = _counts(counts)
    return _per_interaction(counts, np.maximum(counts, 1) ** -power)


def effective_number(counts: Array, beta: float) -> Array:
    """Return weights [items] 1/E, E = (1 − βⁿ)/(1 − β), the effective number of n samples (Cui et al. 2019).

    β = 0 weighs all alike, β → 1 by 1/n. Scaled so that the mean over all interactions is 1. Raises ColdstartError
    for β outside [0, 1), and for a negative count.
    """
    if not 0 <= beta < 1:
        raise ColdstartError(f"beta: expected 0 or more and less than 1, got {beta!r}")
    counts = _counts(counts)
    return _per_interaction(counts, (1 - beta) / (1 - beta ** np.maximum(counts, 1)))


def _counts(counts: Array) -> Array:
    counts = np.asarray(counts, float)
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ColdstartError("counts: expected finite numbers of 0 or more, found another")
    return counts


def _per_interaction(counts: Array, weights: Array) -> Array:
    total = weights @ counts
    return weights * np.sum(counts) / total if total else weights
