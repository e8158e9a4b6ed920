"""What chapters of the first edition still compare by; this room goes with the last of them: see `study`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..ground import ColdstartError

Array = np.ndarray


def compare(
    results: pd.DataFrame, baseline: str, *, metric: str | Sequence[str] = "ndcg", unit: str = "user"
) -> pd.DataFrame:
    """Return one row per model (and metric): its mean, its mean difference to `baseline`, and 95 % intervals of both.

    Differences are paired, over the `n` units that have a value. unit='user': values are averaged over seeds first,
    then users are resampled (percentile bootstrap, 2,000 draws; Efron & Tibshirani 1993). unit='fold': Student's t over
    the means of the splits, which also carries the luck of which items are cold. A model that ran on other splits than
    the rest meets `baseline` on those that both ran. Raises ColdstartError for an unknown baseline, metric or unit.
    """
    if not isinstance(metric, str):
        return pd.concat([compare(results, baseline, metric=one, unit=unit) for one in metric], ignore_index=True)
    if unit not in ("user", "fold"):
        raise ColdstartError(f"unit: expected 'user' or 'fold', got {unit!r}")
    if metric not in results:
        raise ColdstartError(f"metric: expected a column of the results, got {metric!r}")
    ran = {name: set(part["fold"]) for name, part in results.groupby("model", sort=False)} if "fold" in results else {}
    if baseline in ran and any(seeds != ran[baseline] for seeds in ran.values()):
        rows = []
        for name, seeds in ran.items():
            pair = results[results["model"].isin([baseline, name]) & results["fold"].isin(seeds & ran[baseline])]
            rows.append(compare(pair, baseline, metric=metric, unit=unit).query("model == @name"))
        return pd.concat(rows, ignore_index=True)
    table = results.groupby([unit, "model"], sort=False)[metric].mean().unstack()
    if baseline not in table:
        raise ColdstartError(f"baseline: expected one of {', '.join(table)}, got {baseline!r}")
    table = table.dropna()[list(results["model"].unique())]
    values = table.to_numpy()
    differences = values - table[[baseline]].to_numpy()
    interval = _bootstrap if unit == "user" else _student
    low, high = interval(values)
    diff_low, diff_high = interval(differences)
    return pd.DataFrame(
        {
            "model": table.columns,
            "metric": metric,
            "mean": values.mean(axis=0),
            "low": low,
            "high": high,
            "baseline": baseline,
            "difference": differences.mean(axis=0),
            "diff_low": diff_low,
            "diff_high": diff_high,
            "n": len(table),
            "unit": unit,
        }
    )


def told(table: pd.DataFrame) -> list[str]:
    """Return each row of `compare` as text, '+0.012 (+0.010 to +0.015)': the difference and its interval."""
    return [f"{row.difference:+.3f} ({row.diff_low:+.3f} to {row.diff_high:+.3f})" for row in table.itertuples()]


def _bootstrap(values: Array, draws: int = 2000) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    low, high = np.percentile(weights @ values / len(values), [2.5, 97.5], axis=0)
    return low, high


def _student(values: Array) -> tuple[Array, Array]:
    n = len(values)
    if n < 2:
        return np.full(values.shape[1], -np.inf), np.full(values.shape[1], np.inf)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0) - half, values.mean(axis=0) + half
