"""What to try first on a catalogue of one's own: four numbers of it, and a short measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..catalogue.dataset import Dataset, best_known
from ..ground import ColdstartError
from ..language.context import content_blocks
from ..language.encoders import TextEncoder
from ..measure import ranking, study
from ..measure.claims import traits
from ..measure.recipe import Transferred, transfer
from ..models.content import block_kernels
from ..models.transfer import Neighbours, Transfer

MOST_ITEMS, MOST_USERS, FOLDS, TRIALS = 1_200, 3_000, 2, 4
RECIPE = "recipe without knobs"


@dataclass(frozen=True)
class Numbers:
    """What an owner can count: size, `words` of an item (median), the share of `rare` items (fewer than five choices),
    and `fame`, the recall@20 of one list for everybody, the most chosen items, on a hidden fifth of the choices.
    """

    users: int
    items: int
    choices: int
    words: float
    rare: float
    fame: float


def numbers(dataset: Dataset) -> Numbers:
    """Return the numbers of a catalogue (`measure.claims.traits`)."""
    found = traits(dataset)
    users, items, choices = (int(found[name]) for name in ("users", "items", "choices"))
    return Numbers(users, items, choices, found["words an item"], found["rare"], found["fame"])


@dataclass(frozen=True)
class Advice:
    """`counted` numbers, `compared`, a `study.compare` table against the recipe over users, and what was `chosen`."""

    name: str
    counted: Numbers
    compared: pd.DataFrame
    chosen: str

    @property
    def first(self) -> str:
        """Return in a sentence or two what to try first, and on what evidence."""
        rivals = self.compared.drop(index=RECIPE)
        best, ours = rivals.loc[rivals["mean"].idxmax()], self.compared.loc[RECIPE, "mean"]
        lead = f"NDCG@20 {ours:.3f} on new items against {best['mean']:.3f} by {best.name}"
        if best["worse"]:
            return f"Try `transfer(train, blocks)` first: {lead}, the best of {len(rivals)} simpler ways."
        if best["better"]:
            return f"Try {best.name} first: the recipe is behind ({lead})."
        return f"Try {best.name} first: the recipe is not shown to be better ({lead}), and {best.name} is simpler."

    @property
    def lines(self) -> list[str]:
        """Return the advice line by line."""
        n = self.counted
        density = 100 * n.choices / (n.users * n.items)
        rows = [f"  {name:28} {row['mean']:.3f}" for name, row in self.compared.iterrows()]
        return [
            f"{self.name}: {n.users:,} users, {n.items:,} items, {n.choices:,} choices ({density:.2g} % of all pairs)",
            f"  words an item, median        {n.words:.0f}{'' if n.words >= 8 else ': little to read'}",
            f"  items with fewer than five   {100 * n.rare:.0f} %{': most are rare' if n.rare > 0.5 else ''}",
            f"  choice that is fame          {n.fame:.2f} (recall@20 of one list for all)",
            "NDCG@20 on items that nobody has chosen yet:",
            *rows,
            f"Chosen: {self.chosen}",
            self.first,
        ]


def advise(dataset: Dataset, encoder: TextEncoder) -> Advice:
    """Return what to try first on a catalogue, measured on two folds of its best-known 1,200 items.

    Raises ColdstartError for a catalogue without text or with too few items or choices.
    """
    if not len(dataset.interactions):
        raise ColdstartError(f"{dataset.name}: nobody has chosen anything yet; there is nothing to learn from")
    counted = numbers(dataset)
    part = best_known(dataset, MOST_ITEMS)
    blocks = content_blocks(part, encoder)
    folds = study.item_folds(_some_users(part).matrix())[:FOLDS]
    results = study.run(_rivals(blocks), folds, trials=TRIALS)
    last: Transferred | None = None
    for fold in folds:
        last = transfer(fold.outer.train, blocks)
        results = pd.concat([results, ranking.evaluate({RECIPE: last}, fold.outer)], ignore_index=True)
    assert last is not None
    return Advice(dataset.name, counted, study.compare(results, RECIPE, unit="user"), last.told)


def _rivals(blocks: Mapping[str, Any]) -> dict[str, Any]:
    K = block_kernels({name: blocks[name] for name in ("all words", "text vector") if name in blocks})
    methods: dict[str, Any] = {}
    for name, block in {"words": "all words", "the language model": "text vector"}.items():
        if block in K:
            methods[f"neighbours by {name}"] = Neighbours({block: K[block]})
            methods[f"ridge on {name}"] = Transfer({block: K[block]}, "choices")
    return methods


def _some_users(dataset: Dataset, seed: int = 0) -> Dataset:
    if dataset.n_users <= MOST_USERS:
        return dataset
    kept = np.random.default_rng(seed).permutation(dataset.n_users)[:MOST_USERS]
    inside = dataset.interactions["user"].isin(kept)
    return replace(dataset, interactions=dataset.interactions[inside].reset_index(drop=True))
