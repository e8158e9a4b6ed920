"""What is believed of a factor before any answer, and after some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from ..models import als, evidence, least_squares
from ..models.content import unit_rows

Array = np.ndarray

TOP_K, RANK, REG = 20, 32, 10.0
# Chosen on MovieLens-100K apart from the chapters' seeds: for the order of users of one new item on 60 films drawn by
# seed 400, for the lists of new users on the split of seed 1234.
ITEM, USER = {"noise": 0.3, "silence": 0.1}, {"noise": 0.03, "silence": 0.3}


@dataclass(frozen=True)
class Belief:
    """What is believed of a factor before any answer: N(mean + f·W, covariance), f its features [d], W [d, rank].

    Answers meet `other` [m, rank], the factors of the other side; `axes` [rank, 2] lead from a factor to the map.
    """

    other: Array
    mean: Array
    W: Array
    covariance: Array
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


def _als(X: sparse.csr_matrix, kept: Array) -> tuple[Array, Array]:
    model = als.als_implicit(X[:, kept], rank=min(RANK, X.shape[0], len(kept)), reg=REG, sweeps=8)
    V = np.zeros((X.shape[1], model.V.shape[1]))
    V[kept] = model.V
    return model.U.astype(float), V


def _belief(factors: Array, rows: Array, features: Array, other: Array, points: Array | None = None) -> Belief:
    K = features @ features.T if features.shape[1] else None
    _, covariance = evidence.empirical_prior(factors, rows, K, reg=REG)
    mean, W = factors[rows].mean(axis=0), np.zeros((0, factors.shape[1]))
    if features.shape[1]:
        W = least_squares.ridge(features[rows], factors[rows] - mean, REG)
    fits = points is not None and len(points) == len(factors)
    axes = np.linalg.lstsq(factors[rows], points[rows], rcond=None)[0] if fits else np.zeros((len(mean), 2))
    return Belief(other, mean, W, covariance, axes)


def _unit(vector: Array) -> Array:
    return unit_rows(vector[None])[0]
