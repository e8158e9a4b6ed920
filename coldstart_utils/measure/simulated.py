"""A world in which everybody's preferences are known, and a log of it that favours fame: what do tests on it say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, sparse

from ..catalogue.matrices import feedback
from ..ground import ColdstartError
from ..models.als import als_implicit
from .metrics import gini

Array = np.ndarray
RULES = ("as logged", "divided by p", "truth")


@dataclass(frozen=True, eq=False)
class World:
    """`liking` [users, items] is the chance that a user would take an item if they saw it, `seen` [items] the chance
    that they see it: the propensity.
    """

    liking: Array
    seen: Array


def world(X: sparse.csr_matrix, *, items: int = 500, power: float = 0.5, least: float = 0.02) -> World:
    """Return the world made of choices X [users, items]: tastes as ALS finds them, and fame that only shows.

    Of the best-known `items`, the scores of ALS are standardised item by item, so that no item is better than another,
    only liked by others; a user takes 12 % of the items on average. The chance to be seen is (n_i/largest)^power,
    `least` or more. Raises ColdstartError for a power below 0, a `least` outside (0, 1], and items that are all chosen
    equally often.
    """
    if not 0 <= power < np.inf or not 0 < least <= 1:
        raise ColdstartError(f"world: expected a power of 0 or more and a least chance in (0, 1], got {power}, {least}")
    X = feedback(X)
    counts = np.diff(X.tocsc().indptr)
    kept = np.sort(np.argsort(-counts, kind="stable")[:items])
    if np.ptp(counts[kept]) == 0:
        raise ColdstartError(f"world: expected items of unequal fame, found that all have {counts[kept[0]]} choices")
    X = X[:, kept]
    factors = als_implicit(X, rank=min(16, *X.shape), reg=10.0, sweeps=5)
    F = factors.U @ factors.V.T
    F = (F - F.mean(axis=0)) / np.maximum(F.std(axis=0), 1e-9)
    liking = 1 / (1 + np.exp(2.5 - 1.5 * F))
    return World(liking, np.clip((counts[kept] / max(counts.max(), 1)) ** power, least, 1.0))


@dataclass(frozen=True, eq=False)
class Logged:
    """What is logged of a world, users × items: `known` and `asked` are clicks, `truth` is liked and not known.

    Of the liked, a user sees each with the chance `seen`: once for what is known, once for what is asked.
    """

    known: Array
    asked: Array
    truth: Array


def logged(of: World, rng: np.random.Generator) -> Logged:
    """Return one log of a world, drawn anew."""
    liked = rng.random(of.liking.shape) < of.liking
    known = liked & (rng.random(liked.shape) < of.seen)
    asked = liked & ~known & (rng.random(liked.shape) < of.seen)
    return Logged(known, asked, liked & ~known)


def scorers(log: Logged, seen: Array, *, rank: int = 16, floor: float = 0.1) -> dict[str, Array]:
    """Return scores [users, items] of four rankings that learn from what is known.

    'fame' counts. The others are least squares of low rank (the largest `rank` singular directions, Eckart & Young
    1936) on the clicks y, on y/√p, and on y/p. The last is unbiased: for squared errors the loss of Saito et al.
    (2020), y/p·(1 − f)² + (1 − y/p)·f², is (f − y/p)² but for what does not depend on f. p below `floor` counts as
    `floor`.
    """
    y = log.known.astype(np.float32)
    p = np.maximum(seen, floor).astype(np.float32)
    fame = np.broadcast_to(y.sum(axis=0), y.shape)
    targets = {"on y": y, "on y/√p": y / np.sqrt(p), "on y/p": y / p}
    return {"fame": fame} | {name: low_rank(target, rank) for name, target in targets.items()}


def low_rank(Y: Array, rank: int) -> Array:
    """Return the matrix of that rank nearest to Y [n, m], from the eigenvectors of the smaller product of Y."""
    wide = Y.shape[0] < Y.shape[1]
    gram = Y @ Y.T if wide else Y.T @ Y
    n = len(gram)
    _, top = linalg.eigh(gram, subset_by_index=[max(0, n - rank), n - 1])
    return top @ (top.T @ Y) if wide else (Y @ top) @ top.T


def offline(of: World, log: Logged, scores: Mapping[str, Array], *, k: int = 20) -> pd.DataFrame:
    """Return recall at k of each ranking by three `RULES`: of the clicks asked, of these divided by p, of all liked.

    Clicks divided by p are a ratio of two weighted sums for each user (SNIPS; Yang et al. 2018). Columns: model, rule,
    user, recall; users without a click asked are left out of the first two rules.
    """
    frames = []
    for name, one in scores.items():
        ranked = np.where(log.known, -np.inf, one)
        place = min(k, ranked.shape[1]) - 1
        listed = ranked >= -np.partition(-ranked, place, axis=1)[:, [place]]
        for rule, wanted in zip(RULES, (log.asked * 1.0, log.asked / of.seen, log.truth * 1.0)):
            total = wanted.sum(axis=1)
            recall = (wanted * listed).sum(axis=1) / np.where(total > 0, total, np.nan)
            frames.append(pd.DataFrame({"model": name, "rule": rule, "user": np.arange(len(total)), "recall": recall}))
    return pd.concat(frames, ignore_index=True)


def compared(of: World, seeds: range, *, k: int = 20) -> pd.DataFrame:
    """Return the mean recall of the `scorers` by each rule, a row a model, rule and log drawn (`fold`)."""
    rows = []
    for seed in seeds:
        log = logged(of, np.random.default_rng(seed))
        found = offline(of, log, scorers(log, of.seen), k=k)
        rows.append(found.groupby(["model", "rule"], sort=False)["recall"].mean().reset_index().assign(fold=seed))
    return pd.concat(rows, ignore_index=True)


# --- The loop --------------------------------------------------------------------------------------------------------


def rounds(of: World, explore: float, *, n: int = 8, k: int = 10, new: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """Return what happens when a recommender learns from the clicks on its own lists, `n` rounds long.

    At first there is a log as the world makes it, less a share `new` of the items: they open today. In each round
    every user sees k items that they do not know yet: each place goes to a random one with the chance `explore`, else
    to the best by a low-rank model of all clicks so far. Columns: round, liked (share of places that please), gini of
    what was shown so far, found (share of the new items that five users took). Raises ColdstartError unless explore is
    0 to 1.
    """
    if not 0 <= explore <= 1:
        raise ColdstartError(f"explore: expected 0 to 1, got {explore!r}")
    rng = np.random.default_rng(seed)
    users, items = of.liking.shape
    liked, fresh = rng.random((users, items)) < of.liking, np.less(rng.random(items), new)
    taken = liked & (rng.random(liked.shape) < of.seen) & ~fresh
    known, shown, rows = taken.copy(), np.zeros(items), []
    for number in range(1, n + 1):
        model = low_rank(taken.astype(np.float32), 16)
        drawn = _lists(rng, model, known, explore, k)
        shown += np.bincount(drawn.ravel(), minlength=items)
        pleased = np.take_along_axis(liked, drawn, axis=1)
        np.put_along_axis(taken, drawn, pleased, axis=1)
        np.put_along_axis(known, drawn, True, axis=1)
        found = (taken[:, fresh].sum(axis=0) >= 5).mean() if fresh.any() else 0.0
        rows.append((number, explore, pleased.mean(), gini(shown), found))
    return pd.DataFrame(rows, columns=["round", "explore", "liked", "gini", "found"])


def _lists(rng: np.random.Generator, model: Array, known: Array, explore: float, k: int) -> Array:
    """Return k different items a user [users, k]: the best unknown, but at some places others drawn at random."""
    best = np.where(known, -np.inf, model)
    chance = np.where(known, -np.inf, rng.random(best.shape))
    random_places = rng.binomial(k, explore, size=len(best))
    order, draw = np.argsort(-best, axis=1)[:, :k], np.argsort(-chance, axis=1)[:, : 2 * k]
    lists = order.copy()
    for row in np.flatnonzero(random_places):
        m = random_places[row]
        kept = order[row, : k - m]
        lists[row, k - m :] = draw[row][~np.isin(draw[row], kept)][:m]
    return lists
