"""Vectors of users, items and of the moment of an interaction, and ways to join them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.features import graph_features, idf, item_texts, token_features
from ..catalogue.matrices import feedback, floats
from ..catalogue.movielens import expanded, own_columns
from ..ground import ColdstartError
from .encoders import TextEncoder, checked

Array = np.ndarray

SAYS_NOTHING = {"", "nan", "none", "null", "other", "unknown", "na", "n/a"}
GENDERS = {"m": "male", "man": "male", "f": "female", "w": "female", "woman": "female"}
COMBINATIONS: dict[str, Callable[..., Array]] = {
    "concat": lambda *parts: np.concatenate(parts, axis=1),
    "mean": lambda *parts: np.mean(parts, axis=0),
    "sum": lambda *parts: np.sum(parts, axis=0),
    "product": lambda *parts: np.prod(parts, axis=0),
}


def combine(user: Array, item: Array, context: Array, how: str = "concat") -> Array:
    """Return one vector an interaction from `user` [n, d_u], `item` [n, d_i] and `context` [n, d_c].

    'concat' → [n, d_u + d_i + d_c]; 'mean', 'sum' and 'product' (element by element) → [n, d] and need d_u = d_i = d_c.
    Raises ColdstartError for another `how`, or shapes that do not fit.
    """
    if how not in COMBINATIONS:
        raise ColdstartError(f"how: expected one of {', '.join(COMBINATIONS)}, got {how!r}")
    parts = [np.atleast_2d(floats(part, "vectors")) for part in (user, item, context)]
    shapes = ", ".join(str(part.shape) for part in parts)
    if len({len(part) for part in parts}) > 1:
        raise ColdstartError(f"combine: expected as many user as item and context vectors, got the shapes {shapes}")
    if how != "concat" and len({part.shape[1] for part in parts}) > 1:
        raise ColdstartError(f"combine by {how}: expected vectors of one width, got the shapes {shapes}")
    return COMBINATIONS[how](*parts)


def history_vectors(interactions: sparse.csr_matrix, item_vectors: Array) -> Array:
    """Return the mean vector of the items of each user [users, d]; zero for a user without history."""
    interactions, item_vectors = feedback(interactions), floats(item_vectors, "item vectors")
    counts = np.maximum(np.diff(interactions.indptr), 1)[:, None]
    return (interactions.astype(bool) @ item_vectors) / counts


def content_blocks(dataset: Dataset, encoder: TextEncoder) -> dict[str, Array | sparse.csr_matrix]:
    """Return the blocks of item features [items, d] that this catalogue allows, by name.

    'title words' (TF-IDF) and 'title vector' (both of all text where there is no title), 'text vector' and 'all words'
    (TF-IDF; both of all text but the generated), 'genres', 'year', 'graph', and from generated columns 'synopsis
    vector', 'keywords vector', 'people', 'generated words', 'one long vector' (all in one text). Raises ColdstartError
    if the items have no text.
    """
    columns = own_columns(dataset)
    title = item_texts(dataset, ["title"])
    blocks: dict[str, Array | sparse.csr_matrix] = {
        "title words": tfidf(title),
        "title vector": encoder.encode(title),
        "text vector": encoder.encode(item_texts(dataset, columns)),
        "all words": tfidf(item_texts(dataset, columns)),
    }
    # Texts of signs alone have no words to count.
    blocks = {
        name: block for name, block in blocks.items() if not sparse.issparse(block) or sparse.csr_matrix(block).nnz
    }
    blocks |= {name: token_features(dataset, [name]) for name in ("genres", "year") if name in columns}
    if len(dataset.triples):
        blocks["graph"] = idf(graph_features(dataset))
    if expanded(dataset):
        synopsis, keywords = dataset.items["synopsis"].tolist(), dataset.items["keywords"].tolist()
        blocks |= {
            "synopsis vector": encoder.encode(synopsis),
            "keywords vector": encoder.encode(keywords),
            "people": idf(token_features(dataset, ["people", "origin"], "; ")),
            "generated words": tfidf([f"{s} {k}" for s, k in zip(synopsis, keywords)]),
            "one long vector": encoder.encode(item_texts(dataset)),
        }
    return blocks


def tfidf(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return texts × words, (1 + ln count)·(1 + ln((1 + n)/(1 + texts with the word))), rows of length 1.

    The words of a text count, its order does not (Spärck Jones 1972). Where no text has a word, one column of zeros.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(re.search(r"\w", text) for text in checked(texts)):
        return sparse.csr_matrix((len(texts), 1))
    return sparse.csr_matrix(TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+").fit_transform(texts))


def user_texts(dataset: Dataset) -> list[str]:
    """Return a sentence about each user, such as 'A 24-year-old technician, male.', from the columns that exist.

    Raises ColdstartError if nothing is known about users.
    """
    users = dataset.users
    if users.shape[1] == 1:
        raise ColdstartError(f"{dataset.name}: no attributes of users; there is nothing to write about them")
    gender = users.get("gender", pd.Series("", users.index)).map(_gender)
    age = users.get("age", pd.Series("", users.index)).map(_whole)
    occupation = users.get("occupation", pd.Series("person", users.index)).map(_occupation)
    return [
        _with_article((f"{a}-year-old " if a else "") + o) + (f", {g}" if g else "") + "."
        for a, o, g in zip(age, occupation, gender)
    ]


def _with_article(noun: str) -> str:
    return ("An " if noun.lower().startswith((*"aeiou8", "11-", "18-")) else "A ") + noun


def _occupation(value: object) -> str:
    # Some data sets code occupations as numbers, which say nothing to a language model.
    if not isinstance(value, str) or value.isdigit() or value.strip().lower() in SAYS_NOTHING:
        return "person"
    return value


def _gender(value: object) -> str:
    said = str(value).strip().lower()
    if said in GENDERS:
        return GENDERS[said]
    tells = len(said) > 1 and said.replace("-", "").isalpha() and said not in SAYS_NOTHING
    return said if tells else ""


def _whole(value: object) -> str:
    text = str(value).strip()
    # Whoever exports ages as numbers gets 24.0.
    text = f"{float(text):g}" if re.fullmatch(r"\d+\.\d*", text) else text
    return "" if text.lower() in SAYS_NOTHING else text


def time_features(timestamps: Array) -> Array:
    """Return hour of day and day of week as points on two circles [n, 4], from Unix seconds, UTC.

    On a circle 23 h lies beside 0 h: (sin, cos)(2π·hour/24), (sin, cos)(2π·weekday/7).
    """
    seconds = np.asarray(timestamps, float)
    day = 2 * np.pi * (seconds % 86_400) / 86_400
    # 1 January 1970 was a Thursday, three days after Monday.
    week = 2 * np.pi * ((seconds // 86_400 + 3) % 7) / 7
    return np.column_stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)])
