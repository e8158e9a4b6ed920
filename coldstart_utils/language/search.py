"""Search: a question meets the texts of items by its words (BM25) and by its meaning (vectors)."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import numpy as np

from ..catalogue.dataset import Dataset
from ..catalogue.features import item_texts
from ..ground import ColdstartError
from ..models.content import unit_rows
from ..models.scores import top_k
from .codes import Codes
from .encoders import Reads, TextEncoder, checked
from .facts import words

Array = np.ndarray

# Up to so many vectors an exact answer takes less than 5 ms on one core (`benchmarks/search.py`). A graph is faster at
# any size, but it misses one or two of a hundred, and to build it costs as much as some thousand exact answers.
EXACT_UP_TO = 30_000
# Past so many a graph takes minutes to build, and codes answer as well; who asks for more than `DEEP` gets it exactly.
GRAPH_UP_TO, DEEP = 200_000, 1_000
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
REMARKS = {
    "cut": "The language model reads the first {read} of {tokens} tokens.",
    "stop words": "Only words such as 'the' and 'of': BM25 has nothing to go by.",
    "no word": "No word of the question stands in any text: BM25 has nothing to go by.",
    "script": "The language model was trained on English; of other scripts it knows little.",
}
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")


# --- Questions -------------------------------------------------------------------------------------------------------


def cleaned(question: str, *, name: str = "question") -> str:
    """Return a question, or another text called `name`, on one line, without HTML tags and entities.

    Raises ColdstartError if it is no string, or has no word in it.
    """
    if not isinstance(question, str):
        raise ColdstartError(f"{name}: expected a text, got {question!r}")
    plain = " ".join(html.unescape(TAG.sub(" ", question)).split())
    if not words(plain):
        raise ColdstartError(f"{name}: expected words, got {question[:40]!r}")
    return plain


def sentences_of(question: str, *, least: int = 3) -> list[str]:
    """Return the sentences of a question that have at least `least` words, or the whole question if none has."""
    parts = [part.strip() for part in SENTENCE_END.split(question)]
    return [part for part in parts if len(words(part)) >= least] or [question]


def with_words(dataset: Dataset) -> Dataset:
    """Return the catalogue itself, if the text of some item has a word other than such as 'the' and 'of'.

    A chapter that cannot do without asks this when it reads the data, before it shows anything. Raises ColdstartError.
    """
    if not any(WordIndex.stems(item_texts(dataset))):
        raise ColdstartError(f"{dataset.name}: expected texts of items with words in them, found none in any text")
    return dataset


def remarked(question: str, index: WordIndex, encoder: Reads) -> dict[str, dict[str, int]]:
    """Return which of the REMARKS hold for a question, with the numbers in them."""
    stems, found = index.stems([question])[0], {}
    tokens = len(encoder.tokenizer(question, truncation=False, verbose=False)["input_ids"])
    if tokens > encoder.max_tokens:
        found["cut"] = {"read": encoder.max_tokens, "tokens": tokens}
    if not stems:
        found["stop words"] = {}
    elif not index.vocabulary.keys() & set(stems):
        found["no word"] = {}
    letters = [letter for letter in question if letter.isalpha()]
    if sum(letter.isascii() for letter in letters) < 0.5 * len(letters):
        found["script"] = {}
    return found


# --- Words -----------------------------------------------------------------------------------------------------------


class WordIndex:
    """An inverted index of texts, searched by BM25 over English stems (Robertson & Zaragoza 2009), made by `bm25s`.

    A word counts ln(1 + (n − n_w + ½)/(n_w + ½)) · t/(t + k1·(1 − b + b·length/mean length)): n texts, n_w with the
    word, t times in this one. Raises ColdstartError if no text has a word, for a negative k1, or b outside 0 to 1.
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        import bm25s

        if not (0 <= k1 < np.inf and 0 <= b <= 1):
            raise ColdstartError(f"word index: expected k1 of 0 or more and b of 0 to 1, got {k1!r} and {b!r}")
        self.n = len(texts)
        self.vocabulary: dict[str, int] = {}
        known = self.vocabulary
        numbers = [[known.setdefault(stem, len(known)) for stem in stems] for stems in self.stems(texts)]
        self._mean = np.mean([len(own) for own in numbers]) if numbers else 0.0
        if not self.vocabulary:
            raise ColdstartError(f"word index: expected texts with words, found none in {self.n} texts")
        self._bm25 = bm25s.BM25(k1=k1, b=b, method="lucene")
        self._bm25.index((numbers, dict(known)), show_progress=False)

    @staticmethod
    def stems(texts: Sequence[str]) -> list[list[str]]:
        """Return the stems of the words of each text, in order, without stop words ('the', 'from') and single letters.

        The longer list of `bm25s`: people tell in whole sentences, and 'my' and 'from' name no film. Raises
        ColdstartError for one string in the place of a list.
        """
        import Stemmer
        from bm25s.stopwords import STOPWORDS_EN_PLUS

        stop, stemmer = {*STOPWORDS_EN_PLUS, *ascii_lowercase}, Stemmer.Stemmer("english")
        known: dict[str, str] = {}
        result = []
        for text in checked(texts):
            own = [word for word in words(text) if word not in stop]
            # A word is stemmed once, however often it occurs.
            new = [word for word in own if word not in known]
            known.update(zip(new, stemmer.stemWords(new)))
            result.append([known[word] for word in own])
        return result

    def scores(self, questions: Sequence[str]) -> Array:
        """Return the score of each text for each question, float32 [questions, texts]; zero where no word is shared."""
        result = np.zeros((len(questions), self.n), np.float32)
        for row, stems in enumerate(self.stems(questions)):
            if known := [stem for stem in stems if stem in self.vocabulary]:
                result[row] = self._bm25.get_scores(known)
        return result

    def scores_of_later(self, question: str, later: Sequence[Sequence[str]]) -> Array:
        """Return the scores [n] of texts that came later, given as `stems`, for a question.

        How rare a word is, and how long a text, is that of the texts in the index.
        """
        asked, n, k1, b = self.stems([question])[0], self.n, self._bm25.k1, self._bm25.b
        with_word = np.diff(self._bm25.scores["indptr"])
        held = {stem: with_word[self.vocabulary[stem]] if stem in self.vocabulary else 0 for stem in asked}
        rare = {stem: np.log(1 + (n - count + 0.5) / (count + 0.5)) for stem, count in held.items()}
        result = np.zeros(len(later))
        for row, own in enumerate(later):
            damped = k1 * (1 - b + b * len(own) / self._mean)
            times = {stem: own.count(stem) for stem in rare}
            result[row] = sum(rare[stem] * times[stem] / (times[stem] + damped) for stem in asked)
        return result

    def top(self, questions: Sequence[str], k: int, *, batch: int = 64) -> tuple[Array, Array]:
        """Return the k best texts of each question and their scores [questions, k], ties to the lower text."""
        found = [_best(self.scores(questions[at : at + batch]), k) for at in range(0, len(questions), batch)]
        items, scores = (np.concatenate(part) for part in zip(*found))
        return items, scores

    def matched(self, question: str, text: int) -> dict[str, float]:
        """Return what each word of the question adds to the score of one text, the largest first; words in common only.

        Words of one stem are one word here, as they were typed first.
        """
        added = {word: float(scores[text]) for word, scores in self.added(question).items()}
        return dict(sorted(((word, worth) for word, worth in added.items() if worth > 0), key=lambda pair: -pair[1]))

    def added(self, question: str) -> dict[str, Array]:
        """Return what each word of the question that stands in a text adds to the scores [texts]; see `matched`."""
        typed: dict[str, str] = {}
        for word in words(question):
            for stem in self.stems([word])[0]:
                typed.setdefault(stem, word)
        return {typed[stem]: self._bm25.get_scores([stem]) for stem in typed if stem in self.vocabulary}


# --- Vectors ---------------------------------------------------------------------------------------------------------


class VectorIndex:
    """Vectors of items [n, d] of length 1, searched exactly, or approximately by a graph of neighbours (HNSW, faiss),
    past `GRAPH_UP_TO` of them by `Codes`.

    `approximate` None means: only past `EXACT_UP_TO` vectors. Raises ColdstartError for another shape or NaN.
    """

    def __init__(self, vectors: Array, *, approximate: bool | None = None, links: int = 32, effort: int = 64) -> None:
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        if self.vectors.ndim != 2 or not len(self.vectors) or not np.isfinite(self.vectors).all():
            raise ColdstartError(f"vector index: expected finite vectors [items, d], got shape {np.shape(vectors)}")
        self.near: Any = None
        if len(self.vectors) > EXACT_UP_TO if approximate is None else approximate:
            few = len(self.vectors) <= GRAPH_UP_TO
            self.near = _graph(self.vectors, links, effort) if few else Codes(self.vectors)

    def scores(self, questions: Array) -> Array:
        """Return the cosine of each item for each question vector [questions, d], float32 [questions, items]."""
        return np.asarray(questions, np.float32) @ self.vectors.T

    def top(self, questions: Array, k: int) -> tuple[Array, Array]:
        """Return the k nearest items of each question vector [questions, d] and their cosines [questions, k].

        Exact, with ties to the lower item, or by graph or codes, which may miss some: where they find fewer than k, the
        item is −1. Raises ColdstartError unless 1 <= k <= items.
        """
        if not 1 <= k <= len(self.vectors):
            raise ColdstartError(f"vector index: expected k from 1 to {len(self.vectors)}, got {k!r}")
        questions = np.ascontiguousarray(np.atleast_2d(questions), np.float32)
        if self.near is None or k > DEEP:
            return nearest(questions, self.vectors, k)
        cosines, items = self.near.search(questions, k)
        return items, cosines


def _graph(vectors: Array, links: int, effort: int) -> Any:
    import faiss

    graph = faiss.IndexHNSWFlat(vectors.shape[1], links, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = 2 * effort, effort
    graph.add(vectors)
    return graph


def nearest(questions: Array, vectors: Array, k: int, *, block: int = 65_536) -> tuple[Array, Array]:
    """Return the k items with the largest products for each question, and these [questions, k], block by block.

    Exact; ties go to the lower item, and no matrix of all questions × all items is ever made.
    """
    items, scores = np.empty((len(questions), 0), int), np.empty((len(questions), 0), np.float32)
    for start in range(0, len(vectors), block):
        products = questions @ vectors[start : start + block].T
        columns, best = _best(products, min(k, products.shape[1]))
        # Earlier blocks stand first, so that the lower column is the lower item where scores tie.
        items, scores = np.hstack([items, start + columns]), np.hstack([scores, best])
        places = top_k(scores, min(k, scores.shape[1]))
        items, scores = np.take_along_axis(items, places, 1), np.take_along_axis(scores, places, 1)
    return items, scores


def _best(scores: Array, k: int) -> tuple[Array, Array]:
    columns = top_k(scores, k)
    return columns, np.take_along_axis(scores, columns, 1)


@dataclass(frozen=True, eq=False)
class Spoken:
    """Questions as vectors: `whole` [questions, d], and `parts` [sentences, d] with the question each belongs to."""

    whole: Array
    parts: Array
    question: Array

    def best_part(self, vectors: Array) -> Array:
        """Return the cosine of the sentence that is nearest to each item [questions, items].

        A long question tells where its writer saw the film and what they felt; one sentence may tell the film.
        """
        cosines = self.parts @ vectors.T
        starts = np.flatnonzero(np.r_[True, np.diff(self.question) > 0])
        return np.maximum.reduceat(cosines, starts, axis=0)


def spoken(questions: Sequence[str], encoder: TextEncoder) -> Spoken:
    """Return the vectors of questions and of their sentences."""
    parts = [sentences_of(question) for question in questions]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    flat = [sentence for part in parts for sentence in part]
    return Spoken(encoder.encode(list(questions)), encoder.encode(flat), owner)


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """One vector a token [tokens, d] of length 1, text after text, and where each text begins [texts]."""

    vectors: Array
    starts: Array


def token_vectors(texts: Sequence[str], encoder: TextEncoder, *, batch: int = 32) -> TokenVectors:
    """Return the last layer's vectors of the tokens of each text, less what all of them have in common.

    The marks of beginning and end are among them, so that a text without words has vectors too.
    """
    import torch

    parts = []
    for at in range(0, len(texts), batch):
        cut = {"truncation": True, "max_length": encoder.max_tokens, "padding": True, "return_tensors": "pt"}
        tokens = encoder.tokenizer(list(texts[at : at + batch]), **cut)
        with torch.inference_mode():
            hidden = encoder.model(**tokens).last_hidden_state
        parts += [own[: mask.sum()].numpy() for own, mask in zip(hidden, tokens["attention_mask"])]
    vectors = np.concatenate(parts)
    return TokenVectors(centred(vectors, vectors.mean(axis=0)), np.cumsum([0, *map(len, parts[:-1])]))


def late_interaction(asked: TokenVectors, known: TokenVectors) -> Array:
    """Return the mean over a question's tokens of the largest cosine with a token of the text [questions, texts].

    MaxSim of ColBERT (Khattab & Zaharia 2020): a word meets the word that is nearest to it, not a mean of all words.
    """
    rows = []
    for own in np.split(asked.vectors, asked.starts[1:]):
        nearest_token = np.maximum.reduceat(known.vectors @ own.T, known.starts, axis=0)
        rows.append(nearest_token.mean(axis=1))
    return np.stack(rows)


def centred(vectors: Array, mean: Array) -> Array:
    """Return vectors [n, d] less their `mean` [d] or [n, d], scaled to length 1; zeros stay zero.

    Every question says 'I saw a film, please help', every text of a film tells a story.
    Vectors share that direction; what tells one from another is what is left.
    """
    return unit_rows(vectors - mean).astype(np.float32)


def fed_back(questions: Array, vectors: Array, *, k: int = 3, weight: float = 0.5) -> Array:
    """Return question vectors moved towards the mean of the k items that answer them best [questions, d].

    Pseudo relevance feedback (Rocchio 1971) with nobody asked: q + weight·mean, scaled to length 1.
    """
    items, _ = nearest(questions, vectors, k)
    return unit_rows(questions + weight * vectors[items].mean(axis=1))
