"""The compiled conjugate-gradient half sweep (extra `[fast]`); the first call compiles, later ones load it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..catalogue.matrices import floats
from ..ground import ColdstartError

try:
    import numba
except ModuleNotFoundError:
    raise ColdstartError("solver 'cg' needs the extra: pip install 'coldstart-utils[fast]'") from None

Array = np.ndarray


def implicit_cg(
    indptr: Array, indices: Array, data: Array, start: Array, V: Array, gram: Array, alpha: float, steps: int
) -> Array:
    """Return `start` [rows, rank] after `steps` conjugate-gradient steps a row on (gram + V_JᵀDV_J) x = V_Jᵀ(1 + d).

    D = diag(d), d = alpha·data over the row's entries J, `gram` [rank, rank] = VᵀV + reg·I (Takács et al. 2011).
    `gram` = LLᵀ is also the preconditioner: in the coordinates Lᵀx it is the identity, so that nothing is left to
    multiply by it, and two steps come nearer to the solution than three without.
    """
    V = floats(V, "factors")
    start = np.asarray(start, V.dtype)
    L = np.linalg.cholesky(np.asarray(gram, float))
    back = np.linalg.inv(L)
    L, Z = L.astype(V.dtype), (V @ back.T).astype(V.dtype)
    weight = (alpha * data).astype(V.dtype)
    return _descend(indptr, indices, weight, start @ L, Z, steps) @ back.astype(V.dtype)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return numba.njit(fastmath=True, cache=True)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache folder can anything be kept
        return numba.njit(fastmath=True)(function)


@_compiled
def _descend(indptr: Array, indices: Array, weight: Array, start: Array, Z: Array, steps: int) -> Array:
    result = np.zeros_like(start)
    for row in range(len(start)):
        begin, end = indptr[row], indptr[row + 1]
        if begin == end:
            continue
        # Copied side by side, the vectors stay in the nearest cache for all steps.
        B, d = Z[indices[begin:end]], weight[begin:end]
        x = start[row].copy()
        r = np.dot(1 + d - d * np.dot(B, x), B) - x
        p = r.copy()
        error = np.dot(r, r)
        for _ in range(steps):
            if error < 1e-20:
                break
            Ap = p + np.dot(d * np.dot(B, p), B)
            step = error / np.dot(p, Ap)
            x += step * p
            r -= step * Ap
            error, old = np.dot(r, r), error
            p = r + error / old * p
        result[row] = x
    return result
