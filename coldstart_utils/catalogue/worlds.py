"""Other worlds: catalogues in folders, what a new item has at its first hour, and a sample that fits into memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from ..ground import ColdstartError, cache_dir
from .atomic import only_file, read_table, refuse_nan, rows_of
from .dataset import Dataset, best_known
from .sources import WHEELS, load_dataset

# What is written about an item by those who chose it: a new one has none of it.
HINDSIGHT = {"lastfm-2k": ("tags",), "nashville-meetup": ("events",)}


def find_worlds(places: str = "") -> dict[str, Path]:
    """Return the folders of atomic files in `places`, by name in order.

    `places` are folders, joined by commas: each a catalogue itself, or a folder that holds some. Empty:
    `$COLDSTART_DATA` and what `coldstart data install` fetched. Folders of ml-100k and ml-1m are left to
    `load_dataset`. Raises ColdstartError for a folder that is none, or two catalogues of one name.
    """
    own = os.environ.get("COLDSTART_DATA", "")
    parts = [places] if Path(places).is_dir() else places.split(",")
    asked = [Path(place.strip()) for place in parts if place.strip()]
    found: dict[str, Path] = {}
    for place in asked or [Path(folder) for folder in (own, str(cache_dir())) if folder]:
        if not place.is_dir():
            if asked:
                raise ColdstartError(f"worlds: expected folders of atomic files joined by commas, got {str(place)!r}")
            continue
        folders = [place] if any(place.glob("*.inter")) else sorted(p for p in place.iterdir() if p.is_dir())
        for folder in folders:
            if folder.name in WHEELS or not any(folder.glob("*.inter")):
                continue
            if asked and folder.name in found and found[folder.name].resolve() != folder.resolve():
                raise ColdstartError(f"worlds: two folders are called {folder.name!r}: {found[folder.name]}, {folder}")
            found.setdefault(folder.name, folder)
    return found


def open_world(place: str | Path) -> Dataset:
    """Return the catalogue at `place` as it is when an item is new (`at_first`)."""
    return at_first(load_dataset(place))


def at_first(dataset: Dataset) -> Dataset:
    """Return the catalogue without what its audience wrote about its items (`HINDSIGHT`), and say so in its notes."""
    written = [column for column in HINDSIGHT.get(dataset.name, ()) if column in dataset.items]
    if not written:
        return dataset
    note = f"Left out, since a new item has none: {', '.join(written)}."
    return replace(dataset, items=dataset.items.drop(columns=written), notes=dataset.notes + (note,))


def sample(dataset: Dataset, items: int, users: int, *, seed: int = 0) -> Dataset:
    """Return the catalogue of the best-known `items`, chosen at least once, and at most so many `users` with two
    choices among them, drawn at random.
    """
    touched = dataset.interactions["item"].nunique()
    dataset = best_known(dataset, min(items, touched))
    choices = np.bincount(dataset.interactions["user"], minlength=dataset.n_users)
    able = np.flatnonzero(choices >= min(2, choices.max(initial=0)))
    if len(able) > users:
        able = np.sort(np.random.default_rng(seed).choice(able, users, replace=False))
    place = pd.Series(np.arange(len(able)), able)
    table = dataset.interactions
    kept = table[table["user"].isin(able)].assign(user=lambda rows: rows["user"].map(place)).reset_index(drop=True)
    return replace(dataset, interactions=kept, users=dataset.users.iloc[able].reset_index(drop=True))


def friendships(folder: Path, dataset: Dataset) -> sparse.csr_matrix:
    """Return who is whose friend [users, users], symmetric, from the folder's `.net` (source_id, target_id).

    Raises ColdstartError naming file, line and column for a missing file or an unknown id.
    """
    path, columns = _needed(folder, "net"), ("source_id", "target_id")
    table, users = read_table(path, columns), Path(f"the users of {dataset.name}")
    ends = [rows_of(table, "user_id", dataset.users, path, users, column=column) for column in columns]
    apart = ends[0] != ends[1]
    pairs = (np.ones(apart.sum()), (ends[0][apart], ends[1][apart]))
    A = sparse.csr_matrix(pairs, shape=(dataset.n_users, dataset.n_users))
    return sparse.csr_matrix(((A + A.T) > 0).astype(float))


def strengths(folder: Path, dataset: Dataset, column: str) -> sparse.csr_matrix:
    """Return users × items with a column of `.inter` that the loader leaves aside, such as 'listens'; ones without it.

    Raises ColdstartError naming file, line and column for an id that the catalogue has not, and for what is no finite
    number.
    """
    path = _needed(folder, "inter")
    table = read_table(path, ("user_id", "item_id"))
    users, items = (
        rows_of(table, f"{kind}_id", entities, path, Path(f"the {kind}s of {dataset.name}"))
        for kind, entities in (("user", dataset.users), ("item", dataset.items))
    )
    values = np.ones(len(table))
    if column in table:
        refuse_nan(table[column], path, column)
        values = table[column].to_numpy()
    return sparse.csr_matrix((values, (users, items)), shape=(dataset.n_users, dataset.n_items))


def topics_given(folder: Path, dataset: Dataset, *, least: int = 10) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Return the rows of `.topics` (user, tag, times), and users × those topics that at least so many users gave.

    Raises ColdstartError naming file, line and column for a missing file, an unknown id, and times that are no finite
    numbers.
    """
    path = _needed(folder, "topics")
    table = read_table(path, ("user_id", "tag"))
    rows = rows_of(table, "user_id", dataset.users, path, Path(f"the users of {dataset.name}"))
    times = table["times"] if "times" in table else pd.Series(1.0, table.index)
    refuse_nan(times, path, "times")
    table = pd.DataFrame({"user": rows, "tag": table["tag"], "times": times})
    codes, names = pd.factorize(table["tag"])
    T = sparse.csr_matrix((np.ones(len(table)), (rows, codes)), shape=(dataset.n_users, len(names)))
    return table, T[:, np.diff(T.tocsc().indptr) >= least]


def _needed(folder: Path, kind: str) -> Path:
    path = only_file(folder, kind)
    if path is None:
        raise ColdstartError(f"{folder}: expected a file that ends in .{kind}, found none")
    return path
