"""Vectors kept from one run to the next, in one file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..ground import ColdstartError

Array = np.ndarray
log = logging.getLogger("coldstart")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the store of vectors in the file `path`, or, where none can be made, one in memory, which is said.

    Raises ColdstartError if the file is there and no such store.
    """
    try:
        # A transaction either stands whole or not at all, also with two notebooks writing at once.
        with closing(_connected(path)) as store:
            yield store
    except sqlite3.DatabaseError as error:
        raise ColdstartError(
            f"{path}: the vector cache cannot be read ({error}); run again, or, if that does not help, delete this file"
        ) from None


def _connected(path: Path) -> sqlite3.Connection:
    table = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(path, timeout=60)
        store.execute(table)
    except (OSError, sqlite3.OperationalError) as error:
        _not_kept(path, str(error))
        store = sqlite3.connect(":memory:")
        store.execute(table)
    return store


def write(store: sqlite3.Connection, path: Path, rows: list[tuple[bytes, bytes]]) -> None:
    """Keep `rows` (key, vector) in the store of the file `path`; where that cannot be, it is said."""
    try:
        with store:
            store.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
    except sqlite3.OperationalError as error:  # it belongs to somebody else, or the disk is full
        _not_kept(path, str(error))


@lru_cache(maxsize=8)
def _not_kept(path: Path, why: str) -> None:
    log.warning("%s cannot be written (%s): vectors are computed and not kept", path, why)


def read(store: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, Array]:
    """Return those vectors that are kept, float32 [d] each, by their key; marks are empty."""
    found: dict[bytes, Array] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        marks = ",".join("?" * len(part))
        for key, vector in store.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part):
            found[key] = np.frombuffer(vector, np.float32)
    return found
