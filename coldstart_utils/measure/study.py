"""Experiments: every item new once, the same tuning for every method, one tidy frame, intervals of the right unit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse, stats
from tqdm import tqdm

from ..catalogue.splits import Split, cold_items, hide_items, k_shot_items, k_shot_users
from ..ground import ColdstartError
from .ranking import Scorer, evaluate

Array = np.ndarray
Setting = dict[str, float]


class Method(Protocol):
    """What can be compared: `knobs` names what is tuned and where the search starts, `fit` learns from a split."""

    @property
    def knobs(self) -> Mapping[str, float]:
        """Return the start value, above 0, of each number that `fit` takes."""

    def fit(self, split: Split, **knobs: float) -> Scorer:
        """Return the scorer learnt from `split.train`."""


@dataclass(frozen=True)
class Arm:
    """A method made of a function: `fit(split, **knobs)` returns a scorer; `knobs` are as in `Method`."""

    fit: Callable[..., Scorer]
    knobs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fold:
    """One round of a study: `outer` is asked once, at the end; settings are chosen on `nested`, made of its training
    data.
    """

    outer: Split
    nested: tuple[Split, ...]


def item_folds(
    X: sparse.csr_matrix, n: int = 5, *, seed: int = 0, nested: int = 1, k: int = 0, least: int = 1
) -> list[Fold]:
    """Return `n` folds of X [users, items], in which every item with interactions is new exactly once.

    Each fold has `nested` splits, in which a fifth of its known items plays new: settings are chosen there. With k > 0
    each new item reveals k interactions. Items with fewer than `least` interactions are never new, always known.
    Raises ColdstartError unless 2 <= n <= items that can be new.
    """
    known = _at_least(least, X.T)
    if not 2 <= n <= len(known):
        raise ColdstartError(f"item_folds: expected 2 to {len(known)} folds, got {n!r}")
    shuffled = np.random.default_rng(seed).permutation(known)
    folds = []
    for number, new in enumerate(np.array_split(shuffled, n)):
        outer = k_shot_items(X, number, k=k, new=new) if k else hide_items(X, new, seed=number)
        seeds, among = [1000 * (seed + 1) + 10 * number + j for j in range(nested)], _at_least(least, outer.train.T)
        if k:
            inner = [k_shot_items(outer.train, each, k=k, among=among) for each in seeds]
        else:
            inner = [cold_items(outer.train, each, among=among) for each in seeds]
        folds.append(Fold(outer, tuple(inner)))
    return folds


def user_folds(
    X: sparse.csr_matrix, n: int = 5, *, k: int, seed: int = 0, nested: int = 1, least: int = 1
) -> list[Fold]:
    """Return `n` folds of X [users, items], in which every user with choices is new exactly once and reveals `k` of
    them.

    The same seed makes the same users new for every k. Nested splits do the same with a fifth of the known users.
    Users with fewer than `least` choices are never new, always known. Raises ColdstartError unless 2 <= n <= users
    that can be new.
    """
    known = _at_least(least, X)
    if not 2 <= n <= len(known):
        raise ColdstartError(f"user_folds: expected 2 to {len(known)} folds, got {n!r}")
    folds = []
    for number, new in enumerate(np.array_split(np.random.default_rng(seed).permutation(known), n)):
        outer, old = k_shot_users(X, number, k=k, new=new), np.setdiff1d(known, new)
        inner = []
        for place in range(nested):
            label = 1000 * (seed + 1) + 10 * number + place
            trial = np.random.default_rng(label).choice(old, max(1, len(old) // 5), replace=False)
            inner.append(k_shot_users(outer.train, label, k=k, new=trial))
        folds.append(Fold(outer, tuple(inner)))
    return folds


def each_split(folds: Sequence[Fold], change: Callable[[Split], Split]) -> list[Fold]:
    """Return the folds with `change(split)` in the place of each of their splits."""
    return [Fold(change(fold.outer), tuple(change(split) for split in fold.nested)) for fold in folds]


def _at_least(least: int, rows: sparse.spmatrix) -> Array:
    return np.flatnonzero(np.diff(rows.tocsr().indptr) >= max(least, 1))


# --- Tuning ----------------------------------------------------------------------------------------------------------


def pattern_search(value: Callable[[Setting], float], start: Mapping[str, float], trials: int) -> Setting:
    """Return the best of `trials` settings that the search meets on its way up from `start`, all numbers above 0.

    Each number in turn is multiplied or divided by the step, as long as `value` rises; where no move helps, the step
    shrinks from 3 to its root (Hooke & Jeeves 1961, on a logarithmic scale). There is no grid that could end too soon.
    """
    best, step = dict(start), 3.0
    seen = {_place(best): value(best)}
    while start and len(seen) < trials and step > 1.01:
        before = best
        for trial in _moves(best, step):
            if _place(trial) in seen or len(seen) >= trials:
                continue
            seen[_place(trial)] = value(trial)
            if seen[_place(trial)] > seen[_place(best)]:
                best = trial
                break
        if best is before:
            step **= 0.5
    return best


def _moves(setting: Setting, step: float) -> Iterable[Setting]:
    for name, now in setting.items():
        yield setting | {name: now * step}
        yield setting | {name: now / step}


def _place(setting: Setting) -> tuple[float, ...]:
    return tuple(round(float(np.log(number)), 6) for number in setting.values())


def tune(method: Method, nested: Sequence[Split], *, trials: int = 8, metric: str = "ndcg", k: int = 20) -> Setting:
    """Return the knobs with the best mean `metric` at k over the `nested` splits, out of `trials` settings tried."""

    def value(knobs: Setting) -> float:
        return float(np.mean([evaluate({"": method.fit(s, **knobs)}, s, k=k)[metric].mean() for s in nested]))

    return pattern_search(value, method.knobs, trials)


def run(
    methods: Mapping[str, Method],
    folds: Sequence[Fold],
    *,
    trials: int = 8,
    metric: str = "ndcg",
    k: int = 20,
    bands: Mapping[str, Array] | None = None,
) -> pd.DataFrame:
    """Return the rows of `evaluate` for every method on every fold, each tuned by as many `trials` on nested splits.

    Further columns: `setting`, the knobs that were chosen, as text, and `seconds` of processor time, tuning included.
    A method without knobs is fitted as it is.
    """
    rows = []
    for fold in tqdm(folds, desc="folds", delay=2, leave=False):
        for name, method in methods.items():
            begun = time.process_time()
            chosen = tune(method, fold.nested, trials=trials, metric=metric, k=k) if method.knobs else {}
            scores = evaluate({name: method.fit(fold.outer, **chosen)}, fold.outer, k=k, bands=bands)
            told_setting = ", ".join(f"{knob} {number:.3g}" for knob, number in chosen.items())
            rows.append(scores.assign(setting=told_setting, seconds=time.process_time() - begun))
    return pd.concat(rows, ignore_index=True)


def run_each(
    make: Callable[[Any], Mapping[str, Method]], by: str, values: Iterable[Any], folds: Sequence[Fold], **options: Any
) -> pd.DataFrame:
    """Return the rows of `run` for the methods `make(value)`, value by value, with a column `by` that holds it."""
    return pd.concat(run(make(value), folds, **options).assign(**{by: value}) for value in values)


def settings(results: pd.DataFrame) -> pd.DataFrame:
    """Return the setting that each method got on each fold: methods down, folds across."""
    return results.groupby(["model", "fold"], sort=False)["setting"].first().unstack()


def chosen(results: pd.DataFrame, model: str, knob: str, by: str) -> pd.Series:
    """Return the number that `knob` got for a model on each fold, at each value of the column `by`."""
    text = results[results["model"] == model].groupby([by, "fold"], sort=False)["setting"].first()
    return text.str.extract(rf"{knob} ([^,]+)", expand=False).astype(float)


# --- Comparing -------------------------------------------------------------------------------------------------------


def compare(
    results: pd.DataFrame, baseline: str, *, metric: str = "ndcg", unit: str = "fold", test_share: float = 0.2
) -> pd.DataFrame:
    """Return one row per model, by name: its mean, its mean difference to `baseline`, and 95 % intervals of both.

    Differences are paired by the unit that the claim is about. unit='fold': Student's t over the means of the folds,
    for claims about new items; since folds share their training data, the variance is multiplied by
    1/n + test_share/(1 − test_share) instead of 1/n (Nadeau & Bengio 2003). unit='user': values are averaged over
    folds first, then users are resampled (percentile bootstrap, 4,000 draws; Efron & Tibshirani 1993).

    `p` tests a difference of zero; `better` and `worse` say whether it is shown at 5 % over all rows of the table
    (Holm 1979); `told` is the difference with its interval as text. A model that ran on other folds than the rest meets
    `baseline` on those that both ran. Raises ColdstartError for an unknown baseline, metric or unit.
    """
    if unit not in ("user", "fold"):
        raise ColdstartError(f"unit: expected 'user' or 'fold', got {unit!r}")
    if metric not in results:
        raise ColdstartError(f"metric: expected a column of the results, got {metric!r}")
    models = list(dict.fromkeys(results["model"]))
    if baseline not in models:
        raise ColdstartError(f"baseline: expected one of {', '.join(models)}, got {baseline!r}")
    means = results.groupby([unit, "model"], sort=False)[metric].mean().unstack()
    extra = test_share / (1 - test_share) if unit == "fold" else 0.0
    rows = []
    for model in models:
        pair = _paired(results, means, baseline, model, metric, unit)
        of_mean = _estimate(pair[model].to_numpy(), unit, extra)
        of_gain = _estimate((pair[model] - pair[baseline]).to_numpy(), unit, extra)
        rows.append((model, metric, *of_mean[:3], baseline, *of_gain, len(pair), unit))
    columns = ["model", "metric", "mean", "low", "high", "baseline", "difference", "diff_low", "diff_high", "p", "n"]
    table = pd.DataFrame(rows, columns=[*columns, "unit"], index=models)
    others = table.index != baseline
    shown = pd.Series(False, models)
    shown[others] = holm(table["p"].to_numpy()[others]) < 0.05
    table["better"], table["worse"] = shown & (table["difference"] > 0), shown & (table["difference"] < 0)
    table["told"] = [told(row.difference, row.diff_low, row.diff_high) for row in table.itertuples()]
    return table


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


def shown(table: pd.DataFrame, by: str, tick: str) -> set[tuple[str, Any]]:
    """Return the (model, value of `by`) of a `compare_by` table that carry the tick 'better' or 'worse'."""
    return set(table.loc[table[tick], ["model", by]].itertuples(index=False, name=None))


def reached_at(results: pd.DataFrame, by: str, climber: str, goal: str, *, metric: str) -> Array:
    """Return for each fold, in ascending order, at which value of `by` the model `climber` is as good as `goal`.

    Between the values that were tried it is interpolated; infinity where it is not reached.
    """
    means = results.groupby(["model", "fold", by])[metric].mean().unstack()
    rows, goals = np.maximum.accumulate(means.loc[climber].to_numpy(), axis=1), means.loc[goal].mean(axis=1)
    return np.sort([np.interp(goal, row, means.columns, right=np.inf) for goal, row in zip(goals, rows)])


def _paired(
    results: pd.DataFrame, means: pd.DataFrame, baseline: str, model: str, metric: str, unit: str
) -> pd.DataFrame:
    """Return the values of two models, unit by unit, over the folds that both ran."""
    both = results[results["model"].isin([baseline, model])]
    ran = both.groupby("model")["fold"].agg(set) if "fold" in both else None
    if ran is None or ran[model] == ran[baseline]:
        return means[list(dict.fromkeys([model, baseline]))].dropna()
    shared = both[both["fold"].isin(ran[model] & ran[baseline])]
    return shared.groupby([unit, "model"], sort=False)[metric].mean().unstack().dropna()


def _estimate(values: Array, unit: str, extra: float) -> tuple[float, float, float, float]:
    """Return mean, lower and upper end of its 95 % interval, and the p-value of zero."""
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, -np.inf, np.inf, 1.0
    error = float(values.std(ddof=1)) * np.sqrt(1 / n + extra)
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error else float(mean == 0)
    if unit == "user":
        low, high = np.percentile(_resampling(n) @ values, [2.5, 97.5])
    else:
        half = float(stats.t.ppf(0.975, n - 1)) * error
        low, high = mean - half, mean + half
    return mean, float(low), float(high), p


@lru_cache(maxsize=4)
def _resampling(n: int, draws: int = 4000) -> Array:
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=draws) / n


def holm(p: Array) -> Array:
    """Return the p-values [m] of m tests adjusted so that one false claim among them stays at its level (Holm 1979)."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.sort(p) * np.arange(len(p), 0, -1)))
    return adjusted


def told(difference: float, low: float, high: float, digits: int = 3) -> str:
    """Return a difference and its interval as text, '+.012 (+.010 to +.015)'."""
    return f"{signed(difference, digits)} ({signed(low, digits)} to {signed(high, digits)})"


def signed(number: float, digits: int = 3) -> str:
    """Return a number with its sign and without a zero before the point, '+.012', and '.000' for none."""
    text = f"{abs(number):.{digits}f}"
    sign = "" if not float(text) else "−" if number < 0 else "+"
    return sign + (text[1:] if text.startswith("0.") else text)
