"""Very many vectors: found by short codes in lists, and looked at exactly before they are ranked."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray

PROBED, LOOKED = 0.1, 30  # the share of the lists that is searched, and how many vectors are looked at for each answer
SAMPLE = 40  # vectors a list that its centre is learnt from


class Codes:
    """Vectors [n, d] of length 1 as product codes of two bits a dimension, in √n lists (faiss, IVF and fast-scan PQ).

    A graph of 100,000 takes a minute to build, this half a minute for a million. `vectors` stay as they are, and decide
    among the `LOOKED`·k whose codes come nearest (Jégou, Douze & Schmid 2011).
    """

    def __init__(self, vectors: Array, *, probed: float = PROBED, seed: int = 0) -> None:
        self.vectors = vectors
        self.index = _lists(vectors, seed)
        self.index.nprobe = max(1, round(probed * self.index.nlist))

    def search(self, questions: Array, k: int) -> tuple[Array, Array]:
        """Return the cosines and places [questions, k] of the k best found, ties to the lower; −1 where none is left.

        `questions` [questions, d] float32.
        """
        _, near = self.index.search(questions, min(LOOKED * k, len(self.vectors)))
        cosines, places = np.full((len(questions), k), -np.inf, np.float32), np.full((len(questions), k), -1)
        for row, found in enumerate(near):
            own = np.sort(found[found >= 0])
            exact = self.vectors[own] @ questions[row]
            best = np.argsort(-exact, kind="stable")[:k]
            cosines[row, : len(best)], places[row, : len(best)] = exact[best], own[best]
        return cosines, places


def _lists(vectors: Array, seed: int) -> Any:
    import faiss

    n, d = vectors.shape
    number = max(1, int(np.sqrt(n)))
    # Sixteen centres stand for a pair of dimensions: four bits, which is what one instruction looks up.
    parts = max(1, d // 2)
    while d % parts:
        parts -= 1
    coarse = faiss.IndexFlatIP(d)
    index = faiss.IndexIVFPQFastScan(coarse, d, number, parts, 4, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.pq.cp.niter = 5, 8
    sample = np.random.default_rng(seed).choice(n, min(n, SAMPLE * number), replace=False)
    index.train(vectors[np.sort(sample)])
    index.add(vectors)
    return index
