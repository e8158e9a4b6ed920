"""What is believed of a factor before any answer, and after some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from ..models import als, evidence, least_squares

Array = np.ndarray

TOP_K, RANK, REG = 20, 32, 10.0
# Chosen on MovieLens-100K apart from the chapters' seeds: for the order of users of one new item on 60 films drawn by
# seed 400, for the lists of new users on the split of seed 1234.
ITEM, USER = {"noise": 0.3, "silence": 0.1}, {"noise": 0.03, "silence": 0.3}


@dataclass(frozen=True)
class Belief:
    """What is believed of a factor before any answer: N(mean + f·W, covariance), f its features [d], W [d, rank].

    Without features it is N(mean, population), `population` [rank, rank] the covariance over all factors. Answers meet
    `other` [m, rank], the factors of the other side; `axes` [rank, 2] lead from a factor to the map.
    """

    other: Array
    mean: Array
    W: Array
    covariance: Array
    population: Array
    axes: Array

    def guess(self, features: Array) -> Array:
        """Return the means [n, rank] for rows of `features` [n, d], or of none [n, 0]."""
        return self.mean + features @ self.W[: features.shape[1]]


def answered(belief: Belief, guess: Array, V: Array, y: Array, noise: float, silence: float) -> tuple[Array, ...]:
    """Return `evidence.posterior` of one row in parts: the guess after silence [rank], what each answer y [n]
    about V [n, rank] adds to it [n, rank], and the covariance that is left [rank, rank].
    """
    inverse = linalg.inv(belief.covariance)
    precision = inverse + silence * belief.other.T @ belief.other
    guess = linalg.solve(precision, inverse @ guess)
    left = linalg.inv(precision + V.T @ V / noise)
    return guess, ((y - V @ guess) / noise)[:, None] * (V @ left), left


def arrived(
    belief: Belief, guess: Array, covariance: Array, V: Array, *, noise: float, silence: float
) -> tuple[Array, Array]:
    """Return the means [n + 1, rank] and covariances [n + 1, rank, rank] of a factor x ~ N(guess, covariance) before
    and after each of n choices of it, made one after another by those with factors V [n, rank].

    Row 0 is the guess itself; from the first choice on silence counts, as in `evidence.posterior`. Each choice is one
    step of recursive least squares (Plackett 1950).
    """
    inverse = linalg.inv(covariance)
    precision = inverse + silence * belief.other.T @ belief.other
    mean, left = linalg.solve(precision, inverse @ guess), linalg.inv(precision)
    means, covariances = [guess], [covariance]
    for v in V:
        known = left @ v
        gain = known / (noise + v @ known)
        mean, left = mean + gain * (1 - v @ mean), left - np.outer(gain, known)
        means.append(mean)
        covariances.append(left)
    return np.array(means), np.array(covariances)


def factors(X: sparse.csr_matrix, kept: Array) -> tuple[Array, Array]:
    """Return the factors of users [m, rank] and items [n, rank] of X [m, n] by ALS, zeros for items not `kept`."""
    model = als.als_implicit(X[:, kept], rank=min(RANK, X.shape[0], len(kept)), reg=REG, sweeps=8)
    V = np.zeros((X.shape[1], model.V.shape[1]))
    V[kept] = model.V
    return model.U.astype(float), V


def believed(
    known: Array, rows: Array, features: Array, other: Array, points: Array | None = None, *, alike: Array | None = None
) -> Belief:
    """Return what the factors `known` [n, rank] of `rows` teach about any other, from features [n, d] or none [n, 0].

    `points` [n, 2] are where those factors lie on the map, if they do. `alike` [n, n] is features·featuresᵀ, for who
    has it already.
    """
    mean = known[rows].mean(axis=0)
    population = evidence.empirical_covariance(known, rows, reg=REG)
    W, covariance = np.zeros((0, known.shape[1])), population
    if features.shape[1]:
        alike = features @ features.T if alike is None else alike
        covariance = evidence.empirical_covariance(known, rows, alike, reg=REG)
        W = least_squares.ridge(features[rows], known[rows] - mean, REG)
    axes = np.zeros((len(mean), 2))
    if points is not None and len(points) == len(known):
        axes = np.linalg.lstsq(known[rows], points[rows], rcond=None)[0]
    return Belief(other, mean, W, covariance, population, axes)
