"""Seconds of every chapter and its three most expensive cells, from the executed notebooks of the last full run.

`make notebooks` writes them to build/notebooks; papermill notes how long each cell took.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]


def costs(path: Path) -> tuple[float, list[tuple[float, int, str]]]:
    """Return the seconds of all cells of an executed notebook, and (seconds, cell, first line) of the three largest."""
    rows = []
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        seconds = cell.metadata.get("papermill", {}).get("duration")
        if cell.cell_type == "code" and seconds:
            lines = [
                line for line in cell.source.splitlines() if line.strip() and not line.startswith(("import", "from"))
            ]
            rows.append((seconds, number, lines[0].strip() if lines else "imports"))
    return sum(seconds for seconds, *_ in rows), sorted(rows, reverse=True)[:3]


def main() -> None:
    executed = sorted((ROOT / "build" / "notebooks").glob("[0-9]*.ipynb"))
    if not executed:
        sys.exit("build/notebooks is empty: run `make notebooks` first")
    total = 0.0
    for path in executed:
        seconds, largest = costs(path)
        total += seconds
        print(f"{path.stem:24}{seconds:7.1f} s")
        for part, number, line in largest:
            print(f"{'':8}{part:7.1f} s  cell {number:2}  {line[:70]}")
    print(f"{'together':24}{total:7.1f} s of cells, {len(executed)} chapters")


if __name__ == "__main__":
    main()
