"""The warm table of `recommenders`, re-stated: known users, a quarter of their ratings hidden, lists of ten."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.matrices import entries_at
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.als import als_explicit, als_implicit
from ..models.teachers import ease
from .metrics import top_k
from .ranking import Scorer, from_factors, from_items, from_matrix

Array = np.ndarray
HIDDEN, LISTED, HALF_LIFE = 0.25, 10, 30.0  # a share of ratings, items, days


def sar(ratings: sparse.csr_matrix, times: sparse.csr_matrix | None, half_life: float = HALF_LIFE) -> Array:
    """Return the scores [users, items] of SAR from `ratings` and the seconds `times` of the same pairs.

    Affinity is a rating that counts half after `half_life` days before the last rating of all; two items are alike by
    the Jaccard index of who rated them; a score is the sum of affinities times likeness (smart adaptive
    recommendations, as `recommenders` sets it). Without times a rating keeps its weight. Raises ColdstartError for
    times of other pairs.
    """
    pairs = (ratings.indptr, ratings.indices)
    if times is not None and not all(map(np.array_equal, pairs, (times.indptr, times.indices))):
        raise ColdstartError("sar: expected a time for each rating, in the same order")
    chosen = sparse.csr_matrix((np.ones(ratings.nnz), ratings.indices, ratings.indptr), shape=ratings.shape)
    together = (chosen.T @ chosen).toarray()
    own = np.diag(together)
    either = own[:, None] + own - together
    alike = np.divide(together, either, out=np.zeros_like(together), where=either > 0)
    weight = ratings.data.astype(float)
    if times is not None:
        weight = weight * 0.5 ** ((times.data.max() - times.data) / (86_400 * half_life))
    return sparse.csr_matrix((weight, ratings.indices, ratings.indptr), shape=ratings.shape) @ alike


def scorers(split: Split, ratings: sparse.csr_matrix, times: sparse.csr_matrix | None) -> dict[str, Scorer]:
    """Return the methods of the re-stated table by name, each learnt from `split.train`; none has settings to tune.

    `ratings` and `times` [users, items] are those of all pairs; only pairs of the training part are read.
    """
    train, rank = split.train, min(64, *split.train.shape)
    stars = entries_at(ratings, train)
    explicit = als_explicit(stars, rank=min(10, *train.shape), reg=0.05)
    implicit = als_implicit(train, rank=rank, reg=30.0)
    return {
        "popularity": from_items(np.diff(train.tocsc().indptr)),
        "explicit ALS, by rating": explicit.score,
        "SAR, re-stated": from_matrix(sar(stars, None if times is None else entries_at(times, train))),
        "implicit ALS": from_factors(implicit.U, implicit.V),
        "EASE": from_matrix(train @ ease(train, 300.0)),
    }


def listed_counts(scorers_of: dict[str, Scorer], split: Split, k: int = LISTED) -> pd.Series:
    """Return for each scorer the median number of training ratings of the items in its lists of k."""
    counts, users, candidates = split.item_counts, split.users, split.candidates
    known = split.train[users][:, candidates].tocoo()
    found = {}
    for name, scorer in scorers_of.items():
        scores = np.array(scorer(users, candidates), dtype=float)
        scores[known.row, known.col] = -np.inf
        found[name] = float(np.median(counts[candidates[top_k(scores, min(k, len(candidates)))]]))
    return pd.Series(found)
