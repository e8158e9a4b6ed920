"""What is done with scores, whatever made them: the best of a row, ranks, one scale, several made into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from ..catalogue.matrices import floats
from ..ground import ColdstartError

Array = np.ndarray


def top_k(scores: Array, k: int) -> Array:
    """Return the columns of the k largest scores of each row [users, k], score descending, then column ascending.

    Raises ColdstartError if k is not in 1 … columns or a score is NaN.
    """
    scores = np.asarray(scores)
    scores = scores if scores.dtype.kind == "f" else floats(scores, "scores")
    if isinstance(k, float) or not 1 <= k <= scores.shape[1]:
        raise ColdstartError(f"k: expected 1 to {scores.shape[1]} (the number of candidates), got {k}")
    if np.isnan(scores).any():
        raise ColdstartError("scores: expected numbers, found NaN")
    last = scores.shape[1] - k
    threshold = np.partition(scores, last, axis=1)[:, last : last + 1]
    chosen = scores >= threshold
    if chosen.sum() > k * len(scores):  # ties for the last place, rare in real scores and slow to settle
        tied = scores == threshold
        room = k - (chosen & ~tied).sum(axis=1, keepdims=True)
        chosen &= ~tied | (np.cumsum(tied, axis=1) <= room)
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def rank_of(scores: Array, items: Array) -> Array:
    """Return the rank, from 1, of one item of each row [rows] by the order of `top_k`: ties go to the lower column.

    `scores` [rows, items]. Raises ColdstartError for a score that is NaN, of which no order is known.
    """
    if np.isnan(scores).any():
        raise ColdstartError("rank_of: expected numbers as scores, found NaN")
    own = scores[np.arange(len(scores)), items][:, None]
    before = np.arange(scores.shape[1]) < np.asarray(items)[:, None]
    return 1 + (scores > own).sum(axis=1) + ((scores == own) & before).sum(axis=1)


def standardised(scores: Array) -> Array:
    """Return the scores [rows, items] with mean 0 and standard deviation 1 in each row, zeros where all are equal."""
    # The mean of equal scores may miss them by rounding, and a deviation of that size would make ones of it.
    varied = (scores != scores[:, :1]).any(axis=1, keepdims=True)
    deviation = np.where(varied, scores.std(axis=1, keepdims=True), np.inf)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-12)


def mixture(parts: Sequence[Array], weights: Sequence[float] | None = None) -> Array:
    """Return Σ_b η_b·`standardised`(parts[b]) [rows, items], all η 1 by default.

    Late fusion. A part of one row, such as the popularity of the items, serves all rows.
    Raises ColdstartError for weights that do not fit.
    """
    weights = [1.0] * len(parts) if weights is None else list(weights)
    if not parts or len(weights) != len(parts):
        told = f"got {len(weights)} weights"
        raise ColdstartError(f"mixture: expected one or more parts and a weight for each, {told}")
    total = np.zeros((1, 1))
    for weight, part in zip(weights, parts):
        total = total + weight * standardised(np.atleast_2d(part))
    return total


def reciprocal_ranks(lists: Sequence[Array], k: int, *, constant: float = 60.0) -> tuple[Array, Array]:
    """Return the k best items of several ranked `lists` [rows, length] of each row, and their scores [rows, k].

    An item's score is Σ 1/(constant + rank) over the lists that have it: reciprocal rank fusion, which needs no scores
    (Cormack, Clarke & Büttcher 2009). Ties go to the lower item. Raises ColdstartError if k is not in 1 … the length of
    the longest list.
    """
    longest = max(part.shape[1] for part in lists)
    if not 1 <= k <= longest:
        raise ColdstartError(f"reciprocal_ranks: expected k from 1 to {longest}, got {k!r}")
    worth = np.concatenate([1 / (constant + np.arange(1, part.shape[1] + 1)) for part in lists])
    found, scores = np.empty((len(lists[0]), k), int), np.empty((len(lists[0]), k))
    for row, joined in enumerate(np.concatenate(lists, axis=1)):
        items, place = np.unique(joined, return_inverse=True)
        total = np.bincount(place, worth)
        best = np.argsort(-total, kind="stable")[:k]
        found[row], scores[row] = items[best], total[best]
    return found, scores


def learnt_weights(parts: Sequence[Array], right: Array, *, reg: float = 0.1) -> Array:
    """Return the weights [parts] of a `mixture` under which the right item of each row [rows] is the likeliest.

    Maximises the mean of ln softmax(Σ_b w_b z_b)_right − reg/2·|w|², z the standardised parts: conditional logit
    (McFadden 1974). It is concave, so there is one best answer.
    """
    rows = np.arange(len(right))
    z = np.stack([np.broadcast_to(standardised(np.atleast_2d(part)), parts[0].shape) for part in parts])

    def cost(weights: Array) -> tuple[float, Array]:
        logits = np.tensordot(weights, z, 1)
        chance = special.softmax(logits, axis=1)
        likelihood = (logits[rows, right] - special.logsumexp(logits, axis=1)).mean()
        slope = (z[:, rows, right] - np.einsum("ri,bri->br", chance, z)).mean(axis=1)
        return reg / 2 * weights @ weights - likelihood, reg * weights - slope

    return optimize.minimize(cost, np.ones(len(parts)), jac=True, method="L-BFGS-B").x
