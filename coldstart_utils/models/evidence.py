"""Prior and posterior of a factor, and which answers would teach most about it."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import floats, places, stored
from ..ground import ColdstartError
from .content import bridge, left_out
from .least_squares import check_positive, solve_rows

Array = np.ndarray


def empirical_prior(factors: Array, old: Array, K: Array | None = None, *, reg: float = 10.0) -> tuple[Array, Array]:
    """Return what is believed of all n factors before a rating: means [n, rank] and one covariance [rank, rank].

    `factors` [n, rank] are known for the rows `old`. The mean is a `bridge` from K [n, n] around their average (only
    the average without K), the covariance that of its misses when left out: empirical Bayes (Efron & Morris 1975).
    """
    factors, old = _known(factors, old)
    mean = np.tile(factors[old].mean(axis=0, dtype=float), (len(factors), 1))
    if K is not None:
        mean = prior_means(factors, old, K, np.arange(len(factors)), reg=reg)
    return mean, empirical_covariance(factors, old, K, reg=reg)


def empirical_covariance(factors: Array, old: Array, K: Array | None = None, *, reg: float = 10.0) -> Array:
    """Return the covariance [rank, rank] of `empirical_prior` alone, without its means, in half the time."""
    factors, old = _known(factors, old)
    average = factors[old].mean(axis=0, dtype=float)
    misses = factors[old] - average
    if K is not None:
        misses = left_out(K, misses, old, reg)
    covariance = np.atleast_2d(np.cov(misses.T))
    # Factors may lie in fewer directions than they have numbers; the others get a thousandth of the mean spread, or,
    # where all known factors are the same, of their length.
    spread = np.trace(covariance) / len(covariance) or np.square(average).mean() or 1.0
    return covariance + 1e-3 * spread * np.eye(len(covariance))


def _known(factors: Array, old: Array) -> tuple[Array, Array]:
    factors, old = floats(factors, "factors"), places(old, len(factors), "old")
    if len(old) < 2:
        raise ColdstartError(f"empirical_prior: expected at least two rows that are known, got {len(old)}")
    return factors, old


def prior_means(factors: Array, old: Array, K: Array, rows: Array, *, reg: float = 10.0) -> Array:
    """Return the means of `empirical_prior` with the kernel K of some `rows` only [rows, rank]."""
    average = factors[old].mean(axis=0, dtype=float)
    return average + bridge(K, factors[old] - average, old, rows, reg)


def posterior(
    X: sparse.csr_matrix, V: Array, prior: Array, covariance: Array, *, noise: float, silence: float = 0.0
) -> Array:
    """Return the posterior means [rows of X, rank] of factors x ~ N(prior, covariance) after the answers stored in X.

    An answer y_j (1 yes, a stored 0 no) about V_j is x·V_j and noise of variance `noise`. With J the answered, x = m +
    (noise·Λ + V_JᵀV_J)⁻¹V_Jᵀ(y − V_J m), Bayesian linear regression (Lindley & Smith 1972). Λ = covariance⁻¹, m =
    prior; `silence` counts every item as a no with that weight beforehand, Λ += silence·VᵀV, m = Λ⁻¹covariance⁻¹prior.
    Without it a row without answers keeps its prior [rows of X, rank]. Raises ColdstartError for shapes that do not
    fit, NaN, a noise that is not positive, a negative silence, or a covariance that is none.
    """
    check_positive(noise, "noise")
    if not 0 <= silence < np.inf:
        raise ColdstartError(f"silence: expected a number of 0 or more, got {silence!r}")
    X, V, prior = stored(X, "posterior: answers").astype(float), floats(V, "posterior: V"), np.asarray(prior, float)
    covariance, rank = np.asarray(covariance, float), V.shape[1]
    shapes = {"answers": (X.shape[0], len(V)), "prior": (X.shape[0], rank), "covariance": (rank, rank)}
    for (name, expected), found in zip(shapes.items(), (X, prior, covariance)):
        if found.shape != expected:
            raise ColdstartError(f"posterior: expected {name} of shape {expected}, got {found.shape}")
        if not np.isfinite(found.data if found is X else found).all():
            raise ColdstartError(f"posterior: expected finite {name}, found NaN or infinity")
    try:
        linalg.cholesky(covariance)
        inverse = linalg.inv(covariance)
    except linalg.LinAlgError:
        raise ColdstartError("posterior: expected a positive definite covariance, got another matrix") from None
    if not np.allclose(covariance, covariance.T, atol=1e-8 * np.abs(covariance).max()):
        raise ColdstartError("posterior: expected a symmetric covariance")
    precision = inverse + silence * (V.T @ V)
    if silence:
        prior = prior @ linalg.solve(precision, inverse, assume_a="pos").T
    row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    unexplained = X.data - np.einsum("nk,nk->n", prior[row], V[X.indices])
    return prior + solve_rows(X, np.full(X.nnz, noise), unexplained, V, precision)


def ask_first(V: Array, covariance: Array, n: int, *, noise: float, goal: Array | None = None) -> Array:
    """Return the n items [n] whose answers shrink the uncertainty about x ~ N(m, covariance) fastest, first to last.

    Each next item has the largest v·C·v, C the covariance given the ones before: the greatest gain in log det C⁻¹, a
    greedy D-optimal design (Fedorov 1972). With a `goal` G [rank, rank], such as VᵀV, it is the greatest fall of
    trace(G·C), the summed variance of the scores: I-optimal. It needs no answers. Raises ColdstartError unless 1 <= n
    <= items.
    """
    check_positive(noise, "noise")
    if not 1 <= n <= len(V):
        raise ColdstartError(f"ask_first: expected 1 to {len(V)} items, got {n!r}")
    V = floats(V, "ask_first: V")
    C: Array = floats(covariance, "ask_first: covariance").astype(float)
    chosen: list[int] = []
    for _ in range(n):
        seen = V @ C
        gain = variance = np.einsum("nk,nk->n", seen, V)
        if goal is not None:
            gain = np.einsum("nk,nk->n", seen @ goal, seen) / (noise + variance)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        known = C @ V[chosen[-1]]
        C = C - np.outer(known, known) / (noise + known @ V[chosen[-1]])
    return np.array(chosen)
