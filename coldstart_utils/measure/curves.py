"""Comparisons that must hold in several units, and along a curve such as the number of ratings that are known."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import pandas as pd

from .study import answered, compare, worded

Array = np.ndarray


def compare_in(
    results: pd.DataFrame, baseline: str, *, metric: str = "ndcg", units: Sequence[str] = ("fold", "user")
) -> pd.DataFrame:
    """Return `study.compare` for a claim that has to hold in several `units`, such as over folds and over users.

    Intervals are those of the first unit; `better`, `worse` and `answer` need all of them, and `told` says where
    neither is shown.
    """
    return _agreed([compare(results, baseline, metric=metric, unit=unit) for unit in units])


def compare_by(
    results: pd.DataFrame, by: str, baseline: str, *, metric: str = "ndcg", units: Sequence[str] = ("fold",),
    together: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Return `compare_in` for each value of the column `by`, one table below the other, with that column.

    Holm's correction is over the rows of a value, or, if `together`, over those of all values.
    """
    tables = []
    for unit in units:
        parts = dict(list(results.groupby(by, sort=False)))
        each = [
            compare(rows, baseline, metric=metric, unit=unit).assign(**{by: value}) for value, rows in parts.items()
        ]
        tables.append(answered(pd.concat(each)) if together else pd.concat(each))
    return _agreed(tables)


def _agreed(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the first of `compare` tables of several units, with the ticks that all of them share."""
    ticks = {tick: np.all([table[tick] for table in tables], axis=0) for tick in ("better", "worse")}
    table = worded(tables[0].assign(**ticks))
    unclear = ~table["better"] & ~table["worse"] & (table["model"] != table["baseline"])
    return table.assign(told=table["told"] + np.where(unclear, ", not shown", ""))


def rows_at(table: pd.DataFrame, by: str, pairs: Set[tuple[str, Any]]) -> pd.DataFrame:
    """Return the rows of a `compare_by` table whose (model, value of `by`) is one of `pairs`."""
    return table[[pair in pairs for pair in zip(table["model"], table[by])]]


def reached_at(results: pd.DataFrame, by: str, climber: str, goal: str, *, metric: str) -> Array:
    """Return for each fold, in ascending order, at which value of `by` the model `climber` is as good as `goal`.

    Between the values that were tried it is interpolated; infinity where it is not reached.
    """
    means = results.groupby(["model", "fold", by])[metric].mean().unstack()
    rows, goals = np.maximum.accumulate(means.loc[climber].to_numpy(), axis=1), means.loc[goal].mean(axis=1)
    return np.sort([np.interp(goal, row, means.columns, right=np.inf) for goal, row in zip(goals, rows)])
