"""Experiments: every item new once, the same tuning for every method, one tidy frame, intervals of the right unit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from ..catalogue.matrices import feedback
from ..catalogue.splits import (
    Split,
    cold_items,
    hide_items,
    k_shot_items,
    k_shot_users,
    temporal_cold_items,
    warm,
    warm_and_cold,
    warm_parts,
)
from ..ground import ColdstartError
from .intervals import estimate, holm
from .phrases import told
from .ranking import Scorer, evaluate

Array = np.ndarray
Setting = dict[str, float]


class Method(Protocol):
    """What can be compared: `knobs` names what is tuned and where the search starts, `fit` learns from a split."""

    @property
    def knobs(self) -> Mapping[str, float]:
        """Return the start value, above 0, of each number that `fit` takes."""

    @property
    def fit(self) -> Callable[..., Scorer]:
        """Return the function (split, **knobs) → scorer learnt from `split.train`."""


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
    Raises ColdstartError unless 2 <= n <= half the items that can be new.
    """
    known = _at_least(least, X.T)
    most = len(known) // 2
    if not 2 <= n <= most:
        raise ColdstartError(
            f"item_folds: expected 2 to {most} folds, with two of {len(known)} items new in each, got {n!r}"
        )
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


def choice_folds(X: sparse.csr_matrix, n: int = 5, *, seed: int = 0, nested: int = 1) -> list[Fold]:
    """Return `n` folds of X [users, items], in which every choice is hidden exactly once; known items are ranked.

    Each fold hides an n-th of each user's choices; its `nested` splits hide a fifth of what is left. Raises
    ColdstartError unless 2 <= n <= choices, or if a side would be empty.
    """
    folds = []
    for number, outer in enumerate(warm_parts(X, n, seed=seed)):
        seeds = [1000 * (seed + 1) + 10 * number + j for j in range(nested)]
        folds.append(Fold(outer, tuple(warm(outer.train, each) for each in seeds)))
    return folds


def joint_folds(X: sparse.csr_matrix, n: int = 5, *, seed: int = 0) -> list[Fold]:
    """Return `n` folds like `item_folds` with one nested split each, in which new and known items share one list.

    A fifth of each user's choices of known items is asked too (`warm_and_cold`).
    """
    folds = []
    for fold in item_folds(X, n, seed=seed):
        outer = warm_and_cold(X, fold.outer.candidates, fold.outer.seed)
        inner = fold.nested[0]
        folds.append(Fold(outer, (warm_and_cold(outer.train, inner.candidates, inner.seed),)))
    return folds


def each_split(folds: Sequence[Fold], change: Callable[[Split], Split]) -> list[Fold]:
    """Return the folds with `change(split)` in the place of each of their splits."""
    return [Fold(change(fold.outer), tuple(change(split) for split in fold.nested)) for fold in folds]


def _at_least(least: int, rows: sparse.spmatrix) -> Array:
    return np.flatnonzero(np.diff(feedback(rows).indptr) >= max(least, 1))


def temporal_fold(X: sparse.csr_matrix, timestamps: sparse.csr_matrix, *, seed: int = 0) -> Fold | None:
    """Return the fold whose new items are the latest (`temporal_cold_items`), or None where no item is new so late."""
    try:
        outer = temporal_cold_items(X, timestamps)
    except ColdstartError:
        return None
    return Fold(outer, (cold_items(outer.train, seed, among=outer.warm_items),))


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
    recall_at: Sequence[int] = (),
    tuner: Callable[..., Setting] = tune,
) -> pd.DataFrame:
    """Return the rows of `evaluate` for every method on every fold, each tuned by as many `trials` on nested splits.

    `bands` and `recall_at` go to `evaluate`, and `tuner` is called like `tune`. Further columns: `setting`, the knobs
    that were chosen, as text, and `seconds` of processor time, tuning included. A method without knobs is fitted as it
    is.
    """
    rows = []
    for fold in tqdm(folds, desc="folds", delay=2, leave=False):
        for name, method in methods.items():
            begun = time.process_time()
            chosen = tuner(method, fold.nested, trials=trials, metric=metric, k=k) if method.knobs else {}
            scorer = {name: method.fit(fold.outer, **chosen)}
            scores = evaluate(scorer, fold.outer, k=k, bands=bands, recall_at=recall_at)
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

    `p` tests a difference of zero; `better`, `worse` and `answer` say whether it is shown at 5 % over all rows of the
    table (Holm 1979); `told` is the difference with its interval as text. A model that ran on other folds than the
    rest meets `baseline` on those that both ran. Raises ColdstartError for an unknown baseline, metric or unit.
    """
    if unit not in ("user", "fold") or unit not in results:
        raise ColdstartError(f"unit: expected 'user' or 'fold', a column of the results, got {unit!r}")
    if metric not in results:
        raise ColdstartError(f"metric: expected a column of the results, got {metric!r}")
    models = list(dict.fromkeys(results["model"]))
    if baseline not in models:
        raise ColdstartError(f"baseline {baseline!r}: expected one of {', '.join(models) or 'those measured: none'}")
    means = results.groupby([unit, "model"], sort=False)[metric].mean().unstack()
    extra = test_share / (1 - test_share) if unit == "fold" else 0.0
    rows = []
    for model in models:
        pair = _paired(results, means, baseline, model, metric, unit)
        resampled = unit == "user"
        of_mean = estimate(pair[model].to_numpy(), resampled=resampled, extra=extra)
        of_gain = estimate((pair[model] - pair[baseline]).to_numpy(), resampled=resampled, extra=extra)
        rows.append((model, metric, *of_mean[:3], baseline, *of_gain, len(pair), unit))
    columns = ["model", "metric", "mean", "low", "high", "baseline", "difference", "diff_low", "diff_high", "p", "n"]
    table = pd.DataFrame(rows, columns=[*columns, "unit"], index=models)
    table = answered(table)
    table["told"] = [told(row.difference, row.diff_low, row.diff_high) for row in table.itertuples()]
    return table


def questions(
    results: pd.DataFrame, pairs: Mapping[str, tuple[str, str]], *, metric: str = "ndcg", unit: str = "fold"
) -> pd.DataFrame:
    """Return the row of `compare` for each question (name → model, baseline), Holm's correction over the questions.

    For questions that were asked before the results were seen; those about models that did not run are left out.
    A further column `ahead` counts the folds in which the model has the higher mean.
    """
    ran = set(results["model"])
    rows = {}
    for question, (model, baseline) in pairs.items():
        if {model, baseline} <= ran:
            both = results[results["model"].isin([model, baseline])]
            means = both.groupby(["fold", "model"])[metric].mean().unstack()
            row = compare(both, baseline, metric=metric, unit=unit).loc[model]
            rows[question] = pd.concat([row, pd.Series({"ahead": int((means[model] > means[baseline]).sum())})])
    table = pd.DataFrame(rows).T.infer_objects()
    return answered(table) if rows else table


def corrected(table: pd.DataFrame) -> pd.Series:
    """Return the p-value of each row of a `compare` table after Holm's correction over all of them, 1 for a baseline's
    own.
    """
    asked, p = (table["model"] != table["baseline"]).to_numpy(), np.ones(len(table))
    p[asked] = holm(table["p"].to_numpy(float)[asked])
    return pd.Series(p, table.index)


def answered(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `compare` table with `better`, `worse` and `answer`: shown at 5 % after Holm's correction over its
    rows.
    """
    shown, difference = (corrected(table) < 0.05).to_numpy(), table["difference"].to_numpy(float)
    return worded(table.assign(better=shown & (difference > 0), worse=shown & (difference < 0)))


def worded(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `compare` table with the `answer` that its `better` and `worse` give."""
    answer = np.select([table["better"], table["worse"]], ["Yes", "No, the reverse"], "Not shown")
    return table.assign(answer=answer)


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
