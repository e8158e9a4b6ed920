"""What was said, on disk: items and events in one SQLite file, each there before it is acknowledged."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..ground import ColdstartError

Array = np.ndarray

FILE, FORMAT = "store.sqlite", 1
# An event is known by user, item and time. Those of a user lie side by side: they are read when the user comes.
SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY, item TEXT NOT NULL UNIQUE, title TEXT NOT NULL, text TEXT NOT NULL,
    attributes TEXT NOT NULL, vector BLOB NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS events (
    user TEXT NOT NULL, item INTEGER NOT NULL REFERENCES items, time REAL NOT NULL, value REAL NOT NULL,
    received REAL NOT NULL, PRIMARY KEY (user, item, time)
) WITHOUT ROWID;
"""


class Refused(ColdstartError):
    """What cannot be stored because of what is stored already; `status` is the code that HTTP has for it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Unwritable(ColdstartError):
    """What could not be stored because the disk did not take it. Nothing of it was."""


@dataclass(frozen=True)
class Item:
    """An item: its id, `title`, `text`, `attributes` (name → entries), the `vector` of all its words [d], and whether
    it is `withdrawn`; `number` is its place in the store, 0 before it has one.
    """

    item: str
    title: str
    text: str
    attributes: Mapping[str, Sequence[str]]
    vector: Array
    withdrawn: bool = False
    number: int = 0

    def same(self, other: Item) -> bool:
        """Return whether both say the same."""
        mine, theirs = (
            (one.title, one.text, {name: list(entries) for name, entries in one.attributes.items()})
            for one in (self, other)
        )
        return mine == theirs


@dataclass(frozen=True)
class Event:
    """What a user said of an item: `value` 1 a yes, 0 a no; `time` in seconds since 1970, None for now.

    Of several events of a user about an item that with the latest time counts. `number` is that of the item.
    """

    user: str
    item: str
    value: float = 1.0
    time: float | None = None
    number: int = 0


@dataclass
class Store:
    """One SQLite file in a folder, in write-ahead mode: one connection writes, others read at the same time.

    A transaction that has ended is on disk (`synchronous=FULL`). `clock` tells the time. Raises ColdstartError for a
    file that is damaged, or no store.
    """

    folder: Path
    clock: Callable[[], float] = time.time
    path: Path = field(init=False)
    db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.folder / FILE
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")
            self._check()
            self.db.executescript(SCHEMA)
            self.db.execute(f"PRAGMA user_version={FORMAT}")
            (last,) = self.db.execute("SELECT max(received) FROM events").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise ColdstartError(f"{self.path}: cannot be opened as a store ({error}); restore a copy of it") from None
        self._last = last or 0.0

    def _check(self) -> None:
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        if version not in (0, FORMAT):
            raise ColdstartError(f"{self.path}: expected a store of format {FORMAT}, found {version}")
        (verdict,) = self.db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ColdstartError(f"{self.path}: damaged ({verdict.splitlines()[-1]}); restore a copy of it")

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    # --- Writing, inside `writing` -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Begin a transaction and end it: on disk, or, after an error, not at all. Raises Unwritable."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            raise Unwritable(f"the store could not be written ({error}); nothing was stored") from None
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Begin a part of a transaction that leaves nothing behind if it fails."""
        self.db.execute("SAVEPOINT part")
        try:
            yield
        except Refused:
            self.db.execute("ROLLBACK TO part")
            raise
        finally:
            if self.db.in_transaction:
                self.db.execute("RELEASE part")

    def add_item(self, item: Item) -> bool:
        """Store an item; return False if it stands there already with the same words. Refused if with others."""
        known = self.item(item.item)
        if known is not None:
            if known.same(item):
                return False
            raise Refused(409, f"item {item.item!r} exists with other words; withdraw it and post these as a new item")
        values = (item.item, item.title, item.text, json.dumps({**item.attributes}), _bytes(item.vector))
        self.db.execute("INSERT INTO items (item, title, text, attributes, vector) VALUES (?, ?, ?, ?, ?)", values)
        return True

    def add_events(self, events: Sequence[Event]) -> list[Event]:
        """Store events, all or none; return those that were not there, with their times.

        An event with the user, item and time of one that is there is that one again. Refused if its value is another,
        or an item is unknown.
        """
        fresh = []
        for place, event in enumerate(events):
            number = self.number(event.item)
            if number is None:
                raise Refused(404, f"event {place + 1}: item {event.item!r} is unknown; post it to /items first")
            received = self.now()
            when = received if event.time is None else float(event.time)
            row = (event.user, number, when, event.value, received)
            insert = "INSERT INTO events VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            if self.db.execute(insert, row).rowcount:
                fresh.append(Event(event.user, event.item, event.value, when, number))
            elif event.value != (said := self._value(row)):
                raise Refused(409, f"event {place + 1}: at that time the user said {said:g} of the item already")
        return fresh

    def withdraw(self, item: str, withdrawn: bool) -> int:
        """Take an item out of every answer, or back in; return its number. Refused if it is unknown."""
        number = self.number(item)
        if number is None:
            raise Refused(404, f"item {item!r} is unknown")
        self.db.execute("UPDATE items SET withdrawn = ? WHERE number = ?", (withdrawn, number))
        return number

    def now(self) -> float:
        """Return the time, later than at any call before, also of an earlier process, whatever the clock does."""
        self._last = max(self.clock(), self._last + 1e-6)
        return self._last

    def _value(self, row: tuple[Any, ...]) -> float:
        query = "SELECT value FROM events WHERE user = ? AND item = ? AND time = ?"
        return float(self.db.execute(query, row[:3]).fetchone()[0])

    # --- Reading -----------------------------------------------------------------------------------------------------

    def reader(self) -> Reader:
        """Return a connection of its own that reads what has been stored."""
        return Reader(self.path)

    def number(self, item: str) -> int | None:
        """Return the number of an item, None if it is unknown."""
        found = self.db.execute("SELECT number FROM items WHERE item = ?", (item,)).fetchone()
        return found and found[0]

    def item(self, item: str) -> Item | None:
        """Return an item, None if it is unknown."""
        found = self.db.execute("SELECT * FROM items WHERE item = ?", (item,)).fetchone()
        return found and _item(found)


class Reader:
    """Reads a store at `path` while others write. Raises ColdstartError if there is none."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ColdstartError(f"{path}: there is no store")
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self.db.execute("PRAGMA query_only=1")

    def items(self, after: int = 0) -> list[Item]:
        """Return the items with numbers above `after`, in order."""
        rows = self.db.execute("SELECT * FROM items WHERE number > ? ORDER BY number", (after,))
        return [_item(row) for row in rows]

    def withdrawn(self) -> list[int]:
        """Return the numbers of the items that are withdrawn."""
        return [number for (number,) in self.db.execute("SELECT number FROM items WHERE withdrawn")]

    def answers(self, user: str) -> list[tuple[int, float, float]]:
        """Return (number, time, value) of the event that counts for each item a user spoke of: that of latest time."""
        # SQLite takes the other columns from the row of the maximum.
        query = "SELECT item, max(time), value FROM events WHERE user = ? GROUP BY item ORDER BY item"
        return self.db.execute(query, (user,)).fetchall()

    def count(self, user: str | None = None) -> int:
        """Return how many events are stored, of a user or of all."""
        where, value = ("", ()) if user is None else (" WHERE user = ?", (user,))
        return int(self.db.execute(f"SELECT count(*) FROM events{where}", value).fetchone()[0])

    def count_since(self, moment: float) -> int:
        """Return how many events were received after a moment, as `latest` tells it."""
        return int(self.db.execute("SELECT count(*) FROM events WHERE received > ?", (moment,)).fetchone()[0])

    def latest(self) -> float:
        """Return when the last event was received, 0 without events."""
        return float(self.db.execute("SELECT max(received) FROM events").fetchone()[0] or 0)

    def choices(self, numbers: Sequence[int]) -> sparse.csr_matrix:
        """Return who said yes to what, users × `numbers`, a 1 where the event that counts has a value above 0."""
        query = "SELECT user, item FROM (SELECT user, item, max(time), value FROM events GROUP BY user, item) "
        rows = self.db.execute(query + "WHERE value > 0 ORDER BY user").fetchall()
        users: dict[str, int] = {}
        place = {number: column for column, number in enumerate(numbers)}
        row = [users.setdefault(user, len(users)) for user, number in rows if number in place]
        column = [place[number] for _, number in rows if number in place]
        return sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(users), len(numbers)))

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def _bytes(vector: Array) -> bytes:
    return np.asarray(vector, np.float32).tobytes()


def _item(row: Iterable[Any]) -> Item:
    number, item, title, text, attributes, vector, withdrawn = row
    return Item(item, title, text, json.loads(attributes), np.frombuffer(vector, np.float32), bool(withdrawn), number)
