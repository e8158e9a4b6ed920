"""Collaborative teachers, EASE and ALS, and what a student of content can learn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import entries_at, feedback, floats
from .als import als_explicit, als_implicit
from .content import bridge
from .least_squares import check_positive, dense

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix


def ease(X: sparse.csr_matrix, reg: float) -> Array:
    """Return item-item weights B [items, items] with zero diagonal that minimise ‖X − XB‖² + reg·‖B‖² (EASE, Steck
    2019).

    B = I − P·diag(1/P_ii), P = (XᵀX + reg·I)⁻¹. Scores of all users are X @ B.
    """
    check_positive(reg)
    X = feedback(X)
    P = linalg.inv(dense(X.T @ X) + reg * np.eye(X.shape[1]), overwrite_a=True, assume_a="pos")
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


def teachers(
    X: sparse.csr_matrix, *, rank: int = 64, reg: float = 10.0, ease_reg: float = 300.0
) -> dict[str, tuple[Matrix, Array]]:
    """Return collaborative models of X [users, warm items] as (user part, item part) whose product is the scores.

    'ALS' gives (U [users, rank], V [warm, rank]), 'EASE' gives (X, Bᵀ [warm, warm]). A `bridge` of the item part to
    cold items carries either over.
    """
    X = feedback(X)
    als = als_implicit(X, rank=min(rank, *X.shape), reg=reg, sweeps=8)
    return {"ALS": (als.U, als.V), "EASE": (X, ease(X, ease_reg).T)}


def principal_scores(users: Matrix, items: Array, rank: int) -> tuple[Array, Array]:
    """Return P [users, rank] with orthonormal columns and T [items, rank] so that P Tᵀ comes nearest to users @ itemsᵀ.

    The best approximation of that rank (Eckart & Young 1936). Since P keeps lengths, an error in a row of T is the
    error in the scores of that item for all users: the measure by which a student of a teacher is to be judged.
    """
    users = users if sparse.issparse(users) else floats(users)
    P, s, Qt = linalg.svd(users @ floats(items).T, full_matrices=False)
    return P[:, :rank], Qt[:rank].T * s[:rank]


def collaborative_targets(
    train: sparse.csr_matrix, ratings: sparse.csr_matrix | None = None
) -> tuple[Array, dict[str, tuple[Array, Array]], Array]:
    """Return the warm items of `train` [users, items], what two teachers learnt of them, and both as one target.

    'chosen' is EASE; 'liked', where there are `ratings` [users, items] that differ, explicit ALS on those of the pairs
    in `train`, a stored 0 among them. Each is (P, T) of `principal_scores`, T [warm, 64 or 16]. The target [items, sum]
    holds every T at a mean squared length of 1 a row, and zeros for items without interactions.
    """
    train = feedback(train)
    warm = np.flatnonzero(np.diff(train.tocsc().indptr))
    X = train[:, warm]
    parts = {"chosen": principal_scores(X, ease(X, 300.0).T, 64)}
    R = None if ratings is None else entries_at(ratings, train)[:, warm]
    # Ratings that are all the same like nothing more than anything else.
    if R is not None and len(np.unique(R.data)) > 1:
        als = als_explicit(R, rank=min(20, *R.shape), reg=0.1)
        parts["liked"] = principal_scores(np.c_[np.ones(len(als.U)), als.U], np.c_[als.item_bias, als.V], 16)
    targets = np.zeros((train.shape[1], sum(T.shape[1] for _, T in parts.values())), np.float32)
    targets[warm] = np.hstack([T / _length(T) for _, T in parts.values()])
    return warm, parts, targets


def _length(T: Array) -> float:
    # Of items that nobody chose together, EASE learns nothing.
    return float(np.sqrt((T**2).sum(axis=1).mean())) or 1.0


def bridged(
    Z: Array, warm: Array, parts: Mapping[str, tuple[Array, Array]], reg: float
) -> dict[str, Callable[[Array, Array], Array]]:
    """Return for each of the `parts` (P, T [warm, t]) the scorer P[u]·t, t by the `bridge` on vectors Z [items, d]."""
    Z = floats(Z, "vectors")
    K = Z @ Z.T

    def scorer(P: Array, T: Array) -> Callable[[Array, Array], Array]:
        return lambda users, items: P[users] @ bridge(K, T, warm, items, reg).T

    return {task: scorer(P, T) for task, (P, T) in parts.items()}
