"""Ranking metrics for all users at once, in NumPy alone.

Every `…_at_k` function takes `hits` [users, K] (True where the item at that rank is relevant; a list shorter than k
has no further hits), and where it needs it `n_relevant` [users], and returns one number per user [users]. Ties in
scores are broken by item id, ascending. Each raises ColdstartError for k below 1 and counts that do not fit.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..catalogue.matrices import floats
from ..ground import ColdstartError
from ..models.scores import top_k as top_k

Array = np.ndarray


def hit_matrix(ranked: Array, relevant: sparse.csr_matrix) -> Array:
    """Return hits [users, K]: whether item `ranked[u, r]` is stored (and not zero) in row u of `relevant`.

    −1 says that nothing more was found. Raises ColdstartError for an item that `relevant` [users, items] has not.
    """
    relevant = sparse.csr_matrix(relevant)
    ranked = _listed(ranked, relevant.shape[1])
    rows, columns = relevant.nonzero()
    keys = np.sort(rows * np.int64(relevant.shape[1]) + columns)
    wanted = np.arange(len(ranked))[:, None] * np.int64(relevant.shape[1]) + ranked
    if not len(keys):
        return np.zeros(ranked.shape, bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return (keys[place] == wanted) & (ranked >= 0)


def _listed(ranked: Array, items: int) -> Array:
    whole = np.asarray(ranked).astype(np.int64, copy=False)
    if whole.size and not -1 <= whole.min() <= whole.max() < items:
        raise ColdstartError(f"lists: expected items of 0 to {items - 1}, or −1 for none, found another")
    return whole


def recall_at_k(hits: Array, n_relevant: Array, k: int) -> Array:
    """Return |top k ∩ relevant| / |relevant| (trec_eval's `recall_k`); LensKit divides by min(k, n) instead."""
    return _first(hits, k).sum(axis=1) / np.maximum(_counts(n_relevant, hits), 1)


def precision_at_k(hits: Array, k: int) -> Array:
    """Return |top k ∩ relevant| / k (trec_eval's `P_k`)."""
    return _first(hits, k).sum(axis=1) / k


def f1_at_k(hits: Array, n_relevant: Array, k: int) -> Array:
    """Return 2PR / (P + R), the harmonic mean of precision and recall at k (van Rijsbergen 1979); 0 without a hit."""
    return 2 * _first(hits, k).sum(axis=1) / (k + np.maximum(_counts(n_relevant, hits), 1))


def ndcg_at_k(hits: Array, n_relevant: Array, k: int) -> Array:
    """Return DCG / ideal DCG with gain 1 and discount log2(rank + 1) (Järvelin & Kekäläinen 2002)."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    first, wanted = _first(hits, k), _counts(n_relevant, hits)
    ideal = np.concatenate([[1.0], np.cumsum(discount)])[np.minimum(wanted, k)]
    return first @ discount[: first.shape[1]] / np.where(wanted > 0, ideal, 1.0)


def graded_ndcg_at_k(ranked: Array, grades: sparse.csr_matrix, k: int) -> Array:
    """Return DCG / ideal DCG of lists `ranked` [rows, K] with the grade as gain (Järvelin & Kekäläinen 2002).

    `grades` [rows, items] stores grades above 0; what is not stored counts as 0, and so does −1, where nothing more was
    found. A row without grades gets 0. Raises ColdstartError for an item that `grades` has not.
    """
    grades = sparse.csr_matrix(grades)
    ranked = _listed(ranked, grades.shape[1])[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    gain = grades[np.arange(len(ranked))[:, None], np.maximum(ranked, 0)]
    gain = np.where(ranked >= 0, gain.toarray() if sparse.issparse(gain) else np.asarray(gain), 0)
    best = [np.sort(grades.data[start:end])[::-1][:k] for start, end in zip(grades.indptr, grades.indptr[1:])]
    ideal = np.array([row @ discount[: len(row)] for row in best])
    return gain @ discount[: gain.shape[1]] / np.where(ideal > 0, ideal, 1.0)


def mrr_at_k(hits: Array, k: int) -> Array:
    """Return 1 / rank of the first hit within k, else 0 (Voorhees 1999)."""
    hits = _first(hits, k)
    return np.where(hits.any(axis=1), 1 / (np.argmax(hits, axis=1) + 1), 0.0)


def hit_rate_at_k(hits: Array, k: int) -> Array:
    """Return 1 where at least one of the top k is relevant, else 0."""
    return _first(hits, k).any(axis=1).astype(float)


def _first(hits: Array, k: int) -> Array:
    hits = np.asarray(hits)
    if k < 1:
        raise ColdstartError(f"k: expected 1 or more, got {k}")
    return hits[:, :k] > 0


def _counts(n_relevant: Array, hits: Array) -> Array:
    counts = np.asarray(n_relevant).astype(np.int64)
    if counts.shape != (len(hits),) or (counts < 0).any():
        raise ColdstartError(f"n_relevant: expected {len(hits)} numbers of 0 or more, got {n_relevant!r:.80}")
    return counts


def auc(scores: Array, relevant: Array) -> Array:
    """Return per row the chance that a relevant item outscores another, ties half (Mann & Whitney 1947); NaN if
    undefined.

    `scores` and the boolean `relevant` are [users, items]. Raises ColdstartError for shapes that differ.
    """
    from scipy.stats import rankdata

    scores, relevant = floats(scores, "scores"), floats(relevant, "relevant") > 0
    if scores.shape != relevant.shape:
        raise ColdstartError(f"auc: expected relevant of the shape {scores.shape}, got {relevant.shape}")
    positives = relevant.sum(axis=1)
    negatives = relevant.shape[1] - positives
    rank_sum = (rankdata(scores, axis=1) * relevant).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def auc_within(labels: Array, scores: Array, groups: Array) -> Array:
    """Return for each distinct group (a user, ascending) the AUC of its own pairs [n]; NaN where a label is missing.

    The chance that a liked item of this user outscores one that is not; what users differ in cancels. Ties count half.
    """
    from scipy.stats import rankdata

    labels, scores = np.asarray(labels, float) > 0, floats(scores, "scores")
    _, group = np.unique(groups, return_inverse=True)
    order = np.lexsort([scores, group])
    # Ranks of all pairs sorted by group, then score, less the pairs of the groups before, are ranks within the group.
    key = np.cumsum(np.r_[0, (np.diff(scores[order]) != 0) | (np.diff(group[order]) != 0)])
    size = np.bincount(group)
    rank = rankdata(key) - (np.cumsum(size) - size)[group[order]]
    positive = np.bincount(group, labels)
    rank_sum = np.bincount(group[order], rank * labels[order])
    with np.errstate(invalid="ignore", divide="ignore"):
        return (rank_sum - positive * (positive + 1) / 2) / (positive * (size - positive))


def coverage(ranked: Array, n_items: int) -> float:
    """Return the share of the `n_items` candidates that stand in at least one user's list (Ge et al. 2010)."""
    return len(np.unique(ranked)) / n_items


def gini(exposure: Array) -> float:
    """Return the Gini index of `exposure` [items]: 0 all items shown alike, towards 1 one item shown alone.

    Raises ColdstartError for exposure below 0.
    """
    x = np.sort(np.asarray(exposure, float))
    n = len(x)
    if n and not x[0] >= 0:
        raise ColdstartError("gini: expected exposures of 0 or more, found another")
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum())) if x.sum() else 0.0


def novelty(ranked: Array, popularity: Array) -> Array:
    """Return the mean of −log2 p(item) over each list, bits (Castells et al. 2011), p with add-one smoothing.

    `popularity` [items] counts interactions.
    """
    popularity = np.asarray(popularity, float)
    p = (popularity + 1) / (popularity.sum() + len(popularity))
    return -np.log2(p)[ranked].mean(axis=1)
