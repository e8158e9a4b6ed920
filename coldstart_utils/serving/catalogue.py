"""What an item says, and a whole data set brought into a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..catalogue.dataset import Dataset
from ..catalogue.features import as_text
from ..catalogue.movielens import clean_title
from ..catalogue.tokens import entries
from .store import Event, Item, Store

Array = np.ndarray
TAGS = ("year", "genres")


def said(title: str, text: str, attributes: Mapping[str, Sequence[str]]) -> str:
    """Return all words of an item as one text: 'Title (year). Genres, one by one. Text.'"""
    others = {name: ", ".join(entries) for name, entries in attributes.items()}
    year = others.pop("year", "")
    head = f"{title} ({year})" if title and year else title or year
    parts = [part for part in (head, *others.values(), text) if part]
    return " ".join(part.rstrip(".") + "." for part in parts) if len(parts) > 1 or year else head or text


def items_of(dataset: Dataset, encode: Callable[[Sequence[str]], Array]) -> list[Item]:
    """Return the items of a data set with their vectors; year and genres become attributes, other columns text."""
    table = dataset.items
    tags = {name: entries(table[name].map(as_text)) for name in TAGS if name in table}
    texts = [name for name in table if name not in ("item_id", "title", *tags) and table[name].dtype != float]
    rows = []
    for row, item in enumerate(table["item_id"]):
        title = clean_title(as_text(table["title"][row])) if "title" in table else ""
        text = " ".join(filter(None, (as_text(table[name][row]) for name in texts)))
        rows.append((item, title, text, {name: own[row] for name, own in tags.items()}))
    vectors = encode([said(*row[1:]) or row[0] for row in rows])
    return [Item(*row, vector=vector) for row, vector in zip(rows, vectors)]


def events_of(dataset: Dataset) -> list[Event]:
    """Return the interactions of a data set as events, in order of time where it is known; each is a yes.

    Without times they get seconds of 1970, in the order of the file.
    """
    table = dataset.interactions
    times = table["timestamp"] if "timestamp" in table else np.arange(len(table), dtype=float)
    users, items = dataset.users.iloc[:, 0].to_numpy(), dataset.items["item_id"].to_numpy()
    order = np.argsort(times, kind="stable")
    rows = zip(users[table["user"]][order], items[table["item"]][order], np.asarray(times, float)[order])
    return [Event(str(user), str(item), 1.0, time) for user, item, time in rows]


def bring(dataset: Dataset, store: Store, encode: Callable[[Sequence[str]], Array]) -> None:
    """Store the items and interactions of a data set, all or nothing."""
    items, events = items_of(dataset, encode), events_of(dataset)
    with store.writing():
        for item in items:
            store.add_item(item)
        store.add_events(events)
