"""Ridge with an intercept from sums over rows: parts of the data, wherever they lie, add up to the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..catalogue.matrices import floats
from ..ground import ColdstartError
from .least_squares import check_positive, kernel_ridge

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LinearBridge:
    """From content x [d] to a factor [t]: `intercept` [t] + x·`weights` [d, t]."""

    intercept: Array
    weights: Array

    def of(self, X: Array) -> Array:
        """Return the factors [n, t] that content X [n, d] promises."""
        return self.intercept + floats(X, "content").astype(float) @ self.weights


def moments(X: Array, Y: Array) -> Array:
    """Return S [1 + d + t, 1 + d + t] = Σ zzᵀ over rows z = (1, x, y) of X [n, d] and Y [n, t], float64.

    The moments of two parts of the data add up to those of both. Raises ColdstartError for NaN or infinity.
    """
    X, Y = floats(X, "moments: X").astype(float), floats(Y, "moments: Y").astype(float)
    Z = np.hstack([np.ones((len(X), 1)), X, Y])
    return Z.T @ Z


def ridge_from(S: Array, d: int, reg: float) -> LinearBridge:
    """Return ridge with a free intercept from the `moments` S of n rows with d features, n = S[0, 0].

    W = (C_xx + reg·I)⁻¹C_xy with C_xy = Σxyᵀ − n·x̄ȳᵀ, and the intercept ȳ − x̄W: what `content.bridge` learns from the
    rows themselves. Raises ColdstartError for no row, for another number of features, or unless reg > 0.
    """
    check_positive(reg)
    if not 1 <= d < len(S) - 1:
        raise ColdstartError(f"ridge_from: expected 1 to {len(S) - 2} features of {len(S)} moments, got {d!r}")
    n = S[0, 0]
    if n < 1:
        raise ColdstartError("ridge_from: expected the moments of one row or more, got those of none")
    mean = S[0] / n
    C = S - n * np.outer(mean, mean)
    x, y = slice(1, 1 + d), slice(1 + d, None)
    weights = kernel_ridge(C[x, x], C[x, y], reg)
    return LinearBridge(mean[y] - mean[x] @ weights, weights)
