"""What a catalogue says of its items, field by field, and how well each field answers questions, alone and together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.features import as_text, item_texts
from ..catalogue.movielens import GENERATED, clean_title, expanded, own_columns
from ..models.scores import learnt_weights, mixture, reciprocal_ranks, top_k
from .encoders import Reads, TextEncoder
from .search import WordIndex, centred, fed_back, nearest, spoken

Array = np.ndarray

OURS = "words and meaning"  # what the chapter arrives at, and what its other methods are compared with
CLICK_WEIGHTS = (0.25, 0.5, 1.0, 2.0)


def levels(dataset: Dataset) -> dict[str, list[str]]:
    """Return texts of the items that say more and more, by the name of what is added last.

    Raises ColdstartError if the items have no text.
    """
    columns = own_columns(dataset)
    steps = {"title": ["title"], "+ year, genres": ["title", "year", "genres"], "all columns": columns}
    if expanded(dataset):
        steps.pop("all columns")
        steps |= {"+ synopsis": [*columns, "synopsis"], "+ keywords": [*columns, "synopsis", "keywords"]}
        steps |= {"+ people, origin": [*columns, *GENERATED]}
    said = {column for column in dataset.items if dataset.items[column].map(as_text).astype(str).str.strip().any()}
    steps = {name: wanted for name, wanted in steps.items() if said & set(wanted)} or {"all columns": columns}
    found: dict[str, list[str]] = {}
    for name, wanted in steps.items():
        texts = item_texts(dataset, wanted)
        # A catalogue may have less than that: no words, or the same texts again, would teach nothing.
        if texts not in found.values() and any(WordIndex.stems(texts)):
            found[name] = texts
    return found


def fields(dataset: Dataset) -> dict[str, list[str]]:
    """Return the texts that get vectors of their own: the generated synopsis and keywords, or else all text."""
    if expanded(dataset):
        return {name: dataset.items[name].tolist() for name in ("synopsis", "keywords")}
    return {"text": item_texts(dataset)}


@dataclass(frozen=True, eq=False)
class Engine:
    """What answers questions: an index of all words, and for each field the vectors of the items less their mean.

    `usual` [d] is the mean vector of earlier questions: what people say whatever they look for.
    """

    words: WordIndex
    vectors: Mapping[str, Array]
    usual: Array
    encoder: Reads

    def parts(self, questions: Sequence[str], usual: Array | None = None) -> dict[str, Array]:
        """Return the scores [questions, items] by words and by each field's meaning; `usual` may be one a question."""
        asked = centred(self.encoder.encode(list(questions)), self.usual if usual is None else usual)
        meaning = {name: asked @ vectors.T for name, vectors in self.vectors.items()}
        return {"words": self.words.scores(questions)} | meaning

    def scores(self, questions: Sequence[str]) -> Array:
        """Return the sum of all parts, each standardised for each question [questions, items]."""
        return mixture(list(self.parts(questions).values()))


def engine(dataset: Dataset, encoder: TextEncoder, earlier: Sequence[str] = ()) -> Engine:
    """Return the engine of a catalogue, with `earlier` questions to learn the usual from (none: nothing is taken off).

    Raises ColdstartError if the items have no text.
    """
    vectors = {name: encoder.encode(texts) for name, texts in fields(dataset).items()}
    less = {name: centred(own, own.mean(axis=0)) for name, own in vectors.items()}
    width = next(iter(less.values())).shape[1]
    usual = encoder.encode(list(earlier)).mean(axis=0) if len(earlier) else np.zeros(width, np.float32)
    return Engine(WordIndex(item_texts(dataset)), less, usual, encoder)


def exact_asks(dataset: Dataset, most: int = 200) -> dict[str, tuple[list[str], sparse.csr_matrix]]:
    """Return questions with one exact answer, and which items answer them [questions, items]: titles, people, years.

    'title': the title itself, of the first items; 'person': a name of the column people; 'year': 'from 1987'.
    Kinds that the catalogue does not know are left out.
    """
    items, asks = dataset.items, {}
    kinds = {"title": ("title", None, "{}"), "person": ("people", "; ", "{}"), "year": ("year", None, "from {}")}
    for kind, (column, separator, phrase) in kinds.items():
        if column not in items:
            continue
        texts = [clean_title(as_text(value)) for value in items[column]]
        named = [text.split(separator) if separator else [text] for text in texts]
        names = list(dict.fromkeys(name for own in named for name in own if name))[:most]
        if not names:
            continue
        place = {name: number for number, name in enumerate(names)}
        pairs = [(place[name], item) for item, own in enumerate(named) for name in own if name in place]
        rows, columns = zip(*pairs)
        relevant = sparse.csr_matrix((np.ones(len(pairs)), (rows, columns)), (len(names), dataset.n_items))
        asks[kind] = [phrase.format(name) for name in names], relevant
    return asks


# --- Methods, side by side -------------------------------------------------------------------------------------------


def halves(ids: Sequence[str]) -> Array:
    """Return 0 or 1 for each of the `ids` [n]: a half that depends on the id alone (SHA-256), not on order or seed."""
    return np.array([hashlib.sha256(name.encode()).digest()[-1] % 2 for name in ids])


def crossed(half: Array, learn: Callable[[Array], Array], width: tuple[int, ...]) -> Array:
    """Return for each row what `learn(rows of the other half)` says [rows, *width]; zeros where that half is empty."""
    result = np.zeros((len(half), *width), np.float32)
    for own in (0, 1):
        other = np.flatnonzero(half != own)
        if len(other):
            result[half == own] = learn(other)
    return result


def usual_of_others(asked: Array, half: Array) -> Array:
    """Return for each question vector [questions, d] the mean of those of the other half: what people say anyway."""
    return crossed(half, lambda rows: asked[rows].mean(axis=0), asked.shape[1:])


def by_level(texts: Mapping[str, list[str]], questions: Sequence[str], encoder: TextEncoder) -> dict[str, Array]:
    """Return the scores [questions, items] of BM25 and of one vector a text, for each of the `levels`."""
    asked = encoder.encode(list(questions))
    scores = {f"{name} | words": WordIndex(text).scores(questions) for name, text in texts.items()}
    return scores | {f"{name} | meaning": asked @ encoder.encode(text).T for name, text in texts.items()}


def together(
    dataset: Dataset, questions: Sequence[str], half: Array, right: Array, encoder: TextEncoder, clicks: Array
) -> dict[str, Array]:
    """Return the scores [questions, items] of the ways to put fields together. What is learnt, is on the other half.

    `half` [questions] is 0 or 1, `right` [questions] the item that was meant (for learning, and to make it new), and
    `clicks` [items] how often each was chosen.
    """
    search, asked = engine(dataset, encoder), encoder.encode(list(questions))
    usual = usual_of_others(asked, half)
    vectors = [encoder.encode(texts) for texts in fields(dataset).values()]
    plain = [asked @ own.T for own in vectors]
    parts = search.parts(questions, usual)
    words, meaning = parts["words"], [parts[name] for name in search.vectors]
    scores = {
        "fields apart": mixture(plain),
        "fields apart, centred": mixture(meaning),
        "words and meaning, not centred": mixture([words, *plain]),
        OURS: mixture([words, *meaning]),
        "by ranks": _by_ranks([words, *meaning]),
    }
    said = spoken(questions, encoder)
    best = [said.best_part(own) for own in vectors]
    scores["+ best sentence"] = mixture([words, *meaning, *best], [1.0] * (1 + len(meaning)) + [0.5] * len(best))
    back = [fed_back(centred(asked, usual), own) @ own.T for own in search.vectors.values()]
    scores["+ feedback"] = mixture([words, *back])
    scores["weights learnt"] = _with_learnt([words, *meaning, *best, np.log1p(clicks)], half, right)
    return scores | with_clicks(scores[OURS], right, clicks, guessed_clicks(search, clicks))


def _by_ranks(parts: Sequence[Array]) -> Array:
    items, scores = reciprocal_ranks([top_k(part, part.shape[1]) for part in parts], parts[0].shape[1])
    result = np.empty(parts[0].shape)
    np.put_along_axis(result, items, scores, axis=1)
    return result


def _with_learnt(parts: Sequence[Array], half: Array, right: Array) -> Array:
    """Return the mixture with weights that were learnt on the questions of the other half."""

    def learn(rows: Array) -> Array:
        weights = learnt_weights([part[rows] if part.ndim == 2 else part for part in parts], right[rows])
        return mixture(parts, list(weights))[~np.isin(np.arange(len(half)), rows)]

    return crossed(half, learn, parts[0].shape[1:])


def guessed_clicks(search: Engine, clicks: Array, *, neighbours: int = 20) -> Array:
    """Return what would be guessed of each item's clicks if it were new [items]: the mean of ln(1 + clicks) nearby."""
    joined = np.concatenate(list(search.vectors.values()), axis=1)
    near, _ = nearest(joined, joined, min(neighbours + 1, len(joined)))
    # An item is its own nearest neighbour, or as near as its twin.
    others = near != np.arange(len(joined))[:, None]
    return np.expm1((np.log1p(clicks)[near] * others).sum(axis=1) / np.maximum(others.sum(axis=1), 1))


def with_clicks(scores: Array, right: Array, clicks: Array, guess: Array) -> dict[str, Array]:
    """Return the scores with a share of fame, for each of `CLICK_WEIGHTS`, and as they would be were the item new.

    'clicks 0.5' adds half of the standardised ln(1 + clicks). In ', item new' the item that is meant has none, as on
    its first day; in ', item new, guessed' it has the `guess` [items] in their place.
    """
    fame, rows = np.log1p(clicks), np.arange(len(scores))
    found = {}
    for weight in CLICK_WEIGHTS:
        for name, own in (("", fame), (", item new", 0 * fame), (", item new, guessed", np.log1p(guess))):
            shown = np.tile(fame, (len(scores), 1))
            shown[rows, right] = own[right]
            # One scale for all: that of the catalogue as it is.
            standard = (shown - fame.mean()) / max(fame.std(), 1e-12)
            found[f"clicks {weight:g}{name}"] = mixture([scores]) + weight * standard
    return found
