"""Comparisons along a curve, such as the number of ratings that are known: one table for every point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .study import compare

Array = np.ndarray


def compare_by(
    results: pd.DataFrame, by: str, baseline: str, *, metric: str = "ndcg", units: Sequence[str] = ("fold",)
) -> pd.DataFrame:
    """Return `compare` for each value of the column `by`, one table below the other, with that column.

    Intervals are those of the first of the `units`; `better` and `worse` must hold in all of them, and `told` says
    where neither does.
    """
    parts = []
    for value, rows in results.groupby(by, sort=False):
        tables = [compare(rows, baseline, metric=metric, unit=unit) for unit in units]
        ticks = {tick: np.all([table[tick] for table in tables], axis=0) for tick in ("better", "worse")}
        parts.append(tables[0].assign(**ticks, **{by: value}))
    table = pd.concat(parts)
    unclear = ~table["better"] & ~table["worse"] & (table["model"] != table["baseline"])
    return table.assign(told=table["told"] + np.where(unclear, ", not shown", ""))


def ticked(table: pd.DataFrame, by: str, tick: str) -> set[tuple[str, Any]]:
    """Return the (model, value of `by`) of a `compare_by` table that carry the tick 'better' or 'worse'."""
    return set(table.loc[table[tick], ["model", by]].itertuples(index=False, name=None))


def reached_at(results: pd.DataFrame, by: str, climber: str, goal: str, *, metric: str) -> Array:
    """Return for each fold, in ascending order, at which value of `by` the model `climber` is as good as `goal`.

    Between the values that were tried it is interpolated; infinity where it is not reached.
    """
    means = results.groupby(["model", "fold", by])[metric].mean().unstack()
    rows, goals = np.maximum.accumulate(means.loc[climber].to_numpy(), axis=1), means.loc[goal].mean(axis=1)
    return np.sort([np.interp(goal, row, means.columns, right=np.inf) for goal, row in zip(goals, rows)])
