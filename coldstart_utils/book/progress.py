"""How far a run is: which chapters run, how many of their cells have begun, and how long the rest takes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ..ground import cache_dir

SOON = 0.05  # of the work; an estimate from less would be a guess
FIRST_RUN = "First run: the language model reads every text once; later runs find its vectors in {folder}."


def weights(names: list[str], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return how much work each chapter is: its `seconds` in an earlier run, or the mean of those known, or 1."""
    known = [seconds[name] for name in names if name in seconds]
    usual = sum(known) / len(known) if known else 1.0
    return {name: seconds.get(name, usual) for name in names}


def rest(work: Mapping[str, float], done: Mapping[str, float], elapsed: float) -> float | None:
    """Return the seconds still to go at the pace so far, or None while too little is done to tell.

    `work` is each chapter's weight, `done` the share of it that is done, `elapsed` in seconds.
    """
    share = sum(weight * done.get(name, 0.0) for name, weight in work.items()) / sum(work.values())
    return None if share < SOON else elapsed * (1 - share) / share


def told(seconds: float | None) -> str:
    """Return a rest in words; nothing while it is unknown."""
    if seconds is None:
        return ""
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {10 * math.ceil(seconds / 10)} s left"


def first_run() -> str | None:
    """Return a sentence about the encoding of texts if no text was encoded here yet, else None."""
    folder = cache_dir()
    return None if (folder / "vectors.sqlite").exists() else FIRST_RUN.format(folder=folder)


class Watch:
    """Shows a run while it goes on: bars in a terminal, elsewhere a line whenever a chapter ends."""

    def __init__(self, cells: dict[str, int], seconds: Mapping[str, float]) -> None:
        """Watch chapters that have so many `cells` and took so many `seconds` in earlier runs."""
        self._cells, self._work = cells, weights(list(cells), seconds)
        self._done = dict.fromkeys(cells, 0.0)
        self._ended: set[str] = set()
        self._started = time.monotonic()
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} {task.fields[unit]}"),
            TextColumn("{task.fields[rest]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._all = self._bars.add_task("chapters", total=len(cells), unit="done", rest="")
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> Watch:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, name: str, cell: int) -> None:
        """Show that `cell`, counted from 1, of a chapter has begun."""
        if not cell or name in self._ended:
            return
        if name not in self._rows:
            self._rows[name] = self._bars.add_task(name, total=self._cells[name], unit="cells", rest="")
        self._done[name] = min((cell - 1) / self._cells[name], 1.0)
        self._bars.update(self._rows[name], completed=min(cell, self._cells[name]))
        self._bars.update(self._all, rest=self._rest())

    def end(self, name: str, seconds: float) -> None:
        """Show that a chapter has ended after so many seconds."""
        self._ended.add(name)
        self._done[name] = 1.0
        if name in self._rows:
            self._bars.remove_task(self._rows.pop(name))
        self._bars.update(self._all, completed=len(self._ended), rest=self._rest())
        line = f"{name}: {seconds:.0f} s ({len(self._ended)} of {len(self._cells)})"
        self._console.print(line if len(self._ended) == len(self._cells) else f"{line} {self._rest()}".rstrip())

    def _rest(self) -> str:
        return told(rest(self._work, self._done, time.monotonic() - self._started))
