"""Search over items of which more come: words by BM25, meaning by vectors, as in `language.search`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..language.search import WordIndex, centred
from ..models.scores import mixture
from .catalogue import said
from .ranking import Rows
from .store import Item

Array = np.ndarray

TASTE = 0.5  # weight of a user's taste beside words and meaning, each standardised


class Shelf:
    """The texts of items, first those of a catalogue with an index of its own, then any that come."""

    def __init__(self, items: Sequence[Item], width: int) -> None:
        texts = [words_of(item) for item in items]
        vectors = np.array([item.vector for item in items], np.float32).reshape(len(items), width)
        self.mean = vectors.mean(axis=0) if len(items) else np.zeros(width, np.float32)
        self.vectors = Rows(centred(vectors, self.mean) if len(items) else vectors)
        stems = WordIndex.stems(texts)
        self.index = WordIndex(texts) if any(stems) else None
        # What no index holds is looked through word by word.
        self.later: list[list[str]] = [] if self.index else stems

    def add(self, item: Item) -> None:
        """Put an item at the end: the next question finds it."""
        if not len(self.vectors.all):
            self.mean = np.zeros(len(item.vector), np.float32)
            self.vectors = Rows(np.empty((0, len(item.vector)), np.float32))
        self.vectors.add(centred(item.vector[None], self.mean)[0])
        self.later += WordIndex.stems([words_of(item)])

    def scores(self, question: str, vector: Array, taste: Array | None) -> Array:
        """Return the score of each item [n]: words, meaning, and `taste` [n] if given, each standardised, added.

        `vector` [d] is that of the question.
        """
        if not len(self.vectors.all):
            return np.zeros(0)
        meaning = self.vectors.all @ (vector / max(float(np.linalg.norm(vector)), 1e-12))
        parts = [self._by_words(question)[None], meaning[None]] + ([] if taste is None else [taste[None]])
        return mixture(parts, [1.0, 1.0, TASTE][: len(parts)])[0]

    def _by_words(self, question: str) -> Array:
        if self.index is None:
            asked = set(WordIndex.stems([question])[0])
            return np.array([len(asked & set(stems)) for stems in self.later], float)
        first = self.index.scores([question])[0]
        return np.concatenate([first, self.index.scores_of_later(question, self.later)])


def words_of(item: Item) -> str:
    """Return all words of an item, or, where it has none, its id."""
    return said(item.title, item.text, item.attributes) or item.item
