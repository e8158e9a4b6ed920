"""Factors by MLlib's ALS, and what MLlib itself answers about what it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from ..ground import ColdstartError

if TYPE_CHECKING:
    from pyspark.ml.recommendation import ALSModel
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Settings:
    """What a job may be told: `rank`, `reg`, `alpha`, `sweeps`, `blocks` and `implicit` are those of MLlib's ALS.

    MLlib multiplies `reg` by how many ratings a user or item has (ALS-WR, Zhou et al. 2008), so that .1 there is a
    penalty of 10 for who has a hundred. `penalty` is that of the bridge, `well_known` how many choices an item needs
    to teach it, `k` the length of a list.
    """

    rank: int = 32
    reg: float = 0.1
    alpha: float = 1.0
    sweeps: int = 8
    blocks: int = 4
    implicit: bool = True
    penalty: float = 10.0
    well_known: int = 5
    k: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rank", "sweeps", "blocks", "k"):
            if getattr(self, name) < 1:
                raise ColdstartError(f"{name}: expected a whole number of 1 or more, got {getattr(self, name)!r}")
        for name in ("reg", "alpha", "penalty"):
            if not getattr(self, name) > 0:
                raise ColdstartError(f"{name}: expected a number above 0, got {getattr(self, name)!r}")


def als_model(choices: DataFrame, settings: Settings) -> ALSModel:
    """Return MLlib's ALS of choices (user, item: numbers; value), Hu et al. (2008) if `implicit`, else of ratings.

    Users and items lie in `blocks` blocks each; a checkpoint every fourth sweep cuts the chain that a lost machine
    would have to compute again, where the session has a folder for it.
    """
    from pyspark.ml.recommendation import ALS

    als = ALS(
        rank=settings.rank, maxIter=settings.sweeps, regParam=settings.reg, alpha=settings.alpha, seed=settings.seed,
        numUserBlocks=settings.blocks, numItemBlocks=settings.blocks, implicitPrefs=settings.implicit,
        userCol="user", itemCol="item", ratingCol="value", checkpointInterval=4,
    )  # fmt: skip
    return als.fit(choices.select("user", "item", "value"))


def local_factors(model: ALSModel) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the factors of users and of items on this machine, each a frame of lists by number, in its order."""
    tables = (model.userFactors, model.itemFactors)
    users, items = (table.toPandas().set_index("id")["features"].sort_index() for table in tables)
    return users, items


def answers_to_strangers(session: SparkSession, choices: DataFrame, settings: Settings, k: int = 3) -> pd.DataFrame:
    """Return what MLlib's ALS says where user or item is unknown: its question, what came back, in words.

    A known user and a known item are asked beside them.
    """
    model = als_model(choices, settings)
    user, item = choices.select("user", "item").first()
    none = 2_000_000_000  # no number of anybody
    pairs = session.createDataFrame([(user, item), (user, none), (none, item)], "user int, item int")
    names = ("known user, known item", "known user, new item", "new user, known item")
    rows = {}
    for strategy in ("nan", "drop"):
        told = {(row["user"], row["item"]): row["prediction"] for row in _predicted(model, pairs, strategy)}
        said = [told.get((row["user"], row["item"])) for row in pairs.collect()]
        rows[f'transform, coldStartStrategy="{strategy}"'] = [
            "no row" if value is None else f"{value:.2f}" for value in said
        ]
    table = pd.DataFrame(rows, index=names).T
    asked = session.createDataFrame([(user,), (none,)], "user int")
    listed = model.recommendForUserSubset(asked, k).count()
    table.loc["recommendForUserSubset of 2 users"] = [
        f"{listed} list{'s' * (listed != 1)} came back",
        "",
        "no row, no error",
    ]
    return table


def _predicted(model: ALSModel, pairs: DataFrame, strategy: str) -> list:
    return model.copy().setColdStartStrategy(strategy).transform(pairs).collect()
