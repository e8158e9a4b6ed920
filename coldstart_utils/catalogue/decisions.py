"""Logged decisions: what a policy showed, with which chance, and whether it was clicked."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from .matrices import floats

Array = np.ndarray
POLICIES = ("random", "bts")
CAMPAIGNS = ("all", "men", "women")


@dataclass(frozen=True, eq=False)
class Log:
    """One row a decision: at `place` [n] a policy showed `item` [n], which it does there with the chance `propensity`
    [n], and got the `reward` [n], such as a click.

    `items` and `places` say how many there are of each; `context` [n, d] are features of who was asked, `content`
    [items, e] those of the items. Raises ColdstartError for columns that do not fit, and for propensities that are
    missing, 0 or above 1.
    """

    item: Array
    place: Array
    reward: Array
    propensity: Array
    context: Array
    content: Array
    items: int
    places: int

    def __post_init__(self) -> None:
        for name in ("place", "reward", "propensity", "context"):
            if len(getattr(self, name)) != len(self.item):
                raise ColdstartError(f"log: expected {len(self.item)} rows of {name}, got {len(getattr(self, name))}")
        if len(self.content) != self.items:
            raise ColdstartError(f"log: expected {self.items} rows of content, got {len(self.content)}")
        if not len(self.item):
            raise ColdstartError("log: expected at least one decision, got none")
        for name, most in (("item", self.items), ("place", self.places)):
            rows = getattr(self, name)
            if rows.dtype.kind not in "iu" or not 0 <= rows.min() <= rows.max() < most:
                raise ColdstartError(f"log: expected whole numbers of 0 to {most - 1} as {name}")
        floats(self.reward, "log: reward")
        chance = np.asarray(self.propensity, float)
        if wrong := np.flatnonzero(~((chance > 0) & (chance <= 1))).tolist():
            raise ColdstartError(
                f"log, row {wrong[0]}: expected a propensity above 0 and of 1 at most, got {chance[wrong[0]]} "
                f"({len(wrong)} such rows)"
            )

    def rows(self, chosen: Array | slice) -> Log:
        """Return the log of some of its decisions, by row numbers, a mask or a slice."""
        return replace(
            self, item=self.item[chosen], place=self.place[chosen], reward=self.reward[chosen],
            propensity=self.propensity[chosen], context=self.context[chosen],
        )  # fmt: skip


def open_bandit_folder() -> Path | None:
    """Return the folder of the Open Bandit Dataset in the installed package `obp`, or None."""
    try:
        folder = importlib.metadata.distribution("obp").locate_file("obp/dataset/obd")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(folder)) if Path(str(folder)).is_dir() else None


def open_bandit(policy: str, campaign: str) -> Log:
    """Return 10,000 decisions of a fashion shop (Open Bandit Dataset, Saito et al. 2021, CC BY 4.0), in order of time.

    `policy` is 'random' or 'bts' (Thompson sampling), `campaign` 'all', 'men' or 'women'. Three places are filled at a
    time, each a row. Features are hashed categories of users, and of items with one number. Raises ColdstartError for
    another name or if the data are not installed.
    """
    for name, value, known in (("policy", policy, POLICIES), ("campaign", campaign, CAMPAIGNS)):
        if value not in known:
            raise ColdstartError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
    folder = open_bandit_folder()
    if folder is None:
        raise ColdstartError("logged decisions are not installed: run `coldstart data install open-bandit`")
    table = pd.read_csv(folder / policy / campaign / f"{campaign}.csv", index_col=0).sort_values("timestamp")
    about = pd.read_csv(folder / policy / campaign / "item_context.csv", index_col=0).sort_values("item_id")
    kinds = [column for column in about if column.startswith("item_feature") and about[column].dtype != float]
    number = about["item_feature_0"].to_numpy()
    content = np.column_stack([(number - number.mean()) / number.std(), pd.get_dummies(about[kinds]).to_numpy(float)])
    users = table.filter(like="user_feature")
    return Log(
        item=table["item_id"].to_numpy(), place=table["position"].to_numpy() - 1,
        reward=table["click"].to_numpy(float), propensity=table["propensity_score"].to_numpy(),
        context=pd.get_dummies(users).to_numpy(float), content=content, items=len(about), places=3,
    )  # fmt: skip
