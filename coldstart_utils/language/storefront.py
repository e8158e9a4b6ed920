"""A shop window for new items: their owners hand in texts, several rankers read them, users see lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.features import item_texts, token_features
from ..catalogue.movielens import GENERATED
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.content import centred, unit_rows
from ..models.least_squares import kernel_ridge
from ..models.transfer import teacher_scores
from .encoders import TextEncoder

Array = np.ndarray

RANKERS = {
    "words": ("words",),
    "encoder": ("encoder",),
    "text and tags": ("tags", "words", "encoder"),
    "tags": ("tags",),
    "counts": ("counts",),
}


def owners_texts(dataset: Dataset) -> list[str]:
    """Return the text of each item that plays its owner's: the generated synopsis, else all text."""
    if set(GENERATED) <= set(dataset.items.columns):
        return dataset.items["synopsis"].tolist()
    return item_texts(dataset)


@dataclass(frozen=True, eq=False)
class Storefront:
    """The new items of a split, each ranked for all users by ridge from its content to the scores of EASE.

    `texts` [items] are the owners', `tags` [items, tokens] the platform's own columns, `reg` is the penalty, a list
    has `k` places. A ranker is a sum of blocks (`RANKERS`), every row of a block of length 1; 'counts' are counts of
    words as they are, the block without that.
    """

    split: Split
    texts: Sequence[str]
    tags: sparse.csr_matrix
    encoder: TextEncoder
    reg: float = 10.0
    k: int = 20

    @cached_property
    def warm(self) -> Array:
        """The items that the rankers learn from."""
        return self.split.warm_items

    @cached_property
    def new(self) -> Array:
        """The new items, ascending."""
        return np.sort(self.split.candidates)

    @cached_property
    def _reader(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        reader = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w\w+\b", stop_words="english")
        try:
            return reader.fit([self.texts[i] for i in self.warm])
        except ValueError:
            raise ColdstartError("storefront: expected texts with words in them") from None

    @cached_property
    def vocabulary(self) -> Array:
        """The words that the rankers know [words]."""
        return self._reader.get_feature_names_out()

    def words_of(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return the TF-IDF rows [texts, words] of texts, of length 1."""
        return sparse.csr_matrix(self._reader.transform(list(texts)))

    @cached_property
    def word_rows(self) -> sparse.csr_matrix:
        """The TF-IDF rows of the known items [warm, words]."""
        return self.words_of([self.texts[i] for i in self.warm])

    @cached_property
    def targets(self) -> Array:
        """What EASE says of the known items [warm, users]."""
        return teacher_scores(self.split, "EASE").T

    def block(self, name: str, items: Sequence[int], texts: Sequence[str]) -> Any:
        """Return the features [n, d] of items that hand in these texts."""
        if name == "tags":
            return unit_rows(self.tags[np.asarray(items)].astype(float))
        if name == "encoder":
            return self.encoder.encode(list(texts))
        rows = self.words_of(texts)
        if name == "counts":
            return rows.multiply(self._lengths(texts)[:, None]).tocsr()
        return rows

    def _lengths(self, texts: Sequence[str]) -> Array:
        """Return the length of each text's row relative to the mean, by the number of its words."""
        of_known = np.mean([len(self.texts[i].split()) for i in self.warm])
        return np.array([len(text.split()) for text in texts]) / max(of_known, 1)

    @cached_property
    def _known(self) -> Mapping[str, Any]:
        texts = [self.texts[i] for i in self.warm]
        return {name: self.block(name, self.warm, texts) for name in ("tags", "words", "encoder", "counts")}

    @cached_property
    def _fits(self) -> dict[str, tuple[Array, Array]]:
        return {}

    def _fit(self, ranker: str) -> tuple[Array, Array]:
        """Return the kernel of the known items [warm, warm] and the dual weights [warm, users]."""
        if ranker not in RANKERS:
            raise ColdstartError(f"ranker: expected one of {', '.join(RANKERS)}, got {ranker!r}")
        if ranker not in self._fits:
            parts = [self._known[name] for name in RANKERS[ranker]]
            K = sum(np.asarray((p @ p.T).toarray() if sparse.issparse(p) else p @ p.T, np.float32) for p in parts)
            everything = np.arange(len(K))
            inside, _ = centred(K, everything, everything[:0])
            weights = kernel_ridge(inside, self.targets - self.targets.mean(axis=0), self.reg)
            self._fits[ranker] = K, weights
        return self._fits[ranker]

    def scores(self, item: int, texts: Sequence[str], ranker: str, *, cap: float | None = None) -> Array:
        """Return the scores [texts, users] that an item gets with each of these texts.

        With a `cap` no word may add more than that to the item's mean score (`capped`).
        """
        return self.rows(np.full(len(texts), item), texts, ranker, cap=cap)

    def rows(self, items: Array, texts: Sequence[str], ranker: str, *, cap: float | None = None) -> Array:
        """Return the scores [n, users] of items with these texts; as `scores`, for many items at once."""
        K, weights = self._fit(ranker)
        across = np.zeros((len(texts), len(K)), np.float32)
        for name in RANKERS[ranker]:
            own = self.block(name, items, texts)
            if cap is not None and name == "words":
                own = self.capped(own, cap)
            product = own @ self._known[name].T
            across += product.toarray() if sparse.issparse(product) else product
        mean = K.mean(axis=0)
        across = across - across.mean(axis=1, keepdims=True) - mean + mean.mean()
        return self.targets.mean(axis=0) + across @ weights

    # --- What pushes an item, and what it gets ---------------------------------------------------------------------

    @cached_property
    def push(self) -> Array:
        """How much a unit of each word adds to an item's mean score over users [words], by the ranker 'words'."""
        _, weights = self._fit("words")
        rows = self.word_rows
        each = rows.T @ weights.mean(axis=1)
        return np.asarray(each - rows.mean(axis=0).A1 * weights.mean(axis=1).sum()).ravel()

    def capped(self, rows: sparse.csr_matrix, cap: float) -> sparse.csr_matrix:
        """Return TF-IDF rows in which no word adds more than `cap` to the mean score."""
        rows = rows.copy()
        adds = rows.data * self.push[rows.indices]
        rows.data = rows.data * np.where(adds > cap, cap / np.maximum(adds, 1e-12), 1.0)
        return rows

    @cached_property
    def cap(self) -> float:
        """What one word in twenty of the honest known texts exceeds: the 95th percentile of what a word adds."""
        adds = self.word_rows.data * self.push[self.word_rows.indices]
        return float(np.percentile(adds[adds > 0], 95)) if (adds > 0).any() else 0.0

    def lists(self, ranker: str, **options: Any) -> Array:
        """Return the scores [users, new] of all new items with their own texts."""
        key = f"{ranker} {sorted(options.items())}"
        if key not in self._lists:
            self._lists[key] = self.rows(self.new, [self.texts[i] for i in self.new], ranker, **options).T
        return self._lists[key]

    @cached_property
    def _lists(self) -> dict[str, Array]:
        return {}

    def exposure(self, item: int, scores: Array, rivals: Array) -> Array:
        """Return the share of users [n] in whose list an item stands with `scores` [n, users].

        `rivals` [users, new] are the scores of all new items; the item's own column is left out.
        """
        return (scores > cut(np.delete(rivals, np.searchsorted(self.new, item), axis=1), self.k)).mean(axis=1)

    def agreed(self, item: int, texts: Sequence[str]) -> Array:
        """Return the scores [texts, users] when the blocks must agree: the least of what each block alone says."""
        return np.min([self.scores(item, texts, ranker) for ranker in ("tags", "words", "encoder")], axis=0)

    @cached_property
    def agreed_lists(self) -> Array:
        """The scores [users, new] of all new items with their own texts when the blocks must agree."""
        return np.min([self.lists(ranker) for ranker in ("tags", "words", "encoder")], axis=0)


def cut(rivals: Array, k: int) -> Array:
    """Return the k-th largest score of each user [users] among `rivals` [users, n]: what must be beaten for a place."""
    place = min(k, rivals.shape[1]) - 1
    return -np.partition(-rivals, place, axis=1)[:, place]


def storefronts(dataset: Dataset, splits: Sequence[Split], encoder: TextEncoder, *, k: int = 20) -> list[Storefront]:
    """Return the shop window of each split, with the owners' texts and the platform's genres and years as tags."""
    texts, tags = owners_texts(dataset), token_features(dataset)
    return [Storefront(split, texts, tags, encoder, k=min(k, len(split.candidates) - 1)) for split in splits]
