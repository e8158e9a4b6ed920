"""The map of a catalogue: where its items lie, and what its directions mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from ..models import teachers
from .belief import factors

Array = np.ndarray

AGREES = 0.6  # rank correlation with the number of choices from which on an axis is called by it
MANY = 15  # items that a token must have before it names a pole


@dataclass(frozen=True)
class Pole:
    """One end of an axis: what lies there, by the tokens that are most of it; '' where nothing tells the ends apart.

    `popular` is true where it is the end of items that many choose, false where few do, None for another axis.
    """

    tokens: str
    popular: bool | None = None


@dataclass(frozen=True)
class Atlas:
    """Factors of users U [m, rank] and items V [n, rank] from all choices, and the map of the items.

    `points` [n, 2] are where they lie, zeros for items without a choice: the two directions in which expected choices
    differ most. `x` and `y` are the poles of each axis, low end first.
    """

    U: Array
    V: Array
    points: Array
    x: tuple[Pole, Pole]
    y: tuple[Pole, Pole]


def mapped(X: sparse.csr_matrix, tokens: list[str], has: Array) -> Atlas:
    """Return the map of a catalogue from its interactions X [users, items] and the marks `has` [items, tokens]."""
    counts = np.asarray(X.sum(axis=0)).ravel()
    warm = np.flatnonzero(counts)
    U, V = factors(X, warm)
    points = np.zeros((X.shape[1], 2))
    points[warm] = teachers.principal_scores(U, V[warm], 2)[1]
    # To the right and above are the items that are chosen by more.
    points *= np.where(points.sum(axis=0) < 0, -1, 1)
    x, y = (_poles(points[warm, axis], counts[warm], tokens, has[warm]) for axis in (0, 1))
    return Atlas(U, V, points, x, y)


def _poles(place: Array, counts: Array, tokens: list[str], has: Array) -> tuple[Pole, Pole]:
    """Return what lies at the low and the high end of an axis, by the places [n] of items."""
    agreement = float(stats.spearmanr(place, counts)[0]) if len(set(counts)) > 1 else 0.0
    if abs(agreement) > AGREES:
        return Pole("", agreement < 0), Pole("", agreement > 0)
    # Items that few chose lie near the middle, whatever they are.
    place, has = place[counts > counts.mean()], has[counts > counts.mean()]
    often = np.flatnonzero(has.sum(axis=0) >= MANY)
    lift = {tokens[t]: _lift(place, has[:, t] > 0) for t in often}
    order = sorted(lift, key=lambda token: lift[token])
    low = [token for token in order if lift[token] < 0][:2]
    high = [token for token in reversed(order) if lift[token] > 0][:2]
    return Pole(", ".join(low)), Pole(", ".join(high))


def _lift(place: Array, own: Array) -> float:
    """Return by how many standard errors the items with a token lie above the others."""
    if own.all():
        return 0.0
    error = np.sqrt(place[own].var() / own.sum() + place[~own].var() / (~own).sum())
    return float((place[own].mean() - place[~own].mean()) / max(error, 1e-12))
