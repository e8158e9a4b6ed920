"""From one catalogue to another: what was learnt from one audience, used on items and people it never met."""

from __future__ import annotations

import re

import numpy as np
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.splits import Split
from ..models.als import als_implicit, fold_in
from ..models.content import bridge
from .ranking import Scorer, from_factors

Array = np.ndarray


def names_of(dataset: Dataset) -> list[set[frozenset[str]]]:
    """Return the names of each item, each as a set of its words: the title, and what stands in brackets."""
    found = []
    for title in dataset.items["title"]:
        parts = [re.sub(r"\(.*?\)", " ", title), *re.findall(r"\((.*?)\)", title), title]
        words = [frozenset(re.findall(r"\w+", part.lower())) for part in parts]
        found.append({name for name in words if name})
    return found


def not_shared(source: Dataset, target: Dataset) -> Array:
    """Return the rows of `source` whose names no item of `target` has; remakes go too, for a year may be wrong."""
    known = set().union(*names_of(target))
    return np.array([row for row, own in enumerate(names_of(source)) if not own & known], int)


def carried_factors(X: sparse.csr_matrix, K: Array, here: Array, there: Array, *, reg: float = 10.0) -> Array:
    """Return factors of the items `there` [there, rank] as a bridge learnt on the items `here` says.

    X [users, here] are the choices in the first catalogue, K the kernel of all items of both. Nobody in the second
    catalogue has been asked anything.
    """
    factors = als_implicit(X, rank=min(64, *X.shape), reg=10.0, sweeps=8)
    return bridge(K, factors.V, here, there, reg)


def by_carried(split: Split, V: Array, *, reg: float = 30.0, alpha: float = 10.0) -> Scorer:
    """Return the scorer of factors V [items, rank] brought from elsewhere, with each user folded in by choices."""
    return from_factors(fold_in(split.train, V, reg=reg, alpha=alpha), V)
