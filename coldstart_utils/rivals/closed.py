"""Rivals in closed form: MARec, which aligns EASE with metadata, and pseudo-labels of the bridge, used once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import linalg

from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..measure.ranking import Scorer, from_factors
from ..models.content import bridge
from ..models.least_squares import check_positive
from ..models.teachers import ease
from ..models.transfer import teacher_scores

Array = np.ndarray
ZERO_COUNTS = 0.2  # what a pair without a choice counts beside one with, in the published code of MARec


def metadata_weights(X: Array, likeness: list[Array]) -> Array:
    """Return weights μ [blocks] with which Σ_k μ_k X G_k comes nearest to the choices X [users, items].

    `likeness` are the G_k [items, items]; an item may not help to explain itself, so that their diagonals are taken as
    zero. Weighted least squares with an intercept, pairs without a choice counting `ZERO_COUNTS` (Monteil et al. 2024,
    from their code).
    """
    columns = [(X @ G - X * np.diagonal(G)).ravel() for G in likeness]
    A = np.stack([np.ones(X.size, X.dtype), *columns])
    weighted = A * np.where(X.ravel() > 0, 1, ZERO_COUNTS).astype(X.dtype)
    return np.linalg.lstsq(weighted @ A.T, weighted @ X.ravel(), rcond=None)[0][1:]


@dataclass(frozen=True, eq=False)
class Marec:
    """MARec on EASE (Monteil et al. 2024), as a method of a study; `kernels` are cosines of the blocks [items, items].

    min_B ‖X − XB‖² + λ‖B‖² + ‖(XB − X̃)D‖², X̃ = Σ_k μ_k X G_k the scores of neighbours by content, D large where an
    item has few choices. For an item without any the column of B that solves it is, up to a factor that no ranking
    sees, b = (XᵀX + reg·I)⁻¹Xᵀx̃: the scores Xb are those of the neighbours, smoothed by ridge over the users. That is
    what is solved here, for the first-order form of the paper; its products of two blocks are left out.
    """

    kernels: Mapping[str, Array]

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search for the penalty starts."""
        return {"reg": 10.0}

    def fit(self, split: Split, *, reg: float) -> Scorer:
        """Return the scorer learnt from `split.train`. Raises ColdstartError unless reg > 0, or without a kernel."""
        check_positive(reg)
        if not self.kernels:
            raise ColdstartError("Marec: expected the kernel of at least one block, got none")
        X, aligned = _aligned(self, split)
        gram = X.T @ X
        B = linalg.solve(gram + np.float32(reg) * np.eye(len(gram), dtype=np.float32), gram @ aligned, assume_a="pos")
        return from_factors(X, B.T)


@lru_cache(maxsize=4)
def _aligned(marec: Marec, split: Split) -> tuple[Array, Array]:
    """Return the choices X [users, warm] of a split and Σ_k μ_k G_k [warm, items], which no penalty changes."""
    warm, kernels = split.warm_items, list(marec.kernels.values())
    X = split.train[:, warm].toarray().astype(np.float32)
    weights = metadata_weights(X, [K[np.ix_(warm, warm)] for K in kernels])
    aligned = np.zeros((len(warm), len(kernels[0])), np.float32)
    for weight, K in zip(weights, kernels):
        aligned += np.float32(weight) * K[warm]
    return X, aligned


@dataclass(frozen=True, eq=False)
class SelfTraining:
    """Pseudo-labels (Lee 2013): the bridge guesses who will choose a new item, and EASE learns from that as well.

    `K` [items, items] is the kernel of content. The best guesses of all count as choices, `share` times as many a new
    item as a known one has on average; EASE then learns from all, and what it says of the new items is the score. A
    guess does not vote for itself: the diagonal of EASE is zero.
    """

    K: Array
    penalty: float = 300.0

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search for the penalty of the bridge and the share of pseudo-labels starts."""
        return {"reg": 10.0, "share": 1.0}

    def fit(self, split: Split, *, reg: float, share: float) -> Scorer:
        """Return the scorer learnt from `split.train`. Raises ColdstartError unless both knobs are above 0."""
        check_positive(share, "share")
        warm, n = split.warm_items, len(self.K)
        new = np.setdiff1d(np.arange(n), warm)
        guess = bridge(self.K, teacher_scores(split, "EASE").T, warm, new, reg)
        X = split.train.toarray().astype(np.float32)
        labels = int(np.clip(share * len(new) * X.sum() / len(warm), 1, guess.size))
        items, users = np.divmod(np.argpartition(-guess.ravel(), labels - 1)[:labels], len(X))
        X[users, new[items]] = 1
        B = ease(X, self.penalty).astype(np.float32)
        return from_factors(X, B.T)
