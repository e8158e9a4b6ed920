"""From a store to a model: factors of items, the bridge to new ones, and the prior of users."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import linalg, sparse

from ..models.evidence import empirical_prior, posterior
from ..models.k_shot import known_sides
from ..models.least_squares import ridge
from .store import FILE, Item, Reader
from .versions import Model, features_of, save, tokens_of

Array = np.ndarray

RANK, REG = 64, 10.0
# Of users and items. Chosen on MovieLens-100K by choices that come before those that chapter 13 tests on.
NOISE, SILENCE = 0.1, 0.03
WELL_KNOWN = 20  # choices an item needs to teach the bridge, and to stand on its choices alone
TAUGHT_BY = 20  # users and items that must have two choices before anything is learnt from them


def learn(folder: Path) -> str:
    """Learn a model from the store in `folder`, save it as the next version, and return its name."""
    with contextlib.closing(Reader(folder / FILE)) as reader:
        reader.db.execute("BEGIN")  # one moment for all that is read
        until, items = reader.latest(), reader.items()
        X = reader.choices([item.number for item in items])
    return save(model_of(items, X, until), folder)


def model_of(items: Sequence[Item], X: sparse.csr_matrix, until: float = 0.0) -> Model:
    """Return the model of `items` and choices X [users, items].

    Factors are those of ALS (64, penalty 10); an item with fewer than `WELL_KNOWN` choices gets the posterior of what
    its content says and of those that it has. Where hardly anybody chose anything, the model is `untaught`.
    """
    counts = np.diff(X.tocsc().indptr)
    if min(np.sum(np.diff(X.indptr) > 1), np.sum(counts > 1)) < TAUGHT_BY:
        return untaught(items, until)
    tokens = sorted({token for item in items for token in tokens_of(item.attributes)})
    F = features_of(np.array([item.vector for item in items]), [item.attributes for item in items], tokens)
    well = np.flatnonzero(counts >= (WELL_KNOWN if np.sum(counts >= WELL_KNOWN) >= TAUGHT_BY else 1))
    sides = known_sides(X, users_are_new=False, rank=RANK, reg=REG)
    centre, mean = F[well].mean(axis=0), sides.own[well].mean(axis=0)
    W = ridge(F[well] - centre, sides.own[well] - mean, REG)
    intercept = mean - centre @ W
    V = sides.own.astype(float)
    few = np.setdiff1d(np.arange(len(items)), well)
    _, spread = empirical_prior(sides.own, well, F @ F.T, reg=REG)
    if len(few):
        guess, silence = intercept + F[few] @ W, SILENCE / NOISE
        V[few] = posterior(X.T.tocsr()[few], sides.other, guess, spread, noise=NOISE, silence=silence)
        V[few[counts[few] == 0]] = guess[counts[few] == 0]
    m, C = prior_of(X, V)
    numbers = np.array([item.number for item in items])
    return Model(numbers, V.astype(np.float32), m, C, NOISE, intercept, W, spread, np.array(tokens), until)


def prior_of(X: sparse.csr_matrix, V: Array) -> tuple[Array, Array]:
    """Return mean [rank] and covariance [rank, rank] of a user before the first event, from choices X and V.

    Mean m and covariance C over known users (`empirical_prior`), and silence, as in `evidence.posterior`: every item
    that the model knows counts as a no with the weight SILENCE: Λ = C⁻¹ + VᵀV·SILENCE/NOISE, Λ⁻¹C⁻¹m. Later items,
    which nobody can have passed over, do not: their arrival changes nobody's belief.
    """
    sides = known_sides(X, users_are_new=True, rank=RANK, reg=REG)
    means, covariance = empirical_prior(sides.own, sides.old)
    inverse = linalg.inv(covariance)
    left = linalg.inv(inverse + SILENCE / NOISE * V.T @ V)
    return left @ inverse @ means[0], left


def untaught(items: Sequence[Item], until: float = 0.0, *, width: int = 384) -> Model:
    """Return the model before anything is known of users: a factor is the text vector, turned at random.

    `width` is the length of text vectors where there are no items yet. Random directions keep products nearly as they
    were (Johnson & Lindenstrauss 1984): who says yes to a text is shown those that are like it.
    """
    width = len(items[0].vector) if items else width
    rank = min(RANK, width)
    directions = linalg.qr(np.random.default_rng(0).standard_normal((width, rank)), mode="economic")[0]
    W, zero = directions * np.sqrt(width / rank), np.zeros(rank)
    V = (features_of(np.array([item.vector for item in items]).reshape(-1, width), [], []) @ W).astype(np.float32)
    numbers = np.array([item.number for item in items], int)
    return Model(numbers, V, zero, np.eye(rank), NOISE, zero, W, np.eye(rank), np.array([], "<U1"), until)


if __name__ == "__main__":
    os.nice(10)  # who is served comes first
    print(learn(Path(sys.argv[1])))
