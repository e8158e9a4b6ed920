"""The other way round: for a new item, which users are shown it first, and how good that order is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..catalogue.splits import Split
from .metrics import auc
from .ranking import Scorer
from .study import Fold, Method, Setting, pattern_search


def order_of_users(scorers: Mapping[str, Scorer], split: Split) -> pd.DataFrame:
    """Return one row per model and candidate of a `split`: model, fold, item, and the `auc` of the order of its users.

    That is the chance that somebody who chose the item has a higher score of it than somebody who did not
    (`metrics.auc`). All users are ordered but those whose choice of the item the split reveals. NaN where nobody is
    left who chose it, or nobody who did not.
    """
    users, items = np.arange(split.train.shape[0]), split.candidates
    wanted, told = (matrix[:, items].T.toarray() > 0 for matrix in (split.test, split.support))
    frames = []
    for name, scorer in scorers.items():
        scores = np.asarray(scorer(users, items), float).T
        found = [auc(row[None, ~hide], want[None, ~hide])[0] for row, want, hide in zip(scores, wanted, told)]
        frames.append(pd.DataFrame({"model": name, "fold": split.seed, "item": items, "auc": found}))
    return pd.concat(frames, ignore_index=True)


def run_orders(methods: Mapping[str, Method], folds: Sequence[Fold], *, trials: int = 8) -> pd.DataFrame:
    """Return the rows of `order_of_users` for every method on every fold, each tuned on the nested splits.

    As `study.run`, with the mean AUC of the new items in the place of a metric of lists. `setting` holds the knobs
    that were chosen, as text.
    """
    rows = []
    for fold in tqdm(folds, desc="folds", delay=2, leave=False):
        for name, method in methods.items():
            chosen = _tuned(method, fold.nested, trials) if method.knobs else {}
            found = order_of_users({name: method.fit(fold.outer, **chosen)}, fold.outer)
            rows.append(found.assign(setting=", ".join(f"{knob} {value:.3g}" for knob, value in chosen.items())))
    return pd.concat(rows, ignore_index=True)


def _tuned(method: Method, nested: Sequence[Split], trials: int) -> Setting:
    def value(knobs: Setting) -> float:
        return float(np.mean([order_of_users({"": method.fit(s, **knobs)}, s)["auc"].mean() for s in nested]))

    return pattern_search(value, method.knobs, trials)
