"""How alike items are by several blocks of content at once: one kernel, whose blocks are weighted and joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import optimize, sparse

from ..catalogue.matrices import places, rows_of
from ..ground import ColdstartError
from .content import unit_rows
from .least_squares import check_positive, dense

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix


class Likeness:
    """Cosines of items [rows, columns], block by block, from `blocks` of features [items, d].

    An item about which a block says nothing (a row of zeros) gets the mean of the `known` items and something of its
    own: its distance to all others is the mean distance, and no two such items are alike. Raises ColdstartError for no
    block, one without a finite number or with another number of rows, and for blocks that say nothing of any known
    item.
    """

    def __init__(self, blocks: Mapping[str, Matrix], known: Array) -> None:
        if not isinstance(blocks, Mapping) or not blocks:
            raise ColdstartError("blocks: expected a name and a matrix of item features for at least one block")
        features = {name: unit_rows(_narrow(block, f"block {name!r}")) for name, block in blocks.items()}
        rows = {name: block.shape[0] for name, block in features.items()}
        if len(set(rows.values())) > 1:
            raise ColdstartError(f"blocks: expected one row an item in each, got {rows}")
        self.items = next(iter(rows.values()))
        known = places(known, self.items, "known")
        said = {name: _lengths(block) > 0 for name, block in features.items()}
        self.features = {name: block for name, block in features.items() if said[name][known].any()}
        if not self.features:
            raise ColdstartError("blocks: none of them says anything about an item that is known")
        self.silent = {name: ~said[name] for name in self.features}
        self.means = {name: _mean(block, known[said[name][known]]) for name, block in self.features.items()}

    def of(self, name: str, rows: Array, columns: Array) -> Array:
        """Return the cosines of one block, float32 [rows, columns]."""
        block, mean, silent = self.features[name], self.means[name], self.silent[name]
        K = np.asarray(dense(block[rows] @ block[columns].T), np.float32)
        left, right = silent[rows], silent[columns]
        K[left] = dense(block[columns] @ mean)
        K[:, right] = dense(block[rows] @ mean)[:, None]
        K[np.ix_(left, right)] = mean @ mean
        if silent.any():
            K[(rows[:, None] == columns) & left[:, None]] = 1
        return K

    def mixed(self, weights: Mapping[str, float], rows: Array, columns: Array) -> Array:
        """Return the weighted mean of the cosines of the blocks, float32 [rows, columns]."""
        K = np.zeros((len(rows), len(columns)), np.float32)
        for name, weight in shares(weights).items():
            K += np.float32(weight) * self.of(name, rows, columns)
        return K

    def joined(self, weights: Mapping[str, float], spread: float, rows: Array, columns: Array) -> Array:
        """Return the kernel of the blocks with these weights, float32 [rows, columns], by `product`."""
        return product(self.mixed(weights, rows, columns), spread)


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights above 0 as shares of their sum; ColdstartError for one below 0, or none above."""
    total = sum(weights.values())
    if not 0 < total < np.inf or min(weights.values()) < 0:
        raise ColdstartError(f"weights: expected numbers of 0 or more, one of them above 0, got {dict(weights)}")
    return {name: weight / total for name, weight in weights.items() if weight > 0}


def product(K: Array, spread: float) -> Array:
    """Return exp(−2(1 − K)/spread), a Gaussian kernel of cosines K [rows, columns]: 2(1 − K) is the squared distance.

    Of a weighted sum of cosines it is a product over the blocks: all must agree (Shawe-Taylor & Cristianini 2004, ch.
    3). The wider the spread, the nearer to the sum. Raises ColdstartError unless spread > 0.
    """
    check_positive(spread, "spread")
    return np.exp((K - 1) * np.float32(2 / spread))


def alignment(kernels: Mapping[str, Array], target: Array) -> dict[str, float]:
    """Return weights of 0 or more that sum to 1, with which the kernels [n, n] come nearest to a `target` [n, n].

    All are centred and compared off their diagonal, by least squares without negative weights (Cortes, Mohri &
    Rostamizadeh 2012). Equal weights where nothing helps.
    """
    names = list(kernels)
    columns = [_off_diagonal(kernels[name]) for name in names]
    wanted = _off_diagonal(target)
    gram = np.array([[a @ b for b in columns] for a in columns], float)
    weights, _ = optimize.nnls(gram, np.array([column @ wanted for column in columns], float))
    total = weights.sum()
    return dict(zip(names, weights / total if total > 0 else np.full(len(names), 1 / len(names))))


def chosen_together(X: sparse.csr_matrix) -> Array:
    """Return the cosines of the audiences of the items of X [users, items], 0 on the diagonal [items, items]."""
    together = np.asarray(dense(X.T @ X), np.float32)
    length = np.sqrt(np.maximum(np.diagonal(together), 1))
    together /= length
    together /= length[:, None]
    np.fill_diagonal(together, 0)
    return together


def _narrow(block: Matrix, name: str) -> Matrix:
    block = rows_of(block, name)
    if block.ndim != 2:
        raise ColdstartError(f"{name}: expected one row an item, got the shape {block.shape}")
    return block.astype(np.float32)


def _lengths(block: Matrix) -> Array:
    return np.asarray(abs(block).sum(axis=1)).ravel()


def _mean(block: Matrix, rows: Array) -> Array:
    return np.asarray(block[rows].mean(axis=0)).ravel()


def _off_diagonal(K: Array) -> Array:
    mean = K.mean(axis=0)
    centred = K - mean - mean[:, None] + mean.mean()
    np.fill_diagonal(centred, 0)
    return centred.ravel()
