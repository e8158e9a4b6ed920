"""One matrix of item features for all: what kernels and networks see of the content is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from scipy import linalg

from ..ground import ColdstartError
from ..models.content import block_kernels

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix


@dataclass(frozen=True, eq=False)
class Features:
    """Item features `F` [items, d] and their kernel `K` = FFᵀ [items, items]; `kept` is the share of the blocks in it.

    `F` comes nearest to the content kernel of all blocks among matrices of its width (Eckart & Young 1936): the share
    is that of its trace.
    """

    F: Array
    K: Array
    kept: float

    @property
    def inputs(self) -> Array:
        """Return F as networks like their inputs, float32 [items, d]: around zero, rows of length 1 on average."""
        centred = self.F - self.F.mean(axis=0)
        return centred / np.float32(np.sqrt(np.square(centred).sum(axis=1).mean()) or 1)


def features_of(blocks: Mapping[str, Matrix], most: int = 1024) -> Features:
    """Return what the `blocks` of item features [items, d_b] say, in at most `most` numbers an item.

    Each block has rows of unit length, so that all count alike, and K = Σ_b X_b X_bᵀ (`content_kernel`). A linear map
    or a ridge on F says what it would say on the blocks side by side, but for what the width cuts off. Raises
    ColdstartError for no block, or a width below 1.
    """
    if not blocks:
        raise ColdstartError("features_of: expected at least one block of item features, got none")
    if most < 1:
        raise ColdstartError(f"features_of: expected a width of 1 or more, got {most!r}")
    K = reduce(np.add, block_kernels(blocks).values())
    n = len(K)
    values, vectors = linalg.eigh(K, subset_by_index=[max(n - most, 0), n - 1])
    there = values > 1e-6 * max(values[-1], 1e-12)
    values, vectors = values[there][::-1], vectors[:, there][:, ::-1]
    F = np.asarray(vectors * np.sqrt(values), np.float32)
    return Features(F, F @ F.T, float(values.sum() / max(np.trace(K), 1e-12)))
