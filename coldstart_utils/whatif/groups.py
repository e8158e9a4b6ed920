"""Groups of users: by age, by occupation, by taste; and how well lists of new users do, by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue import splits
from ..catalogue.dataset import Dataset
from ..measure import ranking
from ..models import evidence
from ..models.content import unit_rows
from .belief import TOP_K, USER, believed, factors
from .reading import one_hot

Array = np.ndarray

AGES = {17: "–17", 24: "18–24", 34: "25–34", 44: "35–44", 54: "45–54", 999: "55–"}
SHOTS = (0, 1, 2, 3, 5, 10, 20)
TASTES, OCCUPATIONS = 6, 8


def age_group(age: float) -> str | None:
    """Return the name of the group of an age, None for 0 or less."""
    return next((name for top, name in AGES.items() if 0 < age <= top), None)


def grouped(dataset: Dataset, U: Array, genres: list[str] | None, names: list[str]) -> pd.DataFrame:
    """Return the groups of each user, of factors U [m, rank]: age, the eight largest occupations, a cluster of taste.

    A cluster is named by the `genres` that it chooses more than others do, or by the item if there are no genres.
    """
    groups, users = pd.DataFrame(index=range(len(U))), dataset.users
    if "age" in users and (age := pd.to_numeric(users["age"], errors="coerce")).notna().any():
        groups["age"] = pd.Categorical(age.map(age_group), list(AGES.values()))
    if "occupation" in users:
        large = users["occupation"].value_counts().index[:OCCUPATIONS]
        groups["occupation"] = pd.Categorical(users["occupation"].where(users["occupation"].isin(large)), large)
    groups["taste"] = _tastes(dataset, U, genres, names)
    return groups


def _tastes(dataset: Dataset, U: Array, genres: list[str] | None, names: list[str]) -> pd.Categorical:
    from sklearn.cluster import KMeans

    X, n = dataset.matrix(), max(1, min(TASTES, len(U) // 5))
    cluster = KMeans(n, n_init=3, random_state=0).fit_predict(unit_rows(U))
    chosen = np.stack([np.asarray(X[cluster == c].sum(axis=0)).ravel() for c in range(n)])
    if genres:
        chosen = chosen @ one_hot(dataset.items["genres"], genres)
    share = (1 + chosen) / (1 + chosen).sum(axis=1, keepdims=True)
    # What adds most to the divergence of the cluster from the mean of all.
    order = np.argsort(-share * np.log(share / share.mean(axis=0)), axis=1)
    labels = [_label(c, [(genres or names)[i] for i in row[: 2 if genres else 1]]) for c, row in enumerate(order)]
    return pd.Categorical.from_codes(cluster, labels)


def _label(number: int, words: list[str]) -> str:
    return f"{number + 1} · {', '.join(word[:16] for word in words)}"


def members(groups: pd.DataFrame) -> pd.DataFrame:
    """Return which user is in which group as ones and zeros [users, (kind, group)]."""
    return pd.concat({kind: pd.get_dummies(groups[kind], dtype=float) for kind in groups}, axis=1)


def recall_by_shots(X: sparse.csr_matrix, profile: Array, seed: int) -> pd.DataFrame:
    """Return Recall@20 of held-out users [user, k, recall] after k of their choices, by the belief of the panel.

    X [users, items] are the interactions, `profile` [users, d] vectors of what is said about users, or [users, 0].
    """
    U, V = factors(splits.k_shot_users(X, seed, k=0).train, np.arange(X.shape[1]))
    belief = believed(unit_rows(U) / 2, np.flatnonzero(U.any(axis=1)), profile, V)
    parts = []
    for k in (k for k in SHOTS if k < 0.9 * X.nnz / X.shape[0]):
        split = splits.k_shot_users(X, seed, k=k)
        x = evidence.posterior(split.support, V, belief.guess(profile), belief.covariance, **USER)
        found = ranking.evaluate({"": ranking.from_factors(x, V)}, split, k=TOP_K)
        parts.append(found[["user", "recall"]].assign(k=k))
    return pd.concat(parts)
