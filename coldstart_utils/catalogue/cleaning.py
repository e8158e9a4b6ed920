"""What a legal file may say in several ways, made one and told: units of time, lists of genres, empty columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from .dataset import Dataset
from .tokens import entries, separator_of

UNITS = {1e11: ("milliseconds", 1e3), 1e14: ("microseconds", 1e6), 1e17: ("nanoseconds", 1e9)}
NAMES = {"|": "bars", ";": "semicolons", ",": "commas", "/": "slashes"}


def cleaned(dataset: Dataset) -> Dataset:
    """Return the catalogue with times in seconds, genres parted by spaces and no empty column, all said in its notes.

    Notes also say what nothing can be learnt from: ratings that are all the same, a column that is, items and users
    without a choice. Raises ColdstartError for times in two units.
    """
    interactions, notes = _in_seconds(dataset)
    items, dropped = _without_empty(dataset.items, "item")
    users, dropped_users = _without_empty(dataset.users, "user")
    notes += dropped + dropped_users
    if "genres" in items:
        items, said = _with_spaces(items)
        notes += said
    notes += _says_nothing(interactions, items) + _without_choice(interactions, items, users)
    return replace(dataset, interactions=interactions, items=items, users=users, notes=dataset.notes + notes)


def _in_seconds(dataset: Dataset) -> tuple[pd.DataFrame, tuple[str, ...]]:
    table = dataset.interactions
    if "timestamp" not in table:
        return table, ()
    times = table["timestamp"].to_numpy(float)
    # Times near 1970 look alike in all units; those of our days tell.
    unit = np.searchsorted([*UNITS], np.abs(times))
    told = np.unique(unit[np.abs(times) > 1e8])
    if len(told) > 1:
        found = " and ".join(["seconds", *(name for name, _ in UNITS.values())][one] for one in told)
        raise ColdstartError(f"{dataset.name}: expected the timestamps of its .inter file in one unit, found {found}")
    if not len(told) or told[0] == 0:
        return table, ()
    name, factor = [*UNITS.values()][told[0] - 1]
    return table.assign(timestamp=times / factor), (f"Timestamps are {name} and were made seconds.",)


def _without_empty(table: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    empty = [c for c in table.columns if table[c].isna().all() or (table[c].astype(str).str.strip() == "").all()]
    notes = tuple(f"The column {name!r} of the .{kind} file is empty and left out." for name in empty)
    return table.drop(columns=empty), notes


def _with_spaces(items: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    values = items["genres"].astype(str)
    lists = entries(values)
    joined = [" ".join(entry.replace(" ", "-") for entry in each) for each in lists]
    between = NAMES.get(separator_of([value.strip("[]") for value in values]))
    if joined == values.tolist() or between is None:
        return items.assign(genres=joined), ()
    note = f"Genres are parted by {between} and were made words with spaces between them."
    if any(" " in entry for each in lists for entry in each):
        note = note[:-1] + "; a space within one became a hyphen."
    return items.assign(genres=joined), (note,)


def _says_nothing(interactions: pd.DataFrame, items: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    if "rating" in interactions and interactions["rating"].nunique() == 1:
        notes.append("All ratings are the same: they say who chose what, and not who liked it.")
    for name in items.columns[1:]:
        if len(items) > 1 and items[name].nunique(dropna=False) == 1:
            notes.append(f"The column {name!r} is the same for all items and tells none from another.")
    return tuple(notes)


def _without_choice(interactions: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    for side, table in (("item", items), ("user", users)):
        if missing := len(table) - interactions[side].nunique():
            notes.append(f"{missing} of {len(table)} {side}s are in no interaction.")
    return tuple(notes)
