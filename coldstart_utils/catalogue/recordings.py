"""Tables that a program records beside its data: what is there already, and more rows, written aside and renamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..ground import written_aside


def recorded(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the tab-separated file at `path`, or none, with these `columns`, where there is no file."""
    return pd.read_csv(path, sep="\t") if path.is_file() else pd.DataFrame(columns=list(columns))


def with_rows(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both tables, the second behind the first."""
    parts = [part for part in (table, rows) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else table


def keep(table: pd.DataFrame, path: Path, *, numbers: str | None = "%.5f") -> None:
    """Write a table tab-separated to `path`, its floating numbers in the form of `numbers` (None: all digits)."""
    with written_aside(path) as aside:
        table.to_csv(aside, sep="\t", index=False, float_format=numbers)
