"""Methods with a dial, compared where they cost the same: which setting loses so much, and what it gives there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ..catalogue.splits import Split
from .curves import compare_by
from .ranking import Scorer, evaluate, exposure
from .study import Fold, compare

Array = np.ndarray
BY = ["model", "fold"]


def sweep(
    method: Callable[[Split, float], Scorer],
    dial: Sequence[float],
    folds: Sequence[Fold],
    *,
    name: str,
    bands: Callable[[Split], Mapping[str, Array]],
    k: int = 20,
    until: float = 1.0,
    exposed: bool = False,
) -> pd.DataFrame:
    """Return the rows of `evaluate` of a method at every value of its `dial`; `exposed`, with `exposure` on the test.

    Columns `dial` and `asked`: 'test' for the outer split of a fold, 'nested' for its first nested one. `fold` is that
    of the outer split, `bands(split)` are as in `evaluate`. On nested splits, which serve to find a setting, the dial
    stops once mean NDCG lies the share `until` below its start.
    """
    rows = []
    for fold in folds:
        for asked, split in (("test", fold.outer), ("nested", fold.nested[0])):
            first, parts = None, bands(split)
            for setting in dial:
                scorer = {name: method(split, setting)}
                scores = evaluate(scorer, split, k=k, bands=parts)
                if exposed and asked == "test":
                    scores = scores.merge(exposure(scorer, split, k=k, bands=parts), on="model")
                rows.append(scores.assign(fold=fold.outer.seed, dial=float(setting), asked=asked))
                mean = scores["ndcg"].mean()
                first = mean if first is None else first
                if asked == "nested" and mean < (1 - until) * first:
                    break
    return pd.concat(rows, ignore_index=True)


def dial_at_loss(swept: pd.DataFrame, loss: float, *, metric: str = "ndcg") -> pd.Series:
    """Return for each model and fold the dial where the mean of `metric` first lies the share `loss` below its start.

    `swept` has rows of `evaluate` for several values of the column `dial`; the smallest value is the start, and between
    two values the mean is a straight line. A model that never loses so much gets its largest value.
    """
    means = swept.groupby([*BY, "dial"], sort=False)[metric].mean()
    return means.groupby(level=BY, sort=False).apply(_first_crossing, loss)


def best_dial(swept: pd.DataFrame, *, metric: str = "ndcg") -> pd.Series:
    """Return for each model and fold the value of the column `dial` with the best mean of `metric`."""
    means = swept.groupby([*BY, "dial"], sort=False)[metric].mean().unstack("dial")
    return means.idxmax(axis=1)


def at_dial(swept: pd.DataFrame, dials: pd.Series) -> pd.DataFrame:
    """Return one row per model, fold and user: the metrics at `dials` [(model, fold)], as `dial_at_loss` returns them.

    Between two values that were tried, lists of the first are shown with a chance and those of the second otherwise,
    and the metrics are what that gives on average: the weighted mean of both rows.
    """
    parts = dict(list(swept.groupby(BY, sort=False)))
    return pd.concat([_mixed(parts[key], dial) for key, dial in dials.items()], ignore_index=True)


def along(swept: pd.DataFrame, metric: str = "ndcg") -> pd.DataFrame:
    """Return one row per model and value of the `dial`: `metric` by `study.compare` with the smallest value, over
    folds.
    """
    parts = []
    for model, own in swept.groupby("model", sort=False):
        dial = np.unique(own["dial"])
        names = [f"{value:g}" for value in dial]
        named = own.assign(model=own["dial"].map(dict(zip(dial, names))))
        parts.append(compare(named, names[0], metric=metric).loc[names].assign(model=model, dial=dial))
    return pd.concat(parts, ignore_index=True)


def loss_at(swept: pd.DataFrame, dials: pd.Series, *, metric: str = "ndcg") -> pd.Series:
    """Return for each model the share of `metric` that it loses `at_dial`, against the smallest value of its dial."""
    start = swept[swept["dial"] == swept.groupby("model")["dial"].transform("min")].groupby("model")[metric].mean()
    return 1 - at_dial(swept, dials).groupby("model", sort=False)[metric].mean() / start


def by_band(results: pd.DataFrame, baseline: str, bands: Iterable[str]) -> pd.DataFrame:
    """Return `curves.compare_by` of recall in each of the `bands`, with a column `band`: shown over folds and users."""
    rows, columns = ["model", "fold", "user"], {f"recall {band}": band for band in bands}
    long = results[[*rows, *columns]].rename(columns=columns).melt(rows, var_name="band", value_name="recall")
    return compare_by(long, "band", baseline, metric="recall", units=("fold", "user"))


def _first_crossing(means: pd.Series, loss: float) -> float:
    path = means.sort_index()
    dial, value = path.index.get_level_values("dial").to_numpy(float), path.to_numpy()
    target = value[0] * (1 - loss)
    below = np.flatnonzero(value[1:] <= target)
    if not len(below):
        return float(dial[-1])
    before, after = int(below[0]), int(below[0]) + 1
    step = value[before] - value[after]
    share = (value[before] - target) / step if step > 0 else 0.0
    return float(dial[before] + share * (dial[after] - dial[before]))


def _mixed(path: pd.DataFrame, dial: float) -> pd.DataFrame:
    tried = np.unique(path["dial"])
    after = int(np.clip(np.searchsorted(tried, dial), 1, max(len(tried) - 1, 1))) % len(tried)
    before = max(after - 1, 0)
    width = tried[after] - tried[before]
    share = float(np.clip((dial - tried[before]) / width, 0, 1)) if width else 0.0
    one, two = (path[path["dial"] == tried[place]].set_index([*BY, "user"]) for place in (before, after))
    numbers = one.select_dtypes("number").columns.drop("dial")
    mixed = (1 - share) * one[numbers] + share * two[numbers].reindex(one.index)
    return mixed.assign(dial=dial).reset_index()
