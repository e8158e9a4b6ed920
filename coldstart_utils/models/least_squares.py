"""Ridge regression, by features, by its kernel, and row by row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import floats, rows_of
from ..ground import ColdstartError

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix


def ridge(X: Matrix, Y: Array, reg: float) -> Array:
    """Return W [d, t] that minimises ‖XW − Y‖² + reg·‖W‖² (Hoerl & Kennard 1970), X [n, d], Y [n, t].

    W = (XᵀX + reg·I)⁻¹XᵀY, or the same through the smaller system W = Xᵀ(XXᵀ + reg·I)⁻¹Y when n < d.
    Raises ColdstartError if `reg` is not positive.
    """
    check_positive(reg)
    X, Y = rows_of(X, "ridge: X"), floats(Y, "ridge: Y")
    n, d = X.shape
    if n < d:
        return X.T @ kernel_ridge(dense(X @ X.T), Y, reg)
    return _solve(dense(X.T @ X), X.T @ Y, reg)


def kernel_ridge(K: Array, Y: Array, reg: float) -> Array:
    """Return the dual weights A = (K + reg·I)⁻¹Y [n, t]; predictions for new rows are K_new A. K [n, n] = XXᵀ.

    Raises ColdstartError if `reg` is not positive.
    """
    check_positive(reg)
    return _solve(floats(K, "kernel_ridge: K"), floats(Y, "kernel_ridge: Y"), reg)


def solve_rows(X: sparse.csr_matrix, e: Array, f: Array, V: Array, Q: Array) -> Array:
    """Return x [rows, rank] that minimises Σ_J (v_j·x − f_j)²/e_j + xᵀQx for every row of X, with entries at items J.

    `e` and `f` stand in the order of X.data, Q [rank, rank] is positive definite. Z = V·L⁻ᵀ, with Q = LLᵀ, turns Q into
    the identity; with B = E^-½ Z_J and g = E^-½ f the solution is (I + BᵀB)⁻¹Bᵀg, a system of size rank, and just as
    well Bᵀ(I + BBᵀ)⁻¹g, one of size |J|: the push-through identity. Each row takes the smaller.
    """
    e, f, V = floats(e, "solve_rows: e"), floats(f, "solve_rows: f"), floats(V, "solve_rows: V")
    back = linalg.inv(linalg.cholesky(np.asarray(Q, float), lower=True))
    Z = (V @ back.T).astype(V.dtype)
    scale = (1 / np.sqrt(e)).astype(V.dtype)
    g = (f * scale).astype(V.dtype)
    # One LAPACK call a row: Cholesky is half the work of numpy.linalg.solve, and rows of any length need no padding.
    (posv,) = linalg.get_lapack_funcs(("posv",), (Z,))

    def solve(gram: Array, right: Array) -> Array:
        gram.flat[:: len(gram) + 1] += 1
        return posv(gram.T, right, overwrite_a=True)[1]

    result = np.zeros((X.shape[0], V.shape[1]), V.dtype)
    for row, (begin, end) in enumerate(pairwise(X.indptr.tolist())):
        if begin == end:
            continue
        B, right = Z[X.indices[begin:end]] * scale[begin:end, None], g[begin:end]
        small = len(B) < B.shape[1]
        result[row] = solve(B @ B.T, right) @ B if small else solve(B.T @ B, right @ B)
    return result @ back.astype(V.dtype)


def _solve(gram: Array, right: Array, reg: float) -> Array:
    gram = np.array(gram)  # in C order, where the step of the next line is the diagonal
    gram.flat[:: len(gram) + 1] += reg
    return linalg.solve(gram, right, assume_a="pos", overwrite_a=True)


def check_positive(value: float, name: str = "reg") -> None:
    """Raise ColdstartError, with the `name` of the setting, unless `value` is above 0 and finite."""
    if not 0 < value < np.inf:
        raise ColdstartError(f"{name}: expected a number above 0, got {value!r}")


def dense(matrix: Matrix) -> Array:
    """Return a sparse or dense matrix as a NumPy array of the same shape."""
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
