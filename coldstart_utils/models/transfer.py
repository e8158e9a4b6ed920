"""The estimator of the series: what a teacher says of known items, carried to new ones by their content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from ..catalogue.splits import Split
from ..ground import ColdstartError
from .als import als_implicit
from .content import bridge, neighbour_scores, product_kernel
from .teachers import ease

Array = np.ndarray
TEACHERS = ("EASE", "ALS", "choices")
JOINS = {"sum": np.add, "max": np.maximum}


@lru_cache(maxsize=8)
def teacher_scores(split: Split, teacher: str) -> Array:
    """Return what a teacher that learnt `split.train` says of its warm items, float32 [users, warm].

    'EASE' (Steck 2019, penalty 300), 'ALS' (Hu et al. 2008, 64 factors, penalty 10), or 'choices': nothing is learnt,
    the interactions speak for themselves. The last few answers are kept, since all methods of a study ask for the same.
    Raises ColdstartError for another teacher.
    """
    X = split.train[:, split.warm_items]
    if teacher == "EASE":
        return np.asarray(X @ ease(X, 300.0), np.float32)
    if teacher == "ALS":
        als = als_implicit(X, rank=min(64, *X.shape), reg=10.0, sweeps=8)
        return als.U @ als.V.T
    if teacher == "choices":
        return X.toarray().astype(np.float32)
    raise ColdstartError(f"teacher: expected one of {', '.join(TEACHERS)}, got {teacher!r}")


@dataclass(frozen=True, eq=False)
class Transfer:
    """Scores of new items by ridge from their content to the scores of a teacher (cf. Gantner et al. 2010).

    `kernels` (block name → [items, items], see `block_kernels`) say how alike items are; they are added. `weighted`
    tunes a weight for each, `product` joins them by a Gaussian kernel with a tuned spread, and `own` adds a tuned share
    of each user's choices themselves to what the teacher says.
    """

    kernels: Mapping[str, Array]
    teacher: str = "EASE"
    weighted: bool = False
    product: bool = False
    own: bool = False

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search for settings starts: the penalty `reg`, and what else is tuned."""
        knobs = {"reg": 10.0}
        if self.product:
            knobs["spread"] = 2.0
        if self.own:
            knobs["own"] = 0.3
        if self.weighted:
            knobs |= dict.fromkeys(self.kernels, 1.0)
        return knobs

    def kernel(self, spread: float | None = None, **weights: float) -> Array:
        """Return the joint kernel [items, items] for a spread (None: the sum) and weights of blocks (else 1).

        Raises ColdstartError without a kernel, or for a weight of a block that is not there.
        """
        if not self.kernels:
            raise ColdstartError("Transfer: expected the kernel of at least one block, got none")
        if unknown := sorted(set(weights) - set(self.kernels)):
            raise ColdstartError(f"Transfer: expected weights of {', '.join(self.kernels)}, got one of {unknown[0]!r}")
        names = iter(self.kernels)
        first = next(names)
        K = np.float32(weights.get(first, 1.0)) * self.kernels[first]
        for name in names:
            K += np.float32(weights.get(name, 1.0)) * self.kernels[name]
        return K if spread is None else product_kernel(K, spread)

    def fit(
        self, split: Split, *, reg: float, spread: float | None = None, own: float = 0.0, **weights: float
    ) -> Callable[[Array, Array], Array]:
        """Return the scorer (users, items) → [users, items] of items that `split.train` knows nothing about.

        Raises ColdstartError as `kernel`, for a teacher that is not known, and (when it is called) unless reg > 0.
        """
        K, warm = self.kernel(spread, **weights), split.warm_items
        taught = teacher_scores(split, self.teacher)
        if own:
            taught = taught + np.float32(own) * teacher_scores(split, "choices")
        return lambda users, items: bridge(K, taught[users].T, warm, items, reg).T


@dataclass(frozen=True, eq=False)
class LateFusion:
    """One `Transfer` for each block, whose scores are joined: 'sum' adds them, 'max' takes the largest.

    `kernels` as in `Transfer`. All blocks share one penalty. Raises ColdstartError for another way to join.
    """

    kernels: Mapping[str, Array]
    join: str = "sum"

    def __post_init__(self) -> None:
        if self.join not in JOINS:
            raise ColdstartError(f"join: expected one of {', '.join(JOINS)}, got {self.join!r}")

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search for the penalty starts."""
        return {"reg": 10.0}

    def fit(self, split: Split, *, reg: float) -> Callable[[Array, Array], Array]:
        """Return the scorer (users, items) → [users, items] of items that `split.train` knows nothing about."""
        towers = [Transfer({name: block}).fit(split, reg=reg) for name, block in self.kernels.items()]
        return lambda users, items: JOINS[self.join].reduce([tower(users, items) for tower in towers])


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Scores of new items by the known items most like them in content: the rival that learns nothing.

    `kernels` as in `Transfer`; how many `neighbours` count is tuned.
    """

    kernels: Mapping[str, Array]

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search for the number of neighbours starts."""
        return {"neighbours": 50.0}

    def fit(self, split: Split, *, neighbours: float) -> Callable[[Array, Array], Array]:
        """Return the scorer (users, items) → [users, items] of items that `split.train` knows nothing about."""
        K, warm, k = reduce(np.add, self.kernels.values()), split.warm_items, max(1, round(neighbours))
        return lambda users, items: neighbour_scores(split.train[users], K, warm, items, k)
