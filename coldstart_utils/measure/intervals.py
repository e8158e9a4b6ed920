"""Means with 95 % intervals, and p-values that several claims share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

Array = np.ndarray


def estimate(values: Array, *, resampled: bool, extra: float = 0.0) -> tuple[float, float, float, float]:
    """Return the mean of `values` [n], lower and upper end of its 95 % interval, and the p-value of zero.

    The p-value is that of Student's t with the variance of a mean, 1/n + `extra` times that of a value. The interval
    is of the same t, or, if `resampled`, of 4,000 draws with replacement (percentile bootstrap, Efron & Tibshirani
    1993). One value alone has an infinite interval.
    """
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, -np.inf, np.inf, 1.0
    error = float(values.std(ddof=1)) * np.sqrt(1 / n + extra)
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error else float(mean == 0)
    if resampled:
        low, high = np.percentile(_resampling(n) @ values, [2.5, 97.5])
    else:
        half = float(stats.t.ppf(0.975, n - 1)) * error
        low, high = mean - half, mean + half
    return mean, float(low), float(high), p


@lru_cache(maxsize=4)
def _resampling(n: int, draws: int = 4000) -> Array:
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=draws) / n


def holm(p: Array) -> Array:
    """Return the p-values [m] of m tests adjusted so that one false claim among them stays at its level (Holm 1979)."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.sort(p) * np.arange(len(p), 0, -1)))
    return adjusted
