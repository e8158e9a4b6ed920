"""What policies are tried on: mixed scores, lists, and their measures."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue import splits
from ..measure import metrics, ranking
from ..models import longtail
from .belief import TOP_K, _als, _belief

Array = np.ndarray

DIALS = ("text", "popularity", "diversity", "exploration")


def _bench(X: sparse.csr_matrix, features: Array, vectors: Array, tail: Array) -> SimpleNamespace:
    """Return what policies are tried on: 300 users of a warm split, scores by ALS and text, chapter 06's front."""
    split, rng = splits.warm(X, 0), np.random.default_rng(0)
    items, users = split.warm_items, np.sort(rng.permutation(split.users)[:300])
    U, V = _als(split.train, items)
    known, wanted = (matrix[users][:, items].toarray() > 0 for matrix in (split.train, split.test))
    plain, text = U[users] @ V[items].T, U[users] @ _belief(V, items, features, U).guess(features)[items].T
    fame = np.log1p(np.asarray(split.train.sum(axis=0)).ravel()[items])[None]
    als, text, fame = (
        (s - s.mean(1, keepdims=True)) / np.maximum(s.std(1, keepdims=True), 1e-12) for s in (plain, text, fame)
    )
    k = min(TOP_K, int((~known).sum(axis=1).min()))
    strays = metrics.top_k(np.where(known, -1.0, rng.random(known.shape)), k), rng.random((len(users), k))
    bench = SimpleNamespace(items=items, als=als, text=text, fame=fame, known=known, wanted=wanted, k=k, strays=strays,
                            alike=vectors[items] @ vectors[items].T, tail=tail[items], seen={})  # fmt: skip
    tried = product((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.33, 0.67, 1.0), (0.0, 0.5), (0.0, 0.2))
    bench.grid = pd.DataFrame([_outcome(bench, dials)[2] for dials in tried])
    dial = [m for m in (0, 1, 2, 3, 4, 6, 8, 11, 14, 17, 20) if m <= min(k, bench.tail.sum())]
    plain = np.where(known, -1e6, plain)
    priced = (metrics.top_k(longtail.reserve(plain, bench.tail, m, k, each=False), k) for m in dial)
    bench.front = pd.DataFrame([_measures(bench, lists)[1] for lists in priced])
    return bench


def _outcome(bench: SimpleNamespace, dials: tuple[float, ...]) -> tuple[Array, Array, dict[str, float]]:
    """Return the lists [users, k] of a policy, NDCG of each user, and dials and measures."""
    if dials not in bench.seen:
        text, fame, diversity, exploration = dials
        score = (1 - text) * bench.als + text * bench.text - fame * bench.fame
        score[bench.known] = -np.inf
        lists = ranking.mmr(score, bench.alike, bench.k, diversity) if diversity else metrics.top_k(score, bench.k)
        stray, chance = bench.strays
        lists = np.where((chance < exploration) & ~(stray[:, :, None] == lists[:, None]).any(axis=2), stray, lists)
        ndcg, measures = _measures(bench, lists)
        bench.seen[dials] = lists, ndcg, dict(zip(DIALS, dials)) | measures
    return bench.seen[dials]


def _measures(bench: SimpleNamespace, lists: Array) -> tuple[Array, dict[str, float]]:
    hits = np.take_along_axis(bench.wanted, lists, axis=1)
    ndcg = metrics.ndcg_at_k(hits, bench.wanted.sum(axis=1), bench.k)
    variety = _variety(bench.alike[lists[:, :, None], lists[:, None]])
    coverage = metrics.coverage(lists, len(bench.items))
    return ndcg, {"ndcg": ndcg.mean(), "tail": bench.tail[lists].mean(), "variety": variety, "coverage": coverage}


def _variety(alike: Array) -> float:
    k = alike.shape[-1]
    return float(1 - (alike.sum(axis=(-1, -2)) - k).mean() / max(k * (k - 1), 1))
