"""Taking a concept out of vectors so that no linear model finds it again, and moving them no further than needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ..catalogue.matrices import floats
from ..ground import ColdstartError

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Eraser:
    """What `leace` learnt: the `mean` [d] of the vectors, and the `map` [d, d] of what is taken from the rest."""

    mean: Array
    map: Array

    def __call__(self, vectors: Array) -> Array:
        """Return the vectors [n, d] without the concept."""
        vectors = floats(vectors, "vectors")
        return vectors - (vectors - self.mean) @ self.map.T


def leace(vectors: Array, concept: Array) -> Eraser:
    """Return the eraser of a concept [n] or [n, c], learnt from vectors [n, d] (LEACE, Belrose et al. 2023).

    With W = Σ^{-1/2} the whitening of the vectors, Σ their covariance and σ that with the concept, x becomes x − W⁺ P W
    (x − mean), P the projection onto the columns of Wσ. Then no linear function of x is correlated with the concept,
    and no other affine map that does this moves x less in the mean square. Raises ColdstartError for vectors that are
    all the same, and for a concept that is constant or does not fit.
    """
    X, z = floats(vectors, "vectors").astype(float), floats(concept, "concept").astype(float)
    z = z.reshape(len(z), -1)
    if X.ndim != 2 or len(z) != len(X):
        raise ColdstartError(f"leace: expected a concept for each of {len(X)} vectors, got {len(z)}")
    if not np.ptp(z, axis=0).all():
        raise ColdstartError("leace: expected a concept that differs between the vectors, got a constant")
    mean = X.mean(axis=0)
    X, z = X - mean, z - z.mean(axis=0)
    spread, axes = linalg.eigh(X.T @ X / len(X))
    # Directions in which the vectors do not differ hold nothing to erase.
    kept = spread > 1e-9 * spread.max()
    if not kept.any():
        raise ColdstartError("leace: expected vectors that differ, got the same everywhere")
    root, axes = np.sqrt(spread[kept]), axes[:, kept]
    seen = (axes / root).T @ (X.T @ z / len(X))
    inside, size, _ = linalg.svd(seen, full_matrices=False)
    # Columns of 0 and 1 for all groups sum to 1: one direction of so many would be nobody's, and erased for nothing.
    inside = inside[:, size > 1e-9 * np.sqrt((z**2).mean(axis=0).sum())]
    return Eraser(mean, (axes * root) @ inside @ inside.T @ (axes / root).T)
