"""Choose the settings of chapter 09's Transformers on nested splits of MovieLens-100K, and keep all that was tried.

    python benchmarks/recorded/sequences.py [--trials 8]

The model and its training are the open cells of `notebooks/09_sequences.ipynb`, run as they stand there. For each model
a pattern search tries so many pairs of learning rate and dropout; then one thing at a time is changed at the best pair.
No test split is asked. Writes `ml-100k-sequences.tsv` into the package's data, in about ten minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import torch
from torch import nn

from coldstart_utils.catalogue.splits import Split
from coldstart_utils.ground import package_file
from coldstart_utils.measure import ranking, study

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "09_sequences.ipynb"
# Parameters, imports, attention, block, catalogue, model, training, protocol, and the two methods.
CELLS = ["09-04", "09-05", "09-07", "09-13", "09-15", "09-17", "09-21", "09-26", "09-35", "09-47"]
START = {"rate": 0.008, "drop": 0.2}
Setting = dict[str, float]


def chapter() -> dict[str, Any]:
    """Return the names that the chapter's cells define."""
    sources = {cell.id: cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
    names: dict[str, Any] = {"__name__": "chapter"}
    for cell in CELLS:
        exec(compile(sources[cell], cell, "exec"), names)
    return names


class Log:
    """Rows of what was tried for one question, on one nested split."""

    def __init__(self, question: str, split: Split) -> None:
        self.question, self.split, self.rows = question, split, []

    def ask(self, model: str, fit: Callable[..., ranking.Scorer], change: str, **setting: Any) -> float:
        """Return the NDCG@20 of `fit` with a setting, and note it."""
        scorer = fit(self.split, **setting | {"drop": min(0.9, setting["drop"])})
        value = float(ranking.evaluate({"": scorer}, self.split)["ndcg"].mean())
        noted = {"rate": f"{setting['rate']:.3g}", "drop": f"{min(0.9, setting['drop']):.3g}", "ndcg": f"{value:.4f}"}
        self.rows.append({"question": self.question, "model": model, "change": change, **noted})
        print(*self.rows[-1].values(), sep="\t", flush=True)
        return value

    def search(self, model: str, fit: Callable[..., ranking.Scorer], trials: int, **fixed: Any) -> Setting:
        """Return the best of `trials` pairs of rate and dropout."""
        return study.pattern_search(lambda knobs: self.ask(model, fit, "searched", **knobs, **fixed), START, trials)


def next_choices(names: dict[str, Any], trials: int) -> list[dict[str, Any]]:
    """Return what was tried for the next choices: ids, text, ids shuffled, and single changes of ids."""
    log, fit = Log("next choices", names["folds"][0].nested[0]), names["transformer"]
    best = log.search("ids", fit, trials, name="ids")
    log.search("text", fit, trials, name="text")
    log.search("ids, shuffled", fit, trials, name="ids, shuffled")
    for change in ({"epochs": 3}, {"epochs": 10}, {"d": 32}, {"d": 128}):
        (name, value), *_ = change.items()
        told = {"epochs": f"{value} epochs instead of {names['EPOCHS']}", "d": f"width {value} instead of 64"}[name]
        log.ask("ids", fit, told, name="ids", **best, **change)
    block = names["Block"]
    names["Block"] = lambda d: nn.Sequential(block(d), block(d))
    log.ask("ids", fit, "two blocks instead of one", name="ids", **best, epochs=names["EPOCHS"])
    names["Block"] = block
    return log.rows


def new_films(names: dict[str, Any], trials: int) -> list[dict[str, Any]]:
    """Return what was tried for new films: in order, shuffled, and single changes of shuffled."""
    (fold, *_), text = study.item_folds(names["X"], 5, seed=names["SEED"]), names["Z"]
    log, fit = Log("new films", fold.nested[0]), names["new_films"]
    log.search("in order", fit, trials, name="in order")
    best = log.search("shuffled", fit, trials, name="shuffled")
    for epochs in (3, 6):
        log.ask("shuffled", fit, f"{epochs} epochs instead of 1", name="shuffled", epochs=epochs, **best)
    U, spread, _ = np.linalg.svd(text.numpy(), full_matrices=False)
    scale = np.sqrt(len(U)).astype(np.float32)
    for told, vectors in {
        "text whitened": U * scale,
        "text cut to 128 dimensions": U[:, :128] * spread[:128],
        "text cut to 128 dimensions and whitened": U[:, :128] * scale,
    }.items():
        names["Z"] = torch.from_numpy(vectors)
        log.ask("shuffled", fit, told, name="shuffled", **best)
    names["Z"] = text
    return log.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8, help="pairs of rate and dropout that each model gets")
    trials, names = parser.parse_args().trials, chapter()
    table = pd.DataFrame(next_choices(names, trials) + new_films(names, trials))
    table.to_csv(package_file("ml-100k-sequences.tsv"), sep="\t", index=False)


if __name__ == "__main__":
    main()
