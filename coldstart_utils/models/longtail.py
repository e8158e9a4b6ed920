"""Who is rated and who is recommended: bands of popularity, fronts and quotas, weights, exploration."""

from __future__ import annotations

import numpy as np

from ..ground import ColdstartError

Array = np.ndarray

POLICIES = ("greedy", "thompson", "ucb")


# --- Bands and fronts ------------------------------------------------------------------------------------------------


def popularity_bands(counts: Array, *, head: float = 0.5, middle: float = 0.3) -> dict[str, Array]:
    """Return the items of 'head', 'middle' and 'tail', most popular first, from their `counts` [items].

    The head are the fewest items that take the share `head` of all counts, the middle the next that take `middle`;
    ties go to the smaller id, and items without a count to no band. Raises ColdstartError for counts that are negative
    or not finite, and for shares that leave a band empty.
    """
    counts = np.asarray(counts, float)
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ColdstartError("popularity_bands: expected counts of 0 or more, found a negative value or NaN")
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    before = (np.cumsum(counts[order]) - counts[order]) / max(counts.sum(), 1e-12)
    band = (before >= head - 1e-12).astype(int) + (before >= head + middle - 1e-12)
    bands = {name: order[band == n] for n, name in enumerate(("head", "middle", "tail"))}
    if empty := [name for name, items in bands.items() if not len(items)]:
        raise ColdstartError(f"popularity_bands: shares of {head} and {middle} leave no item for the {empty[0]}")
    return bands


def reserve(scores: Array, members: Array, m: int, k: int, *, each: bool) -> Array:
    """Return `scores` [users, items] plus the least bonus μ at which `members` [items] hold m of the k best places.

    The j-th place of a user costs c_uj = s_{k−j+1} − t_j, s the others and t the members from the best down. each=True:
    m places in every list, μ_u = c_um (a quota). each=False: m on average at one price for all, μ the (m·users)-th
    least cost of all; no other lists with as many members have a larger sum of scores. Members who hold their places
    already get no bonus. Raises ColdstartError for m not in 0 … k or more than the members there are.
    """
    if not 0 <= m <= min(k, members.sum()):
        raise ColdstartError(f"reserve: expected 0 to {min(k, members.sum())} places, got {m}")
    # In single precision the least bonus that decides would be lost.
    scores = np.asarray(scores, float)
    if m == 0 or members.all():
        return scores
    cost = _best(scores[:, ~members], k)[:, ::-1] - _best(scores[:, members], k)
    price = cost[:, m - 1 : m] if each else np.partition(cost, m * len(cost) - 1, axis=None)[m * len(cost) - 1]
    # A price that only draws level would leave the place to the rule for ties.
    return scores + np.where(price >= 0, price + 1e-9 * (1 + np.abs(price)), 0) * members


def _best(scores: Array, k: int) -> Array:
    top = -np.sort(np.partition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k], axis=1)
    return np.pad(top, ((0, 0), (0, k - top.shape[1])), constant_values=-np.inf)


def hypervolume(points: Array, reference: tuple[float, float] = (0.0, 0.0)) -> float:
    """Return the area that `points` [n, 2], larger is better, dominate above `reference` (Zitzler & Thiele 1999).

    Raises ColdstartError for points that are not pairs of finite numbers.
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ColdstartError(f"hypervolume: expected finite points of two numbers, got the shape {points.shape}")
    area = reached = 0.0
    for x, y in sorted(np.maximum(points - reference, 0), key=lambda point: -point[0]):
        area += x * max(y - reached, 0.0)
        reached = max(y, reached)
    return float(area)


# --- Weights for the least-squares loss ------------------------------------------------------------------------------


def inverse_propensity(counts: Array, power: float) -> Array:
    """Return weights [items] 1/p, p ∝ counts^power, the chance to be seen (Schnabel et al. 2016; Saito et al. 2020).

    Scaled so that the mean over all interactions is 1; items without a count weigh as if they had one. Raises
    ColdstartError for a negative power.
    """
    if power < 0:
        raise ColdstartError(f"power: expected a number of 0 or more, got {power!r}")
    return _per_interaction(counts, np.maximum(np.asarray(counts, float), 1) ** -power)


def effective_number(counts: Array, beta: float) -> Array:
    """Return weights [items] 1/E, E = (1 − βⁿ)/(1 − β), the effective number of n samples (Cui et al. 2019).

    β = 0 weighs all alike, β → 1 by 1/n. Scaled so that the mean over all interactions is 1. Raises ColdstartError
    for β outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ColdstartError(f"beta: expected 0 or more and less than 1, got {beta!r}")
    return _per_interaction(counts, (1 - beta) / (1 - beta ** np.maximum(np.asarray(counts, float), 1)))


def _per_interaction(counts: Array, weights: Array) -> Array:
    return weights * np.sum(counts) / max(weights @ counts, 1e-12)


# --- Exploration -----------------------------------------------------------------------------------------------------


def replay(
    choices: Array, U: Array, mean: Array, covariance: Array, *, noise: float, policy: str, setting: float = 0.0,
    visits: int = 4, places: int = 5, seed: int = 0,
) -> Array:  # fmt: skip
    """Return at which visit each new item was shown to each user, 0, 1, …, and the number of visits for never.

    Users U [users, r] come in random order, `visits` times each, and see the `places` best items that are new to them;
    `choices` [users, new] tells which they take. For each item v ~ N(mean, covariance), x = u·v + e, e ~ N(0, noise),
    updated after each showing. 'greedy' ranks by u·v and fills a place at random with chance `setting` (ε); 'ucb' adds
    `setting` standard deviations (Li et al. 2010); 'thompson' draws (Thompson 1933). Raises ColdstartError for another
    policy or a noise of 0.
    """
    if policy not in POLICIES or not noise > 0:
        raise ColdstartError(f"replay: expected {', '.join(POLICIES)} and noise above 0, got {policy!r}, {noise!r}")
    rng = np.random.default_rng(seed)
    mean, spread = mean.astype(float), np.repeat(covariance[None].astype(float), len(mean), axis=0)
    queue = np.concatenate([rng.permutation(len(U)) for _ in range(visits)])
    when = np.full(choices.shape, len(queue))
    for visit, user in enumerate(queue):
        u, fresh = U[user].astype(float), when[user] == len(queue)
        across = (spread.reshape(-1, len(u)) @ u).reshape(mean.shape)
        expected, variance = mean @ u, np.maximum(across @ u, 0)
        index = expected + (setting * np.sqrt(variance) if policy == "ucb" else 0)
        if policy == "thompson":
            index = rng.normal(expected, np.sqrt(variance))
        elif policy == "greedy":
            index[rng.permutation(np.flatnonzero(fresh))[: rng.binomial(places, setting)]] = np.inf
        index[~fresh] = -np.inf
        shown = np.argsort(-index)[: min(places, fresh.sum())]
        gain = across[shown] / (variance[shown] + noise)[:, None]
        mean[shown] += gain * (choices[user, shown] - expected[shown])[:, None]
        spread[shown] -= gain[:, :, None] * across[shown][:, None, :]
        when[user, shown] = visit
    return when
