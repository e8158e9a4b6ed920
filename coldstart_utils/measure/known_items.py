"""How well searches serve: the rank of the item that somebody has in mind, and whose taste orders what fits a need."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.scores import rank_of
from . import metrics
from .intervals import resampling
from .phrases import told
from .study import answered

Array = np.ndarray

METRICS = ("first", "first ten", "mrr")


def best_ranks(scores: Mapping[str, Array], relevant: sparse.csr_matrix) -> pd.DataFrame:
    """Return the rank of the best-placed right item, from 1: questions down, the methods of `scores` across.

    `scores` are [questions, items] each, `relevant` [questions, items] stores what is right. Ties go to the lower item.
    """
    rows, items = sparse.csr_matrix(relevant).nonzero()
    ranks = {name: pd.Series(rank_of(found[rows], items)).groupby(rows).min() for name, found in scores.items()}
    return pd.DataFrame(ranks)


def value(ranks: Array, metric: str) -> Array:
    """Return what each rank [n] is worth: 'first' 1 at rank 1, 'first ten' 1 up to rank 10, 'mrr' 1/rank up to rank 10.

    Raises ColdstartError for another metric.
    """
    ranks = np.asarray(ranks, float)
    if metric not in METRICS:
        raise ColdstartError(f"metric: expected one of {', '.join(METRICS)}, got {metric!r}")
    if metric == "mrr":
        return np.where(ranks <= 10, 1 / ranks, 0.0)
    return (ranks <= (1 if metric == "first" else 10)).astype(float)


def compare(
    ranks: pd.DataFrame, items: Array, baseline: str | None = None, *, metric: str = "first ten"
) -> pd.DataFrame:
    """Return one row per method of `ranks` [questions, methods]: mean and, against a baseline, difference, 95 % each.

    Several questions may ask for one of the `items` [questions] and are then alike, so that items are resampled with
    all their questions (cluster bootstrap, 4,000 draws; Davison & Hinkley 1997). Columns as in `study.compare`: `mean`,
    `low`, `high`, `difference`, `diff_low`, `diff_high`, `p`, `better`, `worse`, `told`; Holm's correction over the
    rows. Raises ColdstartError for an unknown baseline.
    """
    baseline = baseline or str(ranks.columns[0])
    if baseline not in ranks:
        raise ColdstartError(f"baseline: expected one of {', '.join(ranks)}, got {baseline!r}")
    values = pd.DataFrame({name: value(ranks[name], metric) for name in ranks})
    sums = values.groupby(np.asarray(items)).sum()
    counts = values.groupby(np.asarray(items)).size().to_numpy()
    draws = resampling(len(sums))
    drawn = (draws @ sums.to_numpy()) / (draws @ counts)[:, None]
    gains = drawn - drawn[:, [values.columns.get_loc(baseline)]]
    mean = values.mean()
    tail = np.minimum((gains <= 0).mean(axis=0), (gains >= 0).mean(axis=0))
    table = pd.DataFrame({"model": ranks.columns, "metric": metric, "mean": mean, "baseline": baseline})
    table["low"], table["high"] = np.percentile(drawn, [2.5, 97.5], axis=0)
    table["difference"] = mean - mean[baseline]
    table["diff_low"], table["diff_high"] = np.percentile(gains, [2.5, 97.5], axis=0)
    table["p"], table["n"], table["unit"] = np.clip(2 * tail, 1 / len(draws), 1), len(sums), "item"
    table = answered(table)
    table["told"] = [told(row.difference, row.diff_low, row.diff_high) for row in table.itertuples()]
    return table


def taste_among(
    fits: sparse.csr_matrix,
    split: Split,
    scores: Mapping[str, tuple[Array | None, Array | None]],
    *,
    least: int = 5,
) -> pd.DataFrame:
    """Return one row per model, user and need: the `auc` of the user's hidden choices among the items that fit.

    `fits` [needs, items] stores what fits; needs with fewer than `least` such items are left out. A score is the sum of
    a matrix [needs, items] and one [users, items], either of which may be None. Items that the user is known to have
    chosen are not ranked. It answers: of the films that fit what was asked, does the score put first those they took?
    """
    known, hidden = split.train.toarray() > 0, split.test.toarray() > 0
    parts = []
    for need in range(fits.shape[0]):
        items = fits[need].indices
        open_to, wanted = ~known[:, items], hidden[:, items]
        able = (wanted & open_to).any(axis=1) & (~wanted & open_to).any(axis=1)
        if len(items) < least or not able.any():
            continue
        users, places = np.nonzero(open_to & able[:, None])
        for name, (by_need, by_user) in scores.items():
            own = np.zeros(len(users)) if by_need is None else by_need[need, items[places]]
            own = own if by_user is None else own + by_user[users, items[places]]
            found = metrics.auc_within(wanted[users, places], own, users)
            rows = {"user": np.unique(users), "need": need, "fold": split.seed, "model": name, "auc": found}
            parts.append(pd.DataFrame(rows))
    columns = ["user", "need", "fold", "model", "auc"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
