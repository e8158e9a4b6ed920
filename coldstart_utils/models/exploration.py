"""Showing new items to see who takes them: a replayed bandit, what it starts from, and when it found an audience."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from ..catalogue.matrices import floats
from ..catalogue.splits import Split
from ..ground import ColdstartError
from .als import Factors, als_implicit
from .evidence import empirical_prior

Array = np.ndarray

POLICIES = ("greedy", "thompson", "ucb")


def replay(
    choices: Array, U: Array, mean: Array, covariance: Array, *, noise: float, policy: str, setting: float = 0.0,
    visits: int = 4, places: int = 5, seed: int = 0,
) -> Array:  # fmt: skip
    """Return at which visit each new item was shown to each user, 0, 1, …, and the number of visits for never.

    Users U [users, r] come in random order, `visits` times each, and see the `places` best items that are new to them;
    `choices` [users, new] tells which they take. For each item v ~ N(mean, covariance), x = u·v + e, e ~ N(0, noise),
    updated after each showing. 'greedy' ranks by u·v and fills a place at random with chance `setting` (ε); 'ucb' adds
    `setting` standard deviations (Li et al. 2010); 'thompson' draws (Thompson 1933). Raises ColdstartError for another
    policy, a noise that is not above 0, or a chance outside 0 to 1.
    """
    if policy not in POLICIES or not noise > 0:
        raise ColdstartError(f"replay: expected {', '.join(POLICIES)} and noise above 0, got {policy!r}, {noise!r}")
    if policy == "greedy" and not 0 <= setting <= 1:
        raise ColdstartError(f"replay: expected a chance of 0 to 1 as the setting of 'greedy', got {setting!r}")
    choices, U, mean = floats(choices, "choices"), floats(U, "factors"), floats(mean, "mean").astype(float)
    rng = np.random.default_rng(seed)
    spread = np.repeat(np.asarray(covariance, float)[None], len(mean), axis=0)
    queue = np.concatenate([rng.permutation(len(U)) for _ in range(visits)])
    when = np.full(choices.shape, len(queue))
    for visit, user in enumerate(queue):
        u, fresh = U[user].astype(float), when[user] == len(queue)
        across = (spread.reshape(-1, len(u)) @ u).reshape(mean.shape)
        expected, variance = mean @ u, np.maximum(across @ u, 0)
        index = expected + (setting * np.sqrt(variance) if policy == "ucb" else 0)
        if policy == "thompson":
            index = rng.normal(expected, np.sqrt(variance))
        elif policy == "greedy":
            index[rng.permutation(np.flatnonzero(fresh))[: rng.binomial(places, setting)]] = np.inf
        index[~fresh] = -np.inf
        shown = np.argsort(-index)[: min(places, fresh.sum())]
        gain = across[shown] / (variance[shown] + noise)[:, None]
        mean[shown] += gain * (choices[user, shown] - expected[shown])[:, None]
        spread[shown] -= gain[:, :, None] * across[shown][:, None, :]
        when[user, shown] = visit
    return when


def found_audience(when: Array, choices: Array, takers: int, never: int) -> Array:
    """Return the visit of `replay` at which each new item had `takers` takers [new], and `never` if it found fewer.

    `when` [users, new] is what `replay` returned for these `choices` [users, new], `never` its number of visits. Raises
    ColdstartError unless takers is 1 to the number of users.
    """
    if not 1 <= takers <= len(when):
        raise ColdstartError(f"takers: expected 1 to {len(when)}, got {takers!r}")
    return np.sort(np.where(choices > 0, when, never), axis=0)[takers - 1]


@dataclass(frozen=True, eq=False)
class Explorer:
    """A policy of `replay` on the new items of a split, as a method of a study without knobs.

    It knows the factors of known users and items (ALS, 16 factors, penalty 10); of a new item it believes what
    `empirical_prior` says from the kernel `K` [items, items], or, without one, the mean of the known items.
    """

    policy: str
    setting: float = 0.0
    K: Array | None = None
    visits: int = 4
    seed: int = 0

    @property
    def knobs(self) -> dict[str, float]:
        """Return nothing to tune."""
        return {}

    @lru_cache(maxsize=64)  # noqa: B019 - an explorer lives as long as its notebook
    def replayed(self, split: Split) -> tuple[Array, Array]:
        """Return the new items, ascending, and at which visit each was shown to each user [users, new]."""
        model, warm, new = _tastes(split), split.warm_items, np.sort(split.candidates)
        mean, covariance = empirical_prior(model.V, warm, self.K, reg=1.0)
        # Where everybody chose everything, nothing is left unexplained.
        noise = max(float(np.var(split.train[:, warm].toarray() - model.U @ model.V[warm].T)), 1e-6)
        when = replay(
            split.test[:, new].toarray(), model.U, mean[new], covariance, noise=noise, policy=self.policy,
            setting=self.setting, visits=self.visits, seed=self.seed,
        )  # fmt: skip
        return new, when

    def fit(self, split: Split) -> Callable[[Array, Array], Array]:
        """Return the scorer (users, items) → [users, items] that ranks new items in the order they were shown in."""
        new, when = self.replayed(split)
        order = np.zeros(split.train.shape)
        order[:, new] = -when
        return lambda users, items: order[np.ix_(users, items)]

    def found(self, split: Split, takers: int) -> Array:
        """Return the share of new items that had so many takers after 0, 1, … visits of every user [visits + 1].

        Items that fewer users would take are left out. Raises ColdstartError if all are.
        """
        new, when = self.replayed(split)
        takes = split.test[:, new].toarray()
        wanted = (takes > 0).sum(axis=0) >= takers
        if not wanted.any():
            raise ColdstartError(f"found: no new item has {takers} takers")
        at = found_audience(when, takes, takers, self.visits * len(takes))[wanted]
        return np.array([np.mean(at < visit * len(takes)) for visit in range(self.visits + 1)])


def audiences(explorers: Mapping[str, Explorer], splits: Sequence[Split], takers: int) -> pd.DataFrame:
    """Return the share of new items that `found` so many takers: columns model, fold, dial (visits of every user)."""
    rows = [
        (name, split.seed, float(visits), share)
        for split in splits
        for name, explorer in explorers.items()
        for visits, share in enumerate(explorer.found(split, takers))
    ]
    return pd.DataFrame(rows, columns=["model", "fold", "dial", "found"])


@lru_cache(maxsize=8)
def _tastes(split: Split) -> Factors:
    return als_implicit(split.train, rank=min(16, *split.train.shape), reg=10.0, sweeps=8)
