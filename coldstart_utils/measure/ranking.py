"""Full ranking of any `score(users, items)`, per user, as tidy frames, and who is shown by it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.splits import Split
from ..ground import ColdstartError
from . import metrics

Array = np.ndarray
log = logging.getLogger("coldstart")

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


def oracle_popularity(split: Split) -> Scorer:
    """Return the scorer that cheats: one list for all, ordered by how many users choose each item in the test."""
    return from_items(np.asarray(split.test.sum(axis=0)).ravel())


def evaluate(
    scorers: Mapping[str, Scorer],
    split: Split,
    *,
    k: int = 20,
    bands: Mapping[str, Array] | None = None,
    recall_at: Sequence[int] = (),
) -> pd.DataFrame:
    """Return one row per model and tested user: model, fold, user, and recall, precision, f1, ndcg, mrr, hit_rate at k.

    All candidates are ranked (never a sample of negatives), less those the user is known to have chosen.
    `tail_recall` is recall of the less popular half of the candidates, NaN for users who want none of them; so is
    `recall <name>` for each of the `bands` (name → items). `novelty` is the mean of −log2 p of the list, bits. It and
    the tail count test interactions: cold items have no others. `recall@n` is the recall of a list of each other length
    n in `recall_at`. Raises ColdstartError for scores of a wrong shape or not finite.
    """
    users, candidates = split.users, split.candidates
    relevant = sparse.csr_matrix(split.test[users][:, candidates])
    n_relevant = np.diff(relevant.indptr)
    popularity = np.asarray(relevant.astype(bool).sum(axis=0)).ravel()
    parts = {"tail_recall": popularity <= np.median(popularity)}
    parts |= {f"recall {name}": np.isin(candidates, items) for name, items in (bands or {}).items()}
    wanted = {name: np.asarray(relevant.astype(bool)[:, part].sum(axis=1)).ravel() for name, part in parts.items()}
    known = (split.train + split.support)[users][:, candidates].tocoo()
    if k > len(candidates):
        _say_that_all_are_ranked(k)
    k, deepest = min(k, len(candidates)), min(max(k, *recall_at, 0), len(candidates))
    frames = []
    for name, scorer in scorers.items():
        ranked = metrics.top_k(_scores(name, scorer, users, candidates, known), deepest)
        hits = metrics.hit_matrix(ranked, relevant)
        of_lengths = {f"recall@{n}": metrics.recall_at_k(hits, n_relevant, n) for n in recall_at}
        ranked, hits = ranked[:, :k], hits[:, :k]
        of_lists = _measured(hits, n_relevant) | _of_parts(hits, ranked, parts, wanted) | of_lengths
        novelty = metrics.novelty(ranked, popularity)
        frames.append(pd.DataFrame({"model": name, "fold": split.seed, "user": users, **of_lists, "novelty": novelty}))
    return pd.concat(frames, ignore_index=True)


def _measured(hits: Array, n_relevant: Array) -> dict[str, Array]:
    """Return the measures of lists from their `hits` [users, k]."""
    k = hits.shape[1]
    return {
        "recall": metrics.recall_at_k(hits, n_relevant, k),
        "precision": metrics.precision_at_k(hits, k),
        "f1": metrics.f1_at_k(hits, n_relevant, k),
        "ndcg": metrics.ndcg_at_k(hits, n_relevant, k),
        "mrr": metrics.mrr_at_k(hits, k),
        "hit_rate": metrics.hit_rate_at_k(hits, k),
    }


def _of_parts(hits: Array, ranked: Array, parts: Mapping[str, Array], wanted: Mapping[str, Array]) -> dict[str, Array]:
    """Return the recall of each part of the candidates (name → mask), NaN for who wants none of it."""
    found = {}
    for name, part in parts.items():
        recall = metrics.recall_at_k(hits & part[ranked], wanted[name], hits.shape[1])
        found[name] = np.where(wanted[name] > 0, recall, np.nan)
    return found


@lru_cache(maxsize=64)
def _say_that_all_are_ranked(k: int) -> None:
    log.warning("lists of %s are asked for, and there are fewer candidates: all of them are ranked", k)


def mmr(scores: Array, alike: Array, k: int, diversity: float) -> Array:
    """Return lists [users, k] by maximal marginal relevance (Carbonell & Goldstein 1998): good and unlike each other.

    Place by place enters the item with the largest (1 − diversity)·score − diversity·(similarity to the nearest item in
    the list). Only the 3k best of each user may enter; their `scores` [users, items] are scaled to 0 … 1, and −inf bars
    an item. `alike` [items, items] are similarities; one below 0 counts as 0. Raises ColdstartError for a diversity
    outside 0 … 1.
    """
    if not 0 <= diversity <= 1:
        raise ColdstartError(f"mmr: expected a diversity of 0 to 1, got {diversity!r}")
    scores, alike = np.asarray(scores, float), np.asarray(alike, float)
    pool = metrics.top_k(scores, min(3 * k, int(np.isfinite(scores).sum(axis=1).min())))
    rows, worth = np.arange(len(pool)), np.take_along_axis(scores, pool, 1)
    worth = (1 - diversity) * (worth - worth[:, -1:]) / np.maximum(worth[:, :1] - worth[:, -1:], 1e-12)
    nearest, chosen = np.zeros(pool.shape), []
    for _ in range(min(k, pool.shape[1])):
        chosen.append(best := np.argmax(worth - diversity * nearest, axis=1))
        worth[rows, best] = -np.inf
        nearest = np.maximum(nearest, alike[pool[rows, best][:, None], pool])
    return np.take_along_axis(pool, np.stack(chosen, axis=1), axis=1)


def diversified(scorer: Scorer, alike: Array, k: int, diversity: float) -> Scorer:
    """Return the scorer that ranks the list of `mmr` first, in its order; `alike` [all items, all items]."""

    def scores(users: Array, items: Array) -> Array:
        lists = mmr(scorer(users, items), alike[np.ix_(items, items)], k, diversity)
        result = np.zeros((len(users), len(items)))
        result[np.arange(len(users))[:, None], lists] = np.arange(lists.shape[1], 0, -1)
        return result

    return scores


def two_stages(first: Scorer, second: Scorer, candidates: int) -> Scorer:
    """Return the scorer that lets `first` pick as many `candidates` for each user, and ranks those by `second`.

    Raises ColdstartError for fewer than one.
    """
    if candidates < 1:
        raise ColdstartError(f"two_stages: expected 1 candidate or more, got {candidates!r}")

    def scores(users: Array, items: Array) -> Array:
        picked, ranked = (np.asarray(stage(users, items), float) for stage in (first, second))
        last = np.sort(picked, axis=1)[:, [-min(candidates, len(items))]]
        return np.where(picked >= last, ranked, ranked - np.ptp(ranked) - 1)

    return scores


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
