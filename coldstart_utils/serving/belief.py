"""What is believed of a user: a normal distribution of their factor, and what one more answer makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Belief:
    """x ~ N(mean, covariance): `mean` [rank], `covariance` [rank, rank]; an answer y about an item with factor v is
    x·v and noise of variance `noise`.
    """

    mean: Array
    covariance: Array
    noise: float

    def after(self, v: Array, y: float) -> Belief:
        """Return the belief after one answer y about v [rank], in O(rank²).

        With k = C v and g = k/(noise + v·k): mean + g(y − v·mean), C − gkᵀ (Sherman & Morrison 1950).
        """
        known = self.covariance @ v
        gain = known / (self.noise + v @ known)
        mean = self.mean + gain * (y - v @ self.mean)
        return Belief(mean, self.covariance - np.outer(gain, known), self.noise)

    def corrected(self, v: Array, change: float) -> Belief:
        """Return the belief after an answer about v [rank] that has counted already changes by so much.

        What was asked stays, so C stays: mean + C v·change/noise.
        """
        return Belief(self.mean + self.covariance @ v * (change / self.noise), self.covariance, self.noise)

    def after_all(self, V: Array, y: Array) -> Belief:
        """Return the belief after answers y [n] about V [n, rank], all at once: (C⁻¹ + VᵀV/noise)⁻¹.

        Through the smaller of two systems, of size n or rank (Woodbury 1950).
        """
        if not len(V):
            return self
        known = V @ self.covariance
        if len(V) < len(self.mean):
            S = linalg.cho_factor(known @ V.T + self.noise * np.eye(len(V)))
            gain = linalg.cho_solve(S, known).T
            covariance = self.covariance - gain @ known
        else:
            covariance = linalg.inv(linalg.inv(self.covariance) + V.T @ V / self.noise)
            gain = covariance @ V.T / self.noise
        return Belief(self.mean + gain @ (y - V @ self.mean), (covariance + covariance.T) / 2, self.noise)

    def parts(self, prior: Belief, V: Array, y: Array, items: Array) -> tuple[Array, Array]:
        """Return what the scores of `items` [m, rank] are made of: the prior's part [m], and each answer's [m, n].

        The mean is m + Σ_j C v_j(y_j − v_j·m)/noise, so that the parts of an item add up to its score.
        """
        gains = (V @ self.covariance) * ((y - V @ prior.mean) / self.noise)[:, None]
        return items @ prior.mean, items @ gains.T
