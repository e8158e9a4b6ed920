"""The same tuning for every rival: optuna draws the settings, and the epochs are those best for items that play new."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd

from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..measure.ranking import evaluate
from ..measure.study import Method, Setting
from .learning import Rival, middle

PATIENCE = 6  # epochs without a better value
REACH = 30.0  # of knobs without a range: from a thirtieth to thirty times where the search starts


def ranges_of(method: Method) -> dict[str, tuple[float, float]]:
    """Return between which numbers each knob of a method is looked for."""
    if isinstance(method, Rival):
        return dict(method.ranges)
    return {name: (start / REACH, start * REACH) for name, start in method.knobs.items()}


def tuned(
    method: Method, nested: Sequence[Split], *, trials: int = 8, metric: str = "ndcg", k: int = 20, seed: int = 0,
    patience: int = PATIENCE,
) -> Setting:  # fmt: skip
    """Return the knobs with the best mean `metric` at k over the `nested` splits, out of `trials` that optuna draws.

    The first trial is the middle of the ranges, the others come from the tree-structured Parzen estimator (Bergstra et
    al. 2011), the first half of them at random, always the same for a seed. Of a `Rival` each trial learns until
    `patience` epochs brought nothing better, and the best number of `epochs` belongs to its setting. It takes the place
    of `study.tune` in `study.run(…, tuner=tuned)`. Raises ColdstartError for less than one trial.
    """
    import optuna

    if trials < 1:
        raise ColdstartError(f"trials: expected 1 or more, got {trials!r}")
    optuna.logging.set_verbosity(logging.WARNING)
    ranges, best = ranges_of(method), (-np.inf, dict(method.knobs))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, trials // 2))
    search = optuna.create_study(direction="maximize", sampler=sampler)
    search.enqueue_trial(middle(ranges))
    for _ in range(trials):
        trial = search.ask()
        knobs = {name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in ranges.items()}
        value, knobs = _value(method, nested, knobs, metric, k, patience)
        search.tell(trial, value)
        if value > best[0]:
            best = (value, knobs)
    return best[1]


def _value(
    method: Method, nested: Sequence[Split], knobs: Setting, metric: str, k: int, patience: int
) -> tuple[float, Setting]:  # fmt: skip
    """Return what a setting is worth on the nested splits, and the setting with its epochs."""
    if not isinstance(method, Rival):
        return float(np.mean([_measured(method.fit(s, **knobs), s, metric, k) for s in nested])), knobs
    values: list[float] = []
    try:
        for epochs in zip(*(method.path(split, **knobs) for split in nested)):
            values.append(float(np.mean([_measured(e.scorer, s, metric, k) for e, s in zip(epochs, nested)])))
            if len(values) - int(np.argmax(values)) > patience:
                break
    except ColdstartError:
        # A rate too large: what was reached before the loss left the numbers counts.
        if not values:
            return 0.0, knobs | {"epochs": 1.0}
    return max(values), knobs | {"epochs": float(np.argmax(values) + 1)}


def _measured(scorer: object, split: Split, metric: str, k: int) -> float:
    return float(evaluate({"": scorer}, split, k=k)[metric].mean())  # type: ignore[dict-item]


def curve(rival: Rival, split: Split, *, epochs: int | None = None, k: int = 20, **knobs: float) -> pd.DataFrame:
    """Return a learning curve: `epoch`, `loss`, `ndcg` at k of what the split asks, and `seconds` of processor time.

    Seconds are those of learning alone, from the start. Of knobs that are not given the middle of the range is taken.
    Raises ColdstartError for a knob that the rival has not.
    """
    start = middle(rival.ranges)
    if unknown := sorted(set(knobs) - set(start)):
        raise ColdstartError(f"curve: expected knobs of {', '.join(start)}, got {unknown[0]!r}")
    knobs = start | knobs
    rows, spent, begun = [], 0.0, time.process_time()
    for number, epoch in enumerate(islice(rival.path(split, **knobs), epochs), start=1):
        spent += time.process_time() - begun
        ndcg = _measured(epoch.scorer, split, "ndcg", k)
        rows.append({"epoch": number, "loss": epoch.loss, "ndcg": ndcg, "seconds": spent})
        begun = time.process_time()
    return pd.DataFrame(rows)
