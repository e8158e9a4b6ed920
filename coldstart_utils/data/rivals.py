"""What wrote `rivals.tsv`: the recipe without knobs against five tuned rivals, on every catalogue at hand.

    python -m coldstart_utils.data.rivals [--worlds FOLDER] [--only NAME …] [--methods NAME …] [--items N]

A world is a folder of atomic files inside FOLDER ($COLDSTART_DATA by default), or ml-100k, which is always there. The
program stands beside its product, not among the modules. What is in the file is not computed again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.dataset import Dataset, best_known
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.splits import Split
from coldstart_utils.catalogue.worlds import at_first
from coldstart_utils.ground import ColdstartError, package_file
from coldstart_utils.language.context import content_blocks
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import study
from coldstart_utils.measure.ranking import Scorer, from_items
from coldstart_utils.measure.recipe import Recipe
from coldstart_utils.models.content import block_kernels, bridge
from coldstart_utils.models.transfer import Neighbours, Transfer

Array = np.ndarray
FILE = "rivals.tsv"
RECIPE = "recipe"
MOST_ITEMS, TRIALS = 4_000, 4  # more would take hours
KEPT = ["recall", "ndcg", "tail_recall", "ndcg_known"]
COLUMNS = ["world", "users", "items", "model", "fold", *KEPT, "setting", "seconds"]
METHODS = [
    "neighbours, words",
    "ridge, words",
    "neighbours, language model",
    "ridge, language model",
    "popularity from text",
    RECIPE,
]


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows, one for each world, method and fold (`COLUMNS`)."""
    return recorded(path or package_file(FILE), COLUMNS)


def popularity_from_text(K: Array) -> study.Arm:
    """Return the rival that gives everybody one list, ordered by the audience that content predicts, log(1 + users)."""

    def fit(split: Split, *, reg: float) -> Scorer:
        warm, new = split.warm_items, np.setdiff1d(np.arange(len(K)), split.warm_items)
        fame = np.zeros(len(K))
        fame[new] = bridge(K, np.log1p(split.item_counts[warm])[:, None], warm, new, reg)[:, 0]
        return from_items(fame)

    return study.Arm(fit, {"reg": 10.0})


def rivals(blocks: Mapping[str, Any]) -> dict[str, study.Method]:
    """Return the rivals by name: neighbours and ridge on the interactions, each by vectors and by words, and fame."""
    K = block_kernels({name: blocks[name] for name in ("all words", "text vector") if name in blocks})
    named = {"words": "all words", "language model": "text vector"}
    methods: dict[str, study.Method] = {}
    for name, block in named.items():
        if block in K:
            methods[f"neighbours, {name}"] = Neighbours({block: K[block]})
            methods[f"ridge, {name}"] = Transfer({block: K[block]}, "choices")
    if "text vector" in K:
        methods["popularity from text"] = popularity_from_text(K["text vector"])
    return methods


def with_known(results: pd.DataFrame, folds: list[study.Fold]) -> pd.DataFrame:
    """Return the rows of a study with `ndcg_known`: NDCG of users of whom a choice is known, NaN for the others."""
    choices = {fold.outer.seed: np.diff(fold.outer.train.indptr) for fold in folds}
    known = [choices[fold][user] > 0 for fold, user in zip(results["fold"], results["user"])]
    return results.assign(ndcg_known=results["ndcg"].where(known))


def check_folder(folder: Path | None) -> None:
    """Raise ColdstartError for a folder of worlds that is given and is no folder."""
    if folder and not folder.is_dir():
        raise ColdstartError(f"--worlds {folder}: expected a folder of folders of atomic files")


def arguments(told: str, file: str) -> argparse.ArgumentParser:
    """Return the arguments of a program that goes through the worlds and keeps its rows in a `file` of the package."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=Path, default=os.environ.get("COLDSTART_DATA"))
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--file", type=Path, default=package_file(file))
    return parser


def worlds(folder: Path | None) -> Iterator[tuple[str, Dataset]]:
    """Yield name and catalogue of every world: ml-100k without and with generated text, and the folders in `folder`.

    Raises ColdstartError for a folder that is none.
    """
    check_folder(folder)
    films = load_dataset("ml-100k")
    yield "ml-100k", films
    yield "ml-100k, generated text", attach_expansion(films)
    for path in sorted(folder.iterdir()) if folder else []:
        if list(path.glob("*.inter")):
            yield path.name, at_first(load_dataset(path))


def measured(
    world: str, dataset: Dataset, encoder: TextEncoder, wanted: list[str], most: int = MOST_ITEMS
) -> Iterator[pd.DataFrame]:
    """Yield one row a fold for each method that is `wanted`: means over users, the setting and seconds."""
    dataset = best_known(dataset, most)
    blocks = content_blocks(dataset, encoder)
    folds = study.item_folds(dataset.matrix())
    methods = {**rivals(blocks), RECIPE: Recipe(blocks)}
    for name in wanted:
        if name in methods:
            results = with_known(study.run({name: methods[name]}, folds, trials=TRIALS), folds)
            told = results.groupby(["model", "fold"], sort=False)
            rows = told[KEPT].mean().join(told[["setting", "seconds"]].first()).reset_index()
            yield rows.assign(world=world, users=dataset.n_users, items=dataset.n_items)[COLUMNS]


def main() -> None:
    """Measure what the file does not have yet, world by world, and write it after each method."""
    parser = arguments(__doc__, FILE)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--items", type=int, default=MOST_ITEMS, help="the most items; more is told in the name")
    given = parser.parse_args()
    table = read(given.file)
    encoder = TextEncoder()
    for world, dataset in worlds(given.worlds):
        if given.only and world not in given.only:
            continue
        world += f", {given.items} items" if given.items > MOST_ITEMS else ""
        done = set(table.loc[table["world"] == world, "model"])
        wanted = [name for name in given.methods if name not in done]
        for rows in measured(world, dataset, encoder, wanted, given.items) if wanted else ():
            table = with_rows(table, rows)
            keep(table, given.file)


if __name__ == "__main__":
    main()
