"""A shop window for new items: their owners hand in texts, several rankers read them, users see lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit

from ..catalogue.dataset import Dataset
from ..catalogue.features import item_texts, token_features
from ..catalogue.movielens import expanded
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.content import centred, content_kernel, unit_rows
from ..models.least_squares import dense, kernel_ridge
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
DEFENCES = ("capped", "contained", "agreed", "levelled")


def blocks_of(ranker: str) -> tuple[str, ...]:
    """Return the names of the blocks that a ranker adds up. Raises ColdstartError for one that `RANKERS` has not."""
    if ranker not in RANKERS:
        raise ColdstartError(f"ranker: expected one of {', '.join(RANKERS)}, got {ranker!r}")
    return RANKERS[ranker]


LONGEST = 4_000  # characters of an owner's text: what an attack adds has room in what `attacks` takes


def owners_texts(dataset: Dataset) -> list[str]:
    """Return the text of each item that plays its owner's: the generated synopsis, else all text, up to `LONGEST`."""
    texts = dataset.items["synopsis"].tolist() if expanded(dataset) else item_texts(dataset)
    return [text[:LONGEST] for text in texts]


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
        """The items that the rankers learn from [warm], ascending."""
        return self.split.warm_items

    @cached_property
    def new(self) -> Array:
        """The new items [new], ascending."""
        return np.sort(self.split.candidates)

    @cached_property
    def _reader(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [self.texts[i] for i in self.warm]
        # Titles may be single signs, or words such as 'the' alone.
        for pattern, stop_words in ((r"(?u)\b\w\w+\b", "english"), (r"(?u)\w+", None)):
            try:
                return TfidfVectorizer(sublinear_tf=True, token_pattern=pattern, stop_words=stop_words).fit(texts)
            except ValueError:  # the vocabulary is empty
                continue
        raise ColdstartError("storefront: expected texts with words in them")

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

    def block(self, name: str, items: Array, texts: Sequence[str]) -> Any:
        """Return the features [n, d] of items that hand in these texts."""
        if name == "tags":
            return unit_rows(self.tags[items].astype(float))
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

    def kernel(self, handed_in: Mapping[int, str] | None = None) -> Array:
        """Return the kernel [items, items] of tags, words and meaning of all items.

        What is `handed_in` for an item (item → text) stands in the place of its own text.
        """
        everything, texts = np.arange(len(self.texts)), list(self.texts)
        for item, text in (handed_in or {}).items():
            texts[item] = text
        return content_kernel([self.block(name, everything, texts) for name in RANKERS["text and tags"]])

    @cached_property
    def _kernels(self) -> Mapping[str, Array]:
        """How alike the known items are by each block [warm, warm]."""
        return {name: dense(part @ part.T).astype(np.float32) for name, part in self._known.items()}

    @cached_property
    def _likeness(self) -> Mapping[str, Array]:
        """How alike each known item is to all known ones by each block, the mean [warm]."""
        return {name: K.mean(axis=0) for name, K in self._kernels.items()}

    @cached_property
    def _weights(self) -> dict[str, Array]:
        return {}

    def _fit(self, ranker: str) -> Array:
        """Return the dual weights [warm, users] of a ranker."""
        names = blocks_of(ranker)
        if ranker not in self._weights:
            K = reduce(np.add, [self._kernels[name] for name in names])
            everything = np.arange(len(K))
            inside, _ = centred(K, everything, everything[:0])
            self._weights[ranker] = kernel_ridge(inside, self.targets - self.targets.mean(axis=0), self.reg)
        return self._weights[ranker]

    def scores(self, item: int, texts: Sequence[str], ranker: str, *, cap: float | None = None) -> Array:
        """Return the scores [texts, users] that an item gets with each of these texts.

        With a `cap` no word may add more than that to the item's mean score (`capped`).
        """
        return self.rows(np.full(len(texts), item), texts, ranker, cap=cap)

    def rows(self, items: Array, texts: Sequence[str], ranker: str, *, cap: float | None = None) -> Array:
        """Return the scores [n, users] of items with these texts; as `scores`, for many items at once."""
        return self.targets.mean(axis=0) + self._across(items, texts, ranker, cap) @ self._fit(ranker)

    def promise(self, item: int, texts: Sequence[str], ranker: str) -> Array:
        """Return the mean over users of `scores` [texts], at a fraction of the work."""
        across = self._across(np.full(len(texts), item), texts, ranker)
        return self.targets.mean() + across @ self._fit(ranker).mean(axis=1)

    def _across(self, items: Array, texts: Sequence[str], ranker: str, cap: float | None = None) -> Array:
        """Return how alike items with these texts and the known items are [n, warm], centred as the ranker's kernel."""
        return reduce(np.add, [self._across_block(items, texts, name, cap) for name in blocks_of(ranker)])

    def _across_block(self, items: Array, texts: Sequence[str], name: str, cap: float | None = None) -> Array:
        own = self.block(name, items, texts)
        if cap is not None and name == "words":
            own = self.capped(own, cap)
        across, mean = dense(own @ self._known[name].T), self._likeness[name]
        return across - across.mean(axis=1, keepdims=True) - mean + mean.mean()

    # --- What pushes an item, and what it gets ---------------------------------------------------------------------

    @cached_property
    def push(self) -> Array:
        """How much a unit of each word adds to an item's mean score over users [words], by the ranker 'words'."""
        return self._pushes().mean(axis=1)

    @cached_property
    def sway(self) -> Array:
        """How differently a unit of each word moves the users' scores, their standard deviation [words], by 'words'."""
        return self._pushes().std(axis=1)

    def _pushes(self) -> Array:
        """Return how much a unit of each word adds to each user's score [words, users], by the ranker 'words'."""
        rows, weights = self.word_rows, self._fit("words")
        return rows.T @ weights - np.outer(rows.mean(axis=0).A1, weights.sum(axis=0))

    def capped(self, rows: sparse.csr_matrix, cap: float) -> sparse.csr_matrix:
        """Return the TF-IDF rows [n, words] so changed that no word adds more than `cap` to the mean score."""
        rows = rows.copy()
        adds = rows.data * self.push[rows.indices]
        rows.data = rows.data * np.where(adds > cap, cap / np.maximum(adds, 1e-12), 1.0)
        return rows

    @cached_property
    def cap(self) -> float:
        """What one word in twenty of the honest known texts exceeds: the 95th percentile of what a word adds."""
        adds = self.word_rows.data * self.push[self.word_rows.indices]
        return float(np.percentile(adds[adds > 0], 95)) if (adds > 0).any() else 0.0

    @cached_property
    def block_caps(self) -> Mapping[str, float]:
        """What the words and the meaning of one in twenty known texts exceed in what they add to the mean score."""
        texts = [self.texts[i] for i in self.warm]
        return {name: float(np.percentile(self._adds(self.warm, texts, name), 95)) for name in ("words", "encoder")}

    def _adds(self, items: Array, texts: Sequence[str], name: str) -> Array:
        """Return what a block adds to the mean score of items with these texts [n], by 'text and tags'."""
        return self._across_block(items, texts, name) @ self._fit("text and tags").mean(axis=1)

    def contained(self, items: Array, texts: Sequence[str]) -> Array:
        """Return the scores [n, users] when neither words nor meaning may add more to the mean than `block_caps`.

        What is above goes off the scores of all users alike: the text goes on saying to whom.
        """
        weights = self._fit("text and tags")
        scores = np.tile(self.targets.mean(axis=0), (len(texts), 1))
        for name in RANKERS["text and tags"]:
            across = self._across_block(items, texts, name)
            over = np.maximum(across @ weights.mean(axis=1) - self.block_caps.get(name, np.inf), 0)
            scores += across @ weights - over[:, None]
        return scores

    def agreed(self, items: Array, texts: Sequence[str]) -> Array:
        """Return the scores [n, users] when the blocks must agree: the least of what each block alone says."""
        return np.min([self.rows(items, texts, ranker) for ranker in ("tags", "words", "encoder")], axis=0)

    def levelled(self, items: Array, texts: Sequence[str]) -> Array:
        """Return the scores [n, users] when text may say to whom, but not to how many.

        The mean over users is that of the tags alone, which the owner does not write.
        """
        both, tags = (self.rows(items, texts, ranker) for ranker in ("text and tags", "tags"))
        return both - both.mean(axis=1, keepdims=True) + tags.mean(axis=1, keepdims=True)

    def way(self, name: str, items: Array, texts: Sequence[str]) -> Array:
        """Return the scores [n, users] of items with these texts, by a ranker or by 'text and tags' with a defence."""
        if name == "capped":
            return self.rows(items, texts, "text and tags", cap=self.cap)
        if name in DEFENCES:
            return getattr(self, name)(items, texts)
        return self.rows(items, texts, name)

    @cached_property
    def _lists(self) -> dict[str, Array]:
        return {}

    def lists(self, name: str) -> Array:
        """Return the scores [users, new] of all new items with their own texts, by a `way`."""
        if name not in self._lists:
            self._lists[name] = self.way(name, self.new, [self.texts[i] for i in self.new]).T
        return self._lists[name]

    def exposure(self, item: int, texts: Sequence[str], name: str) -> Array:
        """Return the share of users [texts] in whose list an item stands with each of these texts, by a `way`.

        All other new items keep their own texts. Raises ColdstartError for an item that is not new.
        """
        return (self._margins(item, texts, name) > 0).mean(axis=1)

    def reach(self, item: int, texts: Sequence[str], name: str) -> Array:
        """Return `exposure` [texts] with soft edges: a user who is nearly reached counts nearly half.

        What an attacker climbs, since it also tells apart two texts that reach nobody yet. The edge is a tenth of the
        spread over these texts and all users: texts are compared within one call. Raises ColdstartError for an item
        that is not new.
        """
        margins = self._margins(item, texts, name)
        edge = 0.1 * max(float(margins.std()), 1e-12)
        return expit(margins / edge).mean(axis=1)

    def _margins(self, item: int, texts: Sequence[str], name: str) -> Array:
        """Return by how much an item with each of these texts beats the last place of every list [texts, users]."""
        own = self.new == item
        if not own.any():
            raise ColdstartError(f"storefront: expected one of the {len(self.new)} new items, got {item!r}")
        rivals = self.lists(name)[:, ~own]
        return self.way(name, np.full(len(texts), item), texts) - cut(rivals, self.k)


def cut(rivals: Array, k: int) -> Array:
    """Return the k-th largest score of each user [users] among `rivals` [users, n]: what must be beaten for a place."""
    place = min(k, rivals.shape[1]) - 1
    return -np.partition(-rivals, place, axis=1)[:, place]


def storefronts(dataset: Dataset, splits: Sequence[Split], encoder: TextEncoder, *, k: int = 20) -> list[Storefront]:
    """Return the shop window of each split, with the owners' texts and the platform's genres and years as tags."""
    texts, tags = owners_texts(dataset), token_features(dataset)
    return [Storefront(split, texts, tags, encoder, k=min(k, len(split.candidates) - 1)) for split in splits]
