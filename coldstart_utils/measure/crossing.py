"""From one catalogue to another: what was learnt from one audience, used on items and people it never met."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.splits import Split
from ..models.als import fold_in
from ..models.content import bridge
from ..models.k_shot import known_sides
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


@dataclass(frozen=True, eq=False)
class Carried:
    """Factors of items that a bridge guesses from their content, with each user folded in by choices.

    Fitted on a catalogue it ranks that catalogue's new items: so its settings are chosen. Its `factors` for the
    items of another one need nobody there. `K` [all, all] is the kernel of the items of both; `rows` are those of the
    catalogue it is fitted on.
    """

    K: Array
    rows: Array

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search starts: penalty of the bridge, penalty and trust of the fold-in."""
        return {"reg": 10.0, "pull": 30.0, "alpha": 10.0}

    def factors(self, X: sparse.csr_matrix, known: Array, asked: Array, reg: float) -> Array:
        """Return factors of the rows `asked` of K [asked, rank].

        X [users, known] holds the choices among the rows `known`.
        """
        return bridge(self.K, known_sides(X, users_are_new=False).own, known, asked, reg)

    def fit(self, split: Split, *, reg: float, pull: float, alpha: float) -> Scorer:
        """Return the scorer of a split of the own catalogue."""
        warm = split.warm_items
        return by_carried(split, self.factors(split.train[:, warm], self.rows[warm], self.rows, reg), pull, alpha)


def by_carried(split: Split, V: Array, pull: float, alpha: float) -> Scorer:
    """Return the scorer of factors V [items, rank] brought from elsewhere, with each user folded in by choices."""
    return from_factors(fold_in(split.train, V, reg=pull, alpha=alpha), V)
