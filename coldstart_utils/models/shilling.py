"""Fake profiles that push a new item, and how much a prior from its text holds against them, or gives way to truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.splits import Split
from ..ground import ColdstartError
from .als import fold_in
from .evidence import empirical_prior, posterior, prior_means
from .k_shot import known_sides

Array = np.ndarray
REG = 1.0  # the penalty of the bridge from content to factors


class Newcomers:
    """The new items of a split as beliefs about their factors, before and after answers.

    `K` [items, items] is a kernel of content, or None: then every new item is the average one at first. `noise` is the
    variance of what the factors do not explain of a choice. Before a rival is pushed, every new item has had a true
    yes of `yes` people who chose it, where it has so many.
    """

    def __init__(self, split: Split, K: Array | None, *, k: int = 20, yes: int = 3, seed: int = 0) -> None:
        sides = known_sides(split.train, users_are_new=False, rank=16)
        self.split, self.users, self.known, self.k = split, sides.other, sides.own, k
        self.new = np.sort(split.candidates)
        warm = split.warm_items
        self.prior, self.covariance = empirical_prior(sides.own, warm, K, reg=REG)
        unexplained = split.train[:, warm].toarray() - self.users @ sides.own[warm].T
        self.noise = max(float(np.var(unexplained)), 1e-6)
        self.rivals = np.array([self._after_true(item, yes, seed) for item in self.new])

    def _after_true(self, item: int, yes: int, seed: int) -> Array:
        chose = self.split.test[:, [item]].nonzero()[0]
        some = np.random.default_rng([seed, item]).permutation(chose)[:yes]
        return self.answered(item, np.ones(len(some)), self.users[some]) if len(some) else self.prior[item]

    def prior_by(self, K: Array, item: int) -> Array:
        """Return the prior mean [rank] of a new item by another kernel K [items, items], as with another text."""
        return prior_means(self.known, self.split.warm_items, K, np.array([item]), reg=REG)[0]

    def exposure(self, item: int, factor: Array) -> float:
        """Return the share of real users in whose list of k new items `item` stands, if its factor [rank] is this.

        All other new items have had their few true answers.
        """
        rivals = self.users @ self.rivals[self.new != item].T
        place = min(self.k, rivals.shape[1]) - 1
        return float(np.mean(self.users @ factor > -np.partition(-rivals, place, axis=1)[:, place] + 1e-9))

    def answered(self, item: int, answers: Array, by: Array, prior: Array | None = None) -> Array:
        """Return the factor [rank] of an item after `answers` [n], 1 or 0, of those with the factors `by` [n, rank].

        `prior` [rank] replaces what is believed beforehand, as an attacked text does.
        """
        row = sparse.csr_matrix((answers, (np.zeros(len(answers), int), np.arange(len(answers)))), (1, len(by)))
        first = self.prior[[item]] if prior is None else np.asarray(prior)[None]
        return posterior(row, by, first, self.covariance, noise=self.noise)[0]


def fake_profiles(split: Split, n: int, *, filler: int = 30, seed: int = 0) -> sparse.csr_matrix:
    """Return n profiles [n, items] of users who do not exist: half of their `filler` is well known, half is random.

    A bandwagon attack (Mobasher et al. 2007). Raises ColdstartError for fewer than one.
    """
    if n < 1:
        raise ColdstartError(f"fake_profiles: expected at least one, got {n!r}")
    rng, warm = np.random.default_rng(seed), split.warm_items
    best = warm[np.argsort(-split.item_counts[warm], kind="stable")[: 2 * filler]]
    chosen = []
    for _ in range(n):
        famous = rng.choice(best, min(filler, len(best)) // 2 + 1, replace=False)
        others = rng.choice(warm, min(filler, len(warm)) // 2, replace=False)
        chosen.append(np.union1d(famous, others))
    ends = np.cumsum([0, *map(len, chosen)])
    return sparse.csr_matrix((np.ones(ends[-1]), np.concatenate(chosen), ends), (n, split.train.shape[1]))


def pushed(newcomers: Newcomers, items: Sequence[int] | Array, counts: Sequence[int], *, seed: int = 0) -> pd.DataFrame:
    """Return the exposure of each item after as many fake yes: columns item, dial (fakes), exposure.

    Fake profiles get their factors as real ones do, from the known items that they chose (`als.fold_in`).
    """
    fakes = fold_in(fake_profiles(newcomers.split, max(max(counts), 1), seed=seed), newcomers.known, reg=10.0)
    rows = []
    for item in items:
        for n in counts:
            factor = newcomers.answered(item, np.ones(n), fakes[:n]) if n else newcomers.prior[item]
            rows.append((item, float(n), newcomers.exposure(item, factor)))
    return pd.DataFrame(rows, columns=["item", "dial", "exposure"])


def undone(newcomers: Newcomers, item: int, prior: Array, counts: Sequence[int]) -> list[tuple[float, float]]:
    """Return (answers, exposure) of an item with this `prior` [rank] after the true answers of those shown it first.

    Those with the highest scores are shown it first; what they chose in the test is their yes, the rest their no.
    """
    order = np.argsort(-(newcomers.users @ prior), kind="stable")
    truth = newcomers.split.test[:, [item]].toarray().ravel() > 0
    found = []
    for n in counts:
        asked = order[:n]
        factor = newcomers.answered(item, truth[asked] * 1.0, newcomers.users[asked], prior) if n else prior
        found.append((float(n), newcomers.exposure(item, factor)))
    return found
