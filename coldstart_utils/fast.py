"""Floor 1: the compiled conjugate-gradient half sweep (extra `[fast]`); the first call compiles, later processes load it."""

from __future__ import annotations

import numpy as np

from .runtime import ColdstartError

try:
    import numba
except ModuleNotFoundError:
    raise ColdstartError("solver 'cg' needs the extra: pip install 'coldstart-utils[fast]'") from None


@numba.njit(fastmath=True, cache=True)
def implicit_cg(indptr, indices, data, start, V, gram, alpha, steps):
    """Return `start` [rows, rank] after `steps` conjugate-gradient steps a row on (gram + V_Jᵀ D V_J) x = V_Jᵀ (1 + d).

    D = diag(d), d = alpha·data over the row's entries J, `gram` [rank, rank] = VᵀV + reg·I (Takács, Pilászy & Tikk 2011).
    """
    rows, rank = start.shape
    result = np.zeros_like(start)
    r, p, Ap = np.empty(rank, V.dtype), np.empty(rank, V.dtype), np.empty(rank, V.dtype)
    for u in range(rows):
        begin, end = indptr[u], indptr[u + 1]
        if begin == end:
            continue
        x = result[u]
        x[:] = start[u]
        r[:] = -np.dot(gram, x)
        for j in range(begin, end):
            v, d = V[indices[j]], alpha * data[j]
            s = V.dtype.type(1 + d - d * np.dot(v, x))
            for k in range(rank):
                r[k] += s * v[k]
        p[:] = r
        error = np.dot(r, r)
        for _ in range(steps):
            if error < 1e-20:
                break
            Ap[:] = np.dot(gram, p)
            for j in range(begin, end):
                v = V[indices[j]]
                s = V.dtype.type(alpha * data[j] * np.dot(v, p))
                for k in range(rank):
                    Ap[k] += s * v[k]
            step = error / np.dot(p, Ap)
            for k in range(rank):
                x[k] += step * p[k]
                r[k] -= step * Ap[k]
            new_error = np.dot(r, r)
            turn = new_error / error
            for k in range(rank):
                p[k] = r[k] + turn * p[k]
            error = new_error
    return result
