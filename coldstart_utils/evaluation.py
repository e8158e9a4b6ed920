"""Floor 3: full ranking of any `score(users, items)`, per user, over seeds, with paired intervals, as tidy frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from . import metrics
from .runtime import ColdstartError
from .splits import Split

Array = np.ndarray
Scorer = Callable[[Array, Array], Array]
METRICS = ("recall", "precision", "f1", "ndcg", "mrr", "hit_rate")


def from_matrix(scores: Array) -> Scorer:
    """Return the scorer that looks up `scores` [all users, all items]."""
    return lambda users, items: scores[np.ix_(users, items)]


def from_items(scores: Array) -> Scorer:
    """Return the scorer that gives every user the same score of each item, `scores` [all items]."""
    return lambda users, items: np.broadcast_to(scores[items], (len(users), len(items)))


def from_factors(U: Array, V: Array) -> Scorer:
    """Return the scorer U[u]·V[i] of factors `U` [all users, rank] and `V` [all items, rank]."""
    return lambda users, items: U[users] @ V[items].T


def evaluate(
    scorers: Mapping[str, Scorer], split: Split, *, k: int = 20, bands: Mapping[str, Array] | None = None
) -> pd.DataFrame:
    """Return one row per model and tested user: model, seed, user, and recall, precision, f1, ndcg, mrr, hit_rate at k.

    All candidates are ranked (never a sample of negatives), less those the user is known to have chosen.
    `tail_recall` is recall of the less popular half of the tested items, NaN for users who want none of them; so is
    `recall <name>` for each of the `bands` (name → items). `novelty` is the mean of −log2 p of the list, bits. It and
    the tail count test interactions: cold items have no others. Raises ColdstartError for scores of a wrong shape or
    not finite.
    """
    users, candidates = split.users, split.candidates
    relevant = sparse.csr_matrix(split.test[users][:, candidates])
    n_relevant = np.diff(relevant.indptr)
    popularity = np.asarray(relevant.astype(bool).sum(axis=0)).ravel()
    parts = {"tail_recall": popularity <= np.median(popularity)}
    parts |= {f"recall {name}": np.isin(candidates, items) for name, items in (bands or {}).items()}
    wanted = {name: np.asarray(relevant.astype(bool)[:, part].sum(axis=1)).ravel() for name, part in parts.items()}
    known = (split.train + split.support)[users][:, candidates].tocoo()
    k = min(k, len(candidates))
    frames = []
    for name, scorer in scorers.items():
        ranked = metrics.top_k(_scores(name, scorer, users, candidates, known), k)
        hits = metrics.hit_matrix(ranked, relevant)
        by_part = {name: metrics.recall_at_k(hits & part[ranked], wanted[name], k) for name, part in parts.items()}
        frames.append(
            pd.DataFrame(
                {
                    "model": name,
                    "seed": split.seed,
                    "user": users,
                    "recall": metrics.recall_at_k(hits, n_relevant, k),
                    "precision": metrics.precision_at_k(hits, k),
                    "f1": metrics.f1_at_k(hits, n_relevant, k),
                    "ndcg": metrics.ndcg_at_k(hits, n_relevant, k),
                    "mrr": metrics.mrr_at_k(hits, k),
                    "hit_rate": metrics.hit_rate_at_k(hits, k),
                    **{name: np.where(wanted[name] > 0, values, np.nan) for name, values in by_part.items()},
                    "novelty": metrics.novelty(ranked, popularity),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def within_users(scorer: Scorer, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return per user with `pairs` (user, item, label 0 or 1) the `auc` of the scores of their own pairs.

    The score orders what a user likes above what they do not (`metrics.auc_within`); NaN where a label is missing.
    """
    users, u = np.unique(pairs["user"], return_inverse=True)
    items, i = np.unique(pairs["item"], return_inverse=True)
    return pd.DataFrame({"user": users, "auc": metrics.auc_within(pairs["label"], scorer(users, items)[u, i], u)})


def chosen_and_liked(scorers: Mapping[str, Scorer], split: Split, pairs: pd.DataFrame, *, k: int = 20) -> pd.DataFrame:
    """Return `evaluate` of the scorer 'chosen' on `split`, and beside it the `auc` by `within_users` of 'liked'.

    The two questions of a recommender: which of the candidates somebody takes, and which of those taken they like.
    `pairs` are as for `within_users`; those about the candidates are asked. Without 'liked', 'chosen' answers both.
    """
    asked = pairs[pairs["item"].isin(split.candidates)]
    within = within_users(scorers.get("liked", scorers["chosen"]), asked)
    return evaluate({"chosen": scorers["chosen"]}, split, k=k).drop(columns="model").merge(within, how="left")


def tune(
    make: Callable[[Any], Scorer], settings: Sequence[Any], split: Split, *, metric: str = "ndcg", k: int = 20
) -> Any:
    """Return the setting whose scorer `make(setting)` has the best mean `metric` on `split`, the first of equals.

    `split` is a nested one, made of what the outer split knows: the outer test stays untouched.
    """
    means = [evaluate({"": make(setting)}, split, k=k)[metric].mean() for setting in settings]
    return settings[int(np.argmax(means))]


def exposure(
    scorers: Mapping[str, Scorer], split: Split, *, k: int = 20, bands: Mapping[str, Array] | None = None
) -> pd.DataFrame:
    """Return one row per model: `coverage` of the candidates and `gini` of how often each stands in a top-k list.

    `places <name>` is the share of all places in lists that each of the `bands` (name → items) gets.
    """
    rows = []
    for name, shown in impressions(scorers, split, k=k).items():
        row = {"model": name, "coverage": np.mean(shown > 0), "gini": metrics.gini(shown)}
        parts = {f"places {band}": np.isin(shown.index, items) for band, items in (bands or {}).items()}
        rows.append(row | {band: shown[part].sum() / shown.sum() for band, part in parts.items()})
    return pd.DataFrame(rows)


def climb(
    value: Callable[[dict[str, float]], float], settings: Mapping[str, float], factors: Mapping[str, float]
) -> dict[str, float]:
    """Return `settings` after one pass of coordinate ascent: each name in `factors` is multiplied by its factor, else
    divided by it, where that raises `value(settings)`, the score on nested splits."""
    best, found = value(dict(settings)), dict(settings)
    for name, factor in factors.items():
        for trial in (found | {name: found[name] * factor}, found | {name: found[name] / factor}):
            if (now := value(trial)) > best:
                best, found = now, trial
                break
    return found


def impressions(scorers: Mapping[str, Scorer], split: Split, *, k: int = 20) -> pd.DataFrame:
    """Return how many users have each candidate in their top k: items down, models across."""
    known = (split.train + split.support)[split.users][:, split.candidates].tocoo()
    shown = {}
    for name, scorer in scorers.items():
        scores = _scores(name, scorer, split.users, split.candidates, known)
        ranked = metrics.top_k(scores, min(k, len(split.candidates)))
        shown[name] = np.bincount(ranked.ravel(), minlength=len(split.candidates))
    return pd.DataFrame(shown, split.candidates)


def _scores(name: str, scorer: Scorer, users: Array, candidates: Array, known: sparse.coo_matrix) -> Array:
    scores = np.array(scorer(users, candidates), dtype=float)
    if scores.shape != (len(users), len(candidates)):
        expected = (len(users), len(candidates))
        raise ColdstartError(f"scorer {name!r}: expected scores of shape {expected}, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ColdstartError(f"scorer {name!r}: expected finite scores, found NaN or infinity")
    scores[known.row, known.col] = -np.inf
    return scores


def compare(
    results: pd.DataFrame, baseline: str, *, metric: str | Sequence[str] = "ndcg", unit: str = "user"
) -> pd.DataFrame:
    """Return one row per model (and metric): its mean, its mean difference to `baseline`, and 95 % intervals of both.

    Differences are paired, over the `n` units that have a value. unit='user': values are averaged over seeds first,
    then users are resampled (percentile bootstrap, 2,000 draws; Efron & Tibshirani 1993). unit='seed': Student's t over
    the means of the splits, which also carries the luck of which items are cold. A model that ran on other splits than
    the rest meets `baseline` on those that both ran. Raises ColdstartError for an unknown baseline, metric or unit.
    """
    if not isinstance(metric, str):
        return pd.concat([compare(results, baseline, metric=one, unit=unit) for one in metric], ignore_index=True)
    if unit not in ("user", "seed"):
        raise ColdstartError(f"unit: expected 'user' or 'seed', got {unit!r}")
    if metric not in results:
        raise ColdstartError(f"metric: expected a column of the results, got {metric!r}")
    ran = {name: set(part["seed"]) for name, part in results.groupby("model", sort=False)} if "seed" in results else {}
    if baseline in ran and any(seeds != ran[baseline] for seeds in ran.values()):
        rows = []
        for name, seeds in ran.items():
            pair = results[results["model"].isin([baseline, name]) & results["seed"].isin(seeds & ran[baseline])]
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
