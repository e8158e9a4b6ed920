"""What wrote `recipe_parts.tsv`: what else the recipe might do, tried on real catalogues beside what it does.

    python -m coldstart_utils.data.recipe_parts [--worlds FOLDER] [--only NAME …] [--file FILE]

On each fold the recipe chooses its setting; each variant changes one part of the fitted method and keeps the rest, so
that a difference is that part's. A world is a folder of atomic files inside FOLDER ($COLDSTART_DATA by default), or
ml-100k. The program stands beside its product, not among the modules. What is in the file is not computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.dataset import Dataset, best_known
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.splits import Split
from coldstart_utils.data.rivals import MOST_ITEMS, arguments, worlds
from coldstart_utils.ground import package_file
from coldstart_utils.language.context import content_blocks
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import study
from coldstart_utils.measure.ranking import Scorer, evaluate
from coldstart_utils.measure.recipe import transfer
from coldstart_utils.measure.shop import price_bands
from coldstart_utils.models.als import als_implicit
from coldstart_utils.models.carried import Carried, Joint, Setting, Student
from coldstart_utils.models.held_out import teacher
from coldstart_utils.models.likeness import Likeness

Array = np.ndarray
FILE = "recipe_parts.tsv"
CHOSEN = "as chosen"
MEASURES = ["ndcg", "tail_recall"]
COLUMNS = ["world", "items", "model", "fold", *MEASURES]


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows, one for each world, variant and fold (`COLUMNS`)."""
    return recorded(path or package_file(FILE), COLUMNS)


class Parts:
    """The parts that a setting fits on `train`: what EASE, ALS and the choices say of known items, and the bridge.

    All scores are those of users with `fame` average users added; they are carried to the `new` items of a split.
    """

    def __init__(self, split: Split, likeness: Likeness, setting: Setting) -> None:
        self.warm, self.new, self.setting = split.warm_items, np.sort(split.candidates), setting
        self.likeness, self.joint = likeness, Joint(likeness, setting.weights, setting.spread)
        X = split.train[:, self.warm].astype(np.float32)
        chose = np.diff(X.indptr) > 0
        self.choices = X.toarray() + np.float32(setting.fame) * np.asarray(X[chose].mean(axis=0))
        P = teacher(X, setting.penalty)
        self.ease = self.choices - (self.choices @ P) / np.diagonal(P)
        factors = als_implicit(X, rank=min(64, *X.shape), reg=10.0, sweeps=8)
        self.als = (factors.U + np.float32(setting.fame) * factors.U[chose].mean(axis=0)) @ factors.V.T

    def bridge(self, spread: float, reg: float) -> Array:
        """Return W [new, known] for another width and penalty of the bridge."""
        joint = Joint(self.likeness, self.setting.weights, spread)
        return Student(joint, self.warm, reg).of(self.new)

    def carried(self, W: Array, taught: Array) -> Array:
        """Return the scores [users, new] of what was `taught`, with the user's own choices."""
        return (taught + np.float32(self.setting.own) * self.choices) @ W.T

    def scorers(self) -> dict[str, Scorer]:
        """Return the variants by name; an ALS teacher is brought to the spread of EASE's scores."""
        W = self.bridge(self.setting.spread, self.setting.reg)
        wide = self.bridge(4 * self.setting.spread, 3 * self.setting.reg)
        als = self.als * (self.ease.std() / self.als.std())
        said = {
            "ALS in the place of EASE": self.carried(W, als),
            "EASE and a third of ALS": self.carried(W, self.ease + als / 3),
            "EASE and ALS": self.carried(W, self.ease + als),
            "mean of two widths": self.carried(W, self.ease) + self.carried(wide, self.ease),
        }
        return {name: self._scorer(scores) for name, scores in said.items()}

    def _scorer(self, scores: Array) -> Scorer:
        return lambda users, items: scores[np.ix_(users, np.searchsorted(self.new, items))]


def tried(split: Split, blocks: Mapping[str, Any], price: Array | None) -> dict[str, Scorer]:
    """Return the recipe as it chooses and its variants on a split, by name; with a `price` that block too."""
    chosen = transfer(split.train, blocks)
    likeness, setting = Likeness(blocks, split.warm_items), chosen.setting
    scorers: dict[str, Scorer] = {CHOSEN: chosen, **Parts(split, likeness, setting).scorers()}
    scorers["nothing for fame"] = Carried(split.train, likeness, replace(setting, fame=0.0))
    scorers["choices alone"] = Carried(split.train, likeness, replace(setting, penalty=1e5, own=300.0))
    if "text vector" in likeness.features:
        scorers["text vector alone"] = Carried(split.train, likeness, replace(setting, weights={"text vector": 1.0}))
    scorers["low rank"] = Carried(split.train, likeness, setting, most=0)
    if price is not None:
        scorers["price as a block"] = transfer(split.train, {**blocks, "price": price_bands(price)})
    return scorers


def measured(world: str, dataset: Dataset, encoder: TextEncoder) -> pd.DataFrame:
    """Return one row for each variant and fold: means over the users of the fold."""
    dataset = best_known(dataset, MOST_ITEMS)
    blocks, parts = content_blocks(dataset, encoder), []
    price = dataset.items["price"].to_numpy(float) if "price" in dataset.items else None
    for fold in study.item_folds(dataset.matrix()):
        parts.append(evaluate(tried(fold.outer, blocks, price), fold.outer))
    rows = pd.concat(parts).groupby(["model", "fold"], sort=False)[MEASURES].mean().reset_index()
    return rows.assign(world=world, items=dataset.n_items)[COLUMNS]


def main() -> None:
    """Measure what the file does not have yet, world by world, and write it after each."""
    given = arguments(__doc__, FILE).parse_args()
    table, encoder = read(given.file), TextEncoder()
    for world, dataset in worlds(given.worlds):
        if (given.only and world not in given.only) or (table["world"] == world).any():
            continue
        rows = measured(world, dataset, encoder)
        table = with_rows(table, rows)
        keep(table, given.file)


if __name__ == "__main__":
    main()
