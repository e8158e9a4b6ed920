"""How the panels read items: texts, vectors, features, and a reader that remembers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from ..catalogue import movielens
from ..catalogue.dataset import Dataset
from ..catalogue.features import as_text, item_texts
from ..language.encoders import TextEncoder, quick
from ..models.content import unit_rows

Array = np.ndarray

REMEMBERED = 2000  # texts
NO_DESCRIPTION = ("item_id", "title", "year", "genres")


@dataclass(frozen=True)
class Shelf:
    """A catalogue as the panels read it.

    `names` are unique, a name that comes twice ends with its row. `body` is the column that a description stands in
    for, if there is one. `vocabulary` holds the tokens of genres and year, `features` [n, d] one row an item, `centre`
    the mean text vector, `vectors` [n, 384] what each text says beside it, at unit length.
    """

    names: list[str]
    body: str | None
    vocabulary: dict[str, list[str]]
    features: Array
    centre: Array
    vectors: Array


class Reader:
    """Reads what visitors type: texts to vectors, by onnxruntime where that is installed.

    It remembers the last texts in memory; nothing that somebody typed is kept on disk. `tokenizer` counts the tokens of
    a text, by itself: the one of the encoder is set to cut, and visitors ask at the same time.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = quick(encoder) if isinstance(encoder, TextEncoder) else encoder
        self.width = int(np.shape(self.encoder.encode(["The first text loads the model."]))[1])
        self.tokenizer: Any = copy.deepcopy(self.encoder.tokenizer)
        self.known: dict[str, Array] = {}
        self.lock = Lock()

    @property
    def max_tokens(self) -> int:
        """Return the most tokens of a text that are read."""
        return int(self.encoder.max_tokens)

    def encode(self, texts: Sequence[str]) -> Array:
        """Return one vector a text [n, d], zeros for an empty one; what was read before is not read again."""
        known = self.known
        fresh = [text for text in dict.fromkeys(texts) if text.strip() and text not in known]
        found = dict(zip(fresh, self.encoder.encode(fresh))) if fresh else {}
        nothing = np.zeros(self.width)
        vectors = [found[text] if text in found else known.get(text, nothing) for text in texts]
        with self.lock:
            # A new dictionary rather than a cleared one: another visitor may be reading in the old.
            self.known = (self.known if len(self.known) < REMEMBERED else {}) | found
        return np.stack(vectors)


def shelf(dataset: Dataset, encoder: TextEncoder) -> Shelf:
    """Read a catalogue. Raises ColdstartError for items without text."""
    items = dataset.items
    texts = [encoder.encode(part) for part in texts_of(dataset)]
    others = [name for name in items if items[name].dtype != float and name not in NO_DESCRIPTION]
    body = "synopsis" if "synopsis" in others else others[0] if others else None
    vocabulary = {name: _tokens(items[name]) for name in ("genres", "year") if name in items}
    centre = texts[0].mean(axis=0)
    features = features_of(vocabulary, items, texts)
    return Shelf(names_of(dataset), body, vocabulary, features, centre, unit_rows(texts[0] - centre))


def texts_of(dataset: Dataset) -> list[list[str]]:
    """Return the texts of all items: what is known of them, then the generated synopsis where there is one."""
    if not movielens.expanded(dataset):
        return [item_texts(dataset)]
    return [item_texts(dataset, movielens.own_columns(dataset)), dataset.items["synopsis"].tolist()]


def texts_of_new(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, list[list[str]]]:
    """Return the table of new items, whose `rows` have the columns of the catalogue, and their texts."""
    items = pd.DataFrame(list(rows))
    return items, texts_of(replace(dataset, items=items))


def features_of(vocabulary: Mapping[str, list[str]], items: pd.DataFrame, texts: Sequence[Array]) -> Array:
    """Return one row an item: each of the `texts` [n, d], then genres and year, every block at unit length."""
    blocks = [*texts, *(one_hot(items[name], tokens) for name, tokens in vocabulary.items())]
    return np.hstack([unit_rows(block) for block in blocks])


def one_hot(column: pd.Series, tokens: list[str]) -> Array:
    """Return which of the `tokens` each entry of a column has, as ones and zeros [n, tokens]."""
    has = [set(as_text(value).split()) for value in column]
    return np.array([[token in own for token in tokens] for own in has], float).reshape(len(has), -1)


def _tokens(column: pd.Series) -> list[str]:
    return sorted({token for value in column for token in as_text(value).split()})


def names_of(dataset: Dataset) -> list[str]:
    """Return a name for each item, its title and year; one that comes twice ends with its row."""
    names = [name[:70].rstrip(".") or "?" for name in item_texts(dataset, ["title", "year"])]
    twice = pd.Series(names).duplicated(keep=False)
    return [f"{name} · {row + 1}" if double else name for row, (name, double) in enumerate(zip(names, twice))]
