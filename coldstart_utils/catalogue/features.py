"""What is known of items, as texts and as matrices: columns, the graph, vectors of one's own."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..ground import ColdstartError
from .dataset import Dataset
from .movielens import clean_title
from .tokens import entries

# What a graph can only know after a film's release. A new film has none of it.
HINDSIGHT_RELATIONS = ("film.film.award_nomination", "film.film.award_won")


def item_texts(dataset: Dataset, columns: Sequence[str] | None = None) -> list[str]:
    """Return one text an item: 'Title (year). Genres. Other columns.', from those of `columns` that exist.

    All text is taken by default, and where none of them exists. Raises ColdstartError if the items have no text.
    """
    available = [
        c for c in dataset.items.columns if c == "year" or (c != "item_id" and dataset.items[c].dtype != float)
    ]
    chosen = [c for c in available if columns is None or c in columns] or available
    if not chosen:
        raise ColdstartError(f"{dataset.name}: its items have no text column; text methods need a .item file with one")
    table = {c: dataset.items[c].map(as_text).tolist() for c in chosen}
    if "title" in table:
        table["title"] = [clean_title(title) for title in table["title"]]
    if "genres" in table:
        table["genres"] = [g if "," in g else g.replace(" ", ", ") for g in table["genres"]]
    texts = []
    for row in zip(*table.values()):
        values = dict(zip(table, row))
        title, year = values.pop("title", ""), values.pop("year", "")
        head = f"{title} ({year})" if title and year else title or year
        parts = [part for part in (head, *values.values()) if part]
        texts.append(title if parts == [title] else " ".join(part.rstrip(".") + "." for part in parts))
    return texts


def as_text(value: Any) -> str:
    """Return a value of a column as it is written: a number without needless zeros, nothing for NaN."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return value


def token_features(
    dataset: Dataset, columns: Sequence[str] = ("genres", "year"), separator: str | None = None
) -> sparse.csr_matrix:
    """Return items × tokens, one 1 for every token of the `columns` (columns that do not exist count as empty).

    `separator` stands between the tokens of a field; None finds out what does (`tokens.separator_of`).
    """
    rows, names = [], []
    for column in columns:
        if column in dataset.items:
            for row, own in enumerate(entries(dataset.items[column].map(as_text), separator)):
                rows += [row] * len(own)
                names += [f"{column}={token}" for token in own]
    codes, vocabulary = pd.factorize(np.array(names, dtype=object)) if names else (np.array([], int), [])
    shape = (dataset.n_items, max(1, len(vocabulary)))
    matrix = sparse.csr_matrix((np.ones(len(rows)), (np.array(rows, int), codes)), shape=shape)
    matrix.data[:] = 1
    return matrix


def idf(features: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return `features` [items, tokens] times ln(items / items with the token) (Spärck Jones 1972)."""
    count = np.asarray((features != 0).sum(axis=0)).ravel()
    return features @ sparse.diags_array(np.log(features.shape[0] / np.maximum(count, 1)))


def graph_features(dataset: Dataset, *, hindsight: bool = False) -> sparse.csr_matrix:
    """Return items × (relation, neighbour) facts of the knowledge graph that at least two items share, in both
    directions.

    A fact of one item alone joins it to nothing. `hindsight=True` adds award relations, which are known only after
    release.
    """
    triples = dataset.triples
    if not hindsight:
        triples = triples[~triples["relation"].isin(HINDSIGHT_RELATIONS)]
    items_of = dataset.links.set_index("entity")["item"]
    facts = []
    for own, other in (("head", "tail"), ("tail", "head")):
        known = triples[triples[own].isin(items_of.index)]
        facts.append(pd.DataFrame({"entity": known[own], "fact": own + " " + known["relation"] + " " + known[other]}))
    table = pd.concat(facts).merge(items_of.reset_index(), on="entity").drop_duplicates(["item", "fact"])
    table = table[table["fact"].duplicated(keep=False)]
    codes, vocabulary = pd.factorize(table["fact"])
    shape = (dataset.n_items, max(1, len(vocabulary)))
    return sparse.csr_matrix((np.ones(len(table)), (table["item"].to_numpy(int), codes)), shape=shape)


def fact_counts(dataset: Dataset) -> np.ndarray:
    """Return how many facts of each kind the knowledge graph has of each item [items, kinds], none of them hindsight.

    A kind is a relation and the side of it on which the item stands.
    """
    triples = dataset.triples[~dataset.triples["relation"].isin(HINDSIGHT_RELATIONS)]
    entity_of = dataset.links.drop_duplicates("item").set_index("item")["entity"].reindex(range(dataset.n_items))
    kinds = [part[side] for _, part in triples.groupby("relation") for side in ("head", "tail")]
    counted = [entity_of.map(entities.value_counts()).fillna(0) for entities in kinds]
    return np.column_stack(counted) if counted else np.zeros((dataset.n_items, 0))


def related(dataset: Dataset, title: str, relation: str) -> list[str]:
    """Return the titles that the graph joins to `title` by `relation`, such as 'film.film.sequel'."""
    names = dataset.items["title"]
    entity_of = dict(zip(dataset.links["item"], dataset.links["entity"]))
    items_of = dataset.links.groupby("entity")["item"].apply(list).to_dict()
    entities = {entity_of[i] for i in names.index[names == title] if i in entity_of}
    facts = dataset.triples[(dataset.triples["relation"] == relation) & dataset.triples["head"].isin(entities)]
    return [names[i] for tail in facts["tail"] for i in items_of.get(tail, [])]


def item_vectors(dataset: Dataset, path: str | Path) -> np.ndarray:
    """Return the reader's own vectors of the items [items, d], such as image embeddings, from a NumPy file.

    `.npy`: one row an item, in the order of `dataset.items`. `.npz`: `ids` [n] and `vectors` [n, d] in any order; an
    item left out gets zeros. Raises ColdstartError naming file and row or id for another file, number of rows or type,
    for NaN, and for ids that are unknown or repeated.
    """
    own = dataset.items["item_id"]
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            ids, vectors = own, stored
        else:
            with stored:
                ids, vectors = stored["ids"], stored["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ColdstartError(f"{path}: expected a .npy file, or a .npz file of ids and vectors ({error})") from None
    ids = pd.Index(np.ravel(ids).astype(str))
    if vectors.ndim != 2 or len(vectors) != len(ids) or vectors.dtype.kind not in "fiu":
        found = f"{vectors.dtype} of shape {vectors.shape}"
        raise ColdstartError(f"{path}: expected {len(ids)} rows of numbers, one an item, found {found}")
    place = pd.Index(own).get_indexer(ids)
    for fault, wrong in (
        ("has a value that is not a finite number", ~np.isfinite(vectors).all(axis=1)),
        ("is not an id of the catalogue", place < 0),
        ("stands there twice", ids.duplicated()),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ColdstartError(f"{path}, row {row}: the item {ids[row]!r} {fault} ({wrong.sum()} such rows)")
    result = np.zeros((dataset.n_items, vectors.shape[1]))
    result[place] = vectors
    return result
