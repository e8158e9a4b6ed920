"""What wrote `worlds.tsv`: what each method reaches in other worlds, and four numbers of each world.

    python -m coldstart_utils.data.worlds [--worlds FOLDER,FOLDER] [--only NAME] [--look LOOK] [--file worlds.tsv]

Chapter 12 reads the table where the folders are not at hand, and runs the same functions where they are. It stands
beside its product, not among the modules. What is in the file is not computed again; it is saved after each world.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from coldstart_utils.book import worlds as opened
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.worlds import find_worlds
from coldstart_utils.ground import ColdstartError, package_file
from coldstart_utils.language.encoders import TextEncoder

FILE = "worlds.tsv"
# From films to people; another catalogue comes after them.
ORDER = [
    *("ml-100k", "ml-1m", "movietweetings-100k", "online-retail", "amazon-office", "mind-2000", "citeulike-a-1906"),
    *("lastfm-2k", "nashville-meetup"),
]
COLUMNS = ["look", "world", "model", "fold", "metric", "value"]


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows: look, world, model, fold, metric, value."""
    return recorded(path or package_file(FILE), COLUMNS)


def in_order(worlds: Iterable[str]) -> list[str]:
    """Return the names in the order of the recorded worlds, others behind them."""
    return sorted(worlds, key=lambda world: ORDER.index(world) if world in ORDER else len(ORDER))


def append(path: Path, found: pd.DataFrame) -> None:
    """Write the rows of `found` behind those in the file."""
    keep(with_rows(read(path), found[COLUMNS]), path, numbers="%.6g")


def record(path: Path, places: str, only: str = "", look: str = "") -> None:
    """Append to `path` what is not there yet, world by world and look by look."""
    encoder, worlds = TextEncoder(), {"ml-100k": "ml-100k", "ml-1m": "ml-1m"} | find_worlds(places)
    for name, place in worlds.items():
        for what, ask in opened.LOOKS.items():
            asked, there = opened.ASKED[what], read(path)
            if (only and name != only) or (look and what != look) or (asked is not None and name not in asked):
                continue
            if ((there["look"] == what) & (there["world"] == name)).any():
                continue
            begun = time.monotonic()
            append(path, ask(place, encoder).assign(look=what, world=name))
            print(time.strftime("%H:%M:%S"), name, what, round(time.monotonic() - begun), "s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default="", help="folders of catalogues; empty: $COLDSTART_DATA")
    parser.add_argument("--only", default="", help="one world")
    parser.add_argument("--look", default="", help="one look")
    parser.add_argument("--file", type=Path, default=Path(FILE), help="where the rows are kept")
    options = parser.parse_args()
    try:
        record(options.file, options.worlds, options.only, options.look)
    except ColdstartError as error:
        raise SystemExit(f"worlds: {error}") from None
