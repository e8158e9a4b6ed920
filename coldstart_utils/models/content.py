"""Kernels of item content, neighbours by them, and the bridge from content to a collaborative model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import floats, places, rows_of
from ..ground import ColdstartError
from .least_squares import check_positive, dense, kernel_ridge

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix


def unit_rows(matrix: Matrix) -> Matrix:
    """Return the matrix [n, d], dense or sparse, with every row scaled to length 1; a row of zeros stays zero."""
    matrix = rows_of(matrix, "features")
    if sparse.issparse(matrix):
        length = sparse.linalg.norm(matrix, axis=1)
        return sparse.diags_array(1 / np.where(length > 0, length, 1)) @ matrix
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(length > 0, length, 1)


def content_kernel(blocks: Sequence[Matrix], weights: Sequence[float] | None = None) -> Array:
    """Return K [items, items] = Σ_b w_b X_b X_bᵀ over blocks of item features, each row scaled to unit length in each
    block.

    Blocks add like kernels: long texts cannot drown genre and year. A row of zeros stays zero. A weight (else 1) is a
    penalty: ridge on K shrinks block b by reg/w_b. Raises ColdstartError for no block, blocks of other numbers of rows,
    or weights that do not fit.
    """
    if not blocks:
        raise ColdstartError("content_kernel: expected at least one block of item features")
    weights = [1.0] * len(blocks) if weights is None else list(weights)
    if len(weights) != len(blocks) or not all(0 <= weight < np.inf for weight in weights):
        raise ColdstartError(f"content_kernel: expected {len(blocks)} weights of 0 or more, got {weights}")
    units = [unit_rows(block) for block in blocks]
    if len({unit.shape[0] for unit in units}) > 1:
        raise ColdstartError(f"content_kernel: expected one row an item, got {[unit.shape[0] for unit in units]}")
    return reduce(np.add, (w * dense(unit @ unit.T) for w, unit in zip(weights, units)))


def product_kernel(K: Array, spread: float = 1.0) -> Array:
    """Return s·exp(−D²/(spread·s)) [items, items], D²_ij = K_ii + K_jj − 2K_ij, s the mean of K_ii: a Gaussian kernel.

    Of a sum K = Σ_b K_b it is a product over blocks: in K one block can make two items alike, here all must agree
    (Shawe-Taylor & Cristianini 2004, ch. 3); the wider the spread, the nearer to the sum. Raises ColdstartError if K
    is zero everywhere or `spread` not positive.
    """
    check_positive(spread, "spread")
    K = floats(K, "product_kernel: K")
    diagonal = np.diagonal(K)
    check_positive(scale := float(diagonal.mean()), "product_kernel: the mean of the diagonal of K")
    return scale * np.exp((2 * K - diagonal[:, None] - diagonal) / (spread * scale))


def neighbour_scores(X: sparse.csr_matrix, K: Array, warm: Array, cold: Array, k: int) -> Array:
    """Return scores [users, cold]: for each cold item the summed similarity of its k nearest warm items the user chose.

    K [items, items] is a similarity, X [users, items] the interactions. Warm items that tie for the last of the k
    places (shared genres) share them in equal parts: no order of ids may choose, and no item get more neighbours.
    Raises ColdstartError for k below 1, and for interactions with other items than those of K.
    """
    X, warm, cold = rows_of(X, "interactions"), places(warm, len(K), "warm"), places(cold, len(K), "cold")
    similarity = floats(K[np.ix_(warm, cold)], "neighbour_scores: K")
    if k < 1:
        raise ColdstartError(f"neighbour_scores: expected 1 neighbour or more, got {k!r}")
    if X.shape[1] != len(K):
        raise ColdstartError(f"neighbour_scores: expected interactions with {len(K)} items, got {X.shape[1]} columns")
    if not len(warm):
        return np.zeros((X.shape[0], len(cold)))
    k = min(k, len(warm))
    cut = np.partition(similarity, len(warm) - k, axis=0)[len(warm) - k]
    near = 1e-9 * np.abs(similarity).max(initial=0)
    above, tied = similarity > cut + near, np.abs(similarity - cut) <= near
    share = (k - above.sum(axis=0)) / tied.sum(axis=0)
    return X[:, warm] @ (similarity * (above + tied * share))


def bridge(K: Array, targets: Array, warm: Array, new: Array, reg: float) -> Array:
    """Return what `targets` [warm, t] of the warm items say about `new` items [new, t], by ridge on their content.

    targets are item parts of a collaborative model: factors, so that an item nobody has rated gets one (Gantner et al.
    2010), or the scores of a teacher to distil. An intercept, the mean over the warm items, is not penalised: with ȳ
    the mean of the targets the result is ȳ + K_new,warm (K_warm,warm + reg·I)⁻¹ (targets − ȳ), both parts of the kernel
    centred over the warm items (ridge by its kernel, Saunders et al. 1998). Raises ColdstartError unless reg > 0, and
    without a warm item.
    """
    warm, new, targets = places(warm, len(K), "warm"), places(new, len(K), "new"), floats(targets, "targets")
    if not len(warm):
        raise ColdstartError("bridge: expected at least one warm item to learn from, got none")
    inside, across = centred(K, warm, new)
    mean = targets.mean(axis=0)
    if targets.shape[1] > len(new):
        return mean + kernel_ridge(inside, across.T, reg).T @ (targets - mean)
    return mean + across @ kernel_ridge(inside, targets - mean, reg)


def centred(K: Array, warm: Array, new: Array) -> tuple[Array, Array]:
    """Return K[warm, warm] and K[new, warm] as if the mean features of the warm items were subtracted from all.

    Features X, of which K = XXᵀ, need not be known (Schölkopf, Smola & Müller 1998).
    """
    warm, new = places(warm, len(K), "warm"), places(new, len(K), "new")
    inside, across = (floats(K[np.ix_(rows, warm)], "kernel") for rows in (warm, new))
    mean = inside.mean(axis=0)
    own = across.mean(axis=1, keepdims=True)
    return inside - mean - mean[:, None] + mean.mean(), across - own - mean + mean.mean()


def doubt(K: Array, warm: Array, new: Array, reg: float) -> Array:
    """Return how uncertain a `bridge` is about each new item [new]: K_ii − k_i (K_warm + reg·I)⁻¹ k_iᵀ, centred.

    The variance of a Gaussian process with this kernel and noise `reg` (Rasmussen & Williams 2006, ch. 2), the same for
    all targets: large where no known item is like the new one.
    """
    warm, new = places(warm, len(K), "warm"), places(new, len(K), "new")
    inside, across = centred(K, warm, new)
    rows = floats(K[np.ix_(new, warm)], "kernel")
    own = K[new, new] - 2 * rows.mean(axis=1) + floats(K[np.ix_(warm, warm)], "kernel").mean()
    return own - np.einsum("iw,wi->i", across, kernel_ridge(inside, across.T, reg))


def block_kernels(blocks: Mapping[str, Matrix]) -> dict[str, Array]:
    """Return the `content_kernel` of each block of item features alone, float32 [items, items], by its name."""
    return {name: content_kernel([block]).astype(np.float32) for name, block in blocks.items()}


def left_out(K: Array, targets: Array, warm: Array, reg: float) -> Array:
    """Return by how much a `bridge` misses each warm item that it did not learn from [warm, t], all in one solve.

    The leave-one-out residual of ridge with an intercept is ((reg·A − 11ᵀ/n)·targets)_i / (reg·A_ii − 1/n), A =
    (K + reg·I)⁻¹ for the centred kernel of the n warm items (PRESS, Allen 1974). Raises ColdstartError unless reg > 0,
    and for fewer than two warm items.
    """
    check_positive(reg)
    warm, targets = places(warm, len(K), "warm"), floats(targets, "targets")
    if (n := len(warm)) < 2:
        raise ColdstartError(f"left_out: expected at least two warm items, of which one can be left out, got {n}")
    inside, _ = centred(K, warm, warm[:0])
    A = reg * linalg.inv(inside + reg * np.eye(n), overwrite_a=True, assume_a="pos")
    return (A @ targets - targets.mean(axis=0)) / (np.diag(A)[:, None] - 1 / n)
