"""One thread writes: requests that wait together share one transaction, and one wait for the disk."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

from ..ground import ColdstartError
from .store import Refused, Store, Unwritable

WAITING, TOGETHER = 1_000, 500  # writes that may wait, and that share one transaction


class Full(ColdstartError):
    """More writes wait than may."""


@dataclass(eq=False)
class Write:
    """One thing to write: what `do(store)` returns is the `result` once it is on disk; else there is a `fault`.

    `done(result, fault)` is for whoever waits.
    """

    do: Callable[[Store], Any]
    done: Callable[[Any, Exception | None], None]
    result: Any = None
    fault: Exception | None = None


class Writer:
    """Writes to a store in a thread of its own, in the order of `put`.

    `deliver` is called in that thread with the writes of a transaction once it has ended. `healthy` says whether the
    last transaction reached the disk.
    """

    def __init__(self, store: Store, deliver: Callable[[Sequence[Write]], None], *, waiting: int = WAITING) -> None:
        self.store, self.deliver, self.healthy = store, deliver, True
        self.queue: queue.Queue[Write | None] = queue.Queue(waiting)
        self.thread = Thread(target=self._run, name="writer", daemon=True)
        self.thread.start()

    def put(self, write: Write) -> None:
        """Ask for a write. Raises Full if too many wait already."""
        try:
            self.queue.put_nowait(write)
        except queue.Full:
            raise Full("more is being written than the disk takes; try again in a second") from None

    def close(self) -> None:
        """Write what waits, then end."""
        self.queue.put(None)
        self.thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch = [self.queue.get()]
            while len(batch) < TOGETHER and not self.queue.empty():
                batch.append(self.queue.get())
            more = None not in batch
            self._write([write for write in batch if write is not None])

    def _write(self, batch: Sequence[Write]) -> None:
        try:
            with self.store.writing():
                for write in batch:
                    self._one(write)
            self.healthy = True
        except Exception as error:  # the thread goes on; whoever waits is told
            self.healthy = not isinstance(error, Unwritable)
            for write in batch:
                write.fault = error
        self.deliver(batch)

    def _one(self, write: Write) -> None:
        try:
            with self.store.part():
                write.result = write.do(self.store)
        except Refused as error:
            write.fault = error
