"""The best items for a factor: exactly, or past so many items by an index and a look at all that came since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray

# Past so many items an index answers faster than a product with all: `benchmarks/serving.py` measures it.
EXACT_UP_TO = 200_000
PROBED, LEAST = 0.1, 64  # the share of the lists of the index that are looked at, and how many at least


class Rows:
    """Rows [n, width] of which more come; adding one is quick, and `all` is a plain array."""

    def __init__(self, rows: Array) -> None:
        self._n, self._room = len(rows), np.asarray(rows)

    def add(self, row: Array) -> None:
        """Put a row [width] at the end."""
        if self._n == len(self._room):
            more = np.empty((max(64, self._n // 2), self._room.shape[1]), self._room.dtype)
            self._room = np.concatenate([self._room, more])
        self._room[self._n] = row
        self._n += 1

    @property
    def all(self) -> Array:
        """The rows so far [n, width]."""
        return self._room[: self._n]


class Ranking:
    """Factors of items [n, rank], of which those with the largest products are asked for; more may come.

    `approximate` None means: by an index (inverted lists, faiss) only past `EXACT_UP_TO`. What is added after the index
    was built is always looked at.
    """

    def __init__(self, factors: Array, *, approximate: bool | None = None) -> None:
        self.rows = Rows(np.ascontiguousarray(factors, np.float32))
        self.indexed = 0
        if len(factors) > EXACT_UP_TO if approximate is None else approximate:
            self.index, self.indexed = lists(self.rows.all), len(factors)

    def add(self, factor: Array) -> None:
        """Add an item; it is in every ranking from now on."""
        self.rows.add(factor)

    def top(self, x: Array, k: int, hidden: Sequence[int] = ()) -> tuple[Array, Array]:
        """Return the places [k] of the items with the largest products with x [rank], but the `hidden`, and these [k].

        Fewer if there are fewer.
        """
        # Taken once: a ranking of many items runs in a thread, while others may come.
        x, rows = np.asarray(x, np.float32), self.rows.all
        if not self.indexed:
            scores = rows @ x
            scores[np.asarray(hidden, int)] = -np.inf
            return best(np.arange(len(scores)), scores, k)
        scores, near = self.index.search(x[None], min(k + len(hidden), self.indexed))
        found = near[0] >= 0
        places = np.concatenate([near[0][found], np.arange(self.indexed, len(rows))])
        scores = np.concatenate([scores[0][found], rows[self.indexed :] @ x])
        return best(places, np.where(np.isin(places, hidden), -np.inf, scores), k)


def best(places: Array, scores: Array, k: int) -> tuple[Array, Array]:
    """Return the places [k] with the largest scores, and these, ties to the earlier; −∞ is never among them."""
    if k < len(scores):
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        held = np.flatnonzero(scores >= cut)
        places, scores = places[held], scores[held]
    order = np.lexsort([places, -scores])[:k]
    order = order[scores[order] > -np.inf]
    return places[order], scores[order]


def lists(factors: Array, *, probed: float = PROBED, sample: int = 100_000) -> Any:
    """Return an index of factors [n, rank] in √n lists around centres, of which a share is looked at (faiss IVF).

    Products are looked for, not cosines: lengths say how likely an item is to be chosen at all.
    """
    import faiss

    number = max(1, int(np.sqrt(len(factors))))
    coarse = faiss.IndexFlatIP(factors.shape[1])
    index = faiss.IndexIVFFlat(coarse, factors.shape[1], number, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = 5
    index.train(factors[:: max(1, len(factors) // sample)])
    index.add(factors)
    index.nprobe = min(number, max(LEAST, round(probed * number)))
    return index
