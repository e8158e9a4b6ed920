"""People as items: friends and topics recommended to a newcomer, from a sentence, from one choice, from one friend."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.matrices import feedback, place_in_row
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.content import left_out
from ..models.k_shot import by_ratings
from ..models.scores import mixture
from . import study
from .claims import ridge_from_profile
from .ranking import Scorer, from_items

Array = np.ndarray


def friend_split(A: sparse.csr_matrix, new: Array, seed: int) -> Split:
    """Hide all friendships of the people `new`, reveal one of each with a known person, ask for their others.

    A [people, people] is symmetric: rows and columns of newcomers both go, else a friend's row would tell. Raises
    ColdstartError if A is not square, or nothing is left to ask for.
    """
    A = feedback(A)
    if A.shape[0] != A.shape[1]:
        raise ColdstartError(f"friends: expected a square matrix of people, got the shape {A.shape}")
    fresh = np.zeros(A.shape[0], bool)
    fresh[new] = True
    known = sparse.diags_array((~fresh).astype(float))
    train = sparse.csr_matrix(known @ A @ known)
    rest = sparse.csr_matrix(sparse.diags_array(fresh.astype(float)) @ A @ known).tocoo()
    candidates = np.flatnonzero(np.diff(train.tocsc().indptr))
    kept = np.isin(rest.col, candidates)
    row, col = rest.row[kept], rest.col[kept]
    first = place_in_row(row, np.random.default_rng(seed)) == 0
    support, test = (
        sparse.csr_matrix((np.ones(part.sum()), (row[part], col[part])), A.shape) for part in (first, ~first)
    )
    if not test.nnz or not train.nnz:
        raise ColdstartError("friends: nothing is left to ask for; newcomers need two known friends")
    users, shuffled = np.flatnonzero(np.diff(test.indptr)), np.random.default_rng([seed, 2]).permutation(candidates)
    return Split("k_shot_users", seed, train, test, shuffled, users, support)


def friend_folds(A: sparse.csr_matrix, n: int = 5, *, seed: int = 0) -> list[study.Fold]:
    """Return `n` folds in which everybody with two friends is new once; settings are chosen among the known people."""
    able = np.flatnonzero(np.diff(feedback(A).indptr) > 1)
    folds = []
    for number, new in enumerate(np.array_split(np.random.default_rng(seed).permutation(able), n)):
        outer = friend_split(A, new, number)
        old = np.setdiff1d(able, new)
        trial = np.random.default_rng([seed, number]).choice(old, len(old) // 5, replace=False)
        folds.append(study.Fold(outer, (friend_split(outer.train, trial, 1000 + number),)))
    return folds


def everybody(split: Split) -> Scorer:
    """Return the scorer that gives all the same list, the most chosen first."""
    return from_items(np.asarray(split.train.sum(axis=0)).ravel())


def friends_of_friends(split: Split) -> Scorer:
    """Return the scorer of how many friends of the revealed friend somebody shares, those friends themselves first."""
    A = split.train
    return lambda users, items: (split.support[users] @ (A + 0.1 * (A @ A)))[:, items].toarray()


def nearest_people(K: Array) -> study.Arm:
    """Return the method that trains nothing: the known people most like the newcomer by K [people, people]."""
    return study.Arm(lambda split: lambda users, items: K[np.ix_(users, items)])


def bridge_to_people(K: Array) -> study.Arm:
    """Return the bridge with people as items: ridge from what they are like, K [people, people], to who chose them."""
    return study.Arm(lambda split, reg: ridge_from_profile(split, K, reg), {"reg": 10.0})


def friend_methods(known: Mapping[str, Array]) -> dict[str, study.Method]:
    """Return the methods that rank known people for a newcomer, by name, from kernels of people [people, people].

    `known`: 'a sentence', 'one choice' and 'all choices', as far as they exist. With 'all choices' the last method
    joins them with one friend.
    """
    methods: dict[str, study.Method] = {"everybody's list": study.Arm(everybody)}
    methods |= {name: bridge_to_people(K) if name != "one choice" else nearest_people(K) for name, K in known.items()}
    methods["one friend"] = study.Arm(friends_of_friends)
    if (K := known.get("all choices")) is not None:

        def both(split: Split, reg: float) -> Scorer:
            parts = (ridge_from_profile(split, K, reg), friends_of_friends(split))
            return lambda users, items: mixture([part(users, items) for part in parts])

        methods["one friend and all choices"] = study.Arm(both, {"reg": 10.0})
    return methods


def topic_methods(known: Mapping[str, Array]) -> dict[str, study.Method]:
    """Return the methods that rank topics for a newcomer, by name: from choices, or from one topic already given.

    'one choice' counts the topics of those who made it too; 'all choices' is the bridge.
    """
    one, every = known["one choice"], known["all choices"]
    methods: dict[str, study.Method] = {
        "everybody's list": study.Arm(everybody),
        "one choice": study.Arm(lambda split: lambda users, items: one[users] @ split.train[:, items]),
        "all choices": bridge_to_people(every),
    }
    return methods | {"one topic": study.Arm(partial(by_ratings, k=1), {"reg": 30.0, "alpha": 10.0})}


def first_choice(values: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return users × items with the largest value of each user only, as a 1."""
    rows = np.flatnonzero(np.diff(values.indptr))
    best = np.asarray(values[rows].argmax(axis=1)).ravel()
    return sparse.csr_matrix((np.ones(len(rows)), (rows, best)), shape=values.shape)


def group_of_topic(X: sparse.csr_matrix, topics: sparse.csr_matrix, known: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return users × groups with a 1 for the group that each user chose most among those with a topic in `known`.

    X [users, groups] counts choices, `topics` [groups, topics] says what a group is about, `known` [users, topics] what
    a user has revealed: the group tells that topic and, by itself, no other.
    """
    allowed = sparse.csr_matrix(X.multiply((known @ topics.T).astype(bool)))
    allowed.eliminate_zeros()
    return first_choice(allowed)


def group_methods(X: sparse.csr_matrix, topics: sparse.csr_matrix, K: Array) -> dict[str, study.Method]:
    """Return the methods that rank topics for a newcomer who reveals one topic, or a group about it, by name.

    X and `topics` as in `group_of_topic`; K [groups, groups] says how alike the names of groups are. 'one group' takes
    the topics of those who went there, drawn to everybody's by `pull` people; 'a new group's name' what the bridge from
    the names of all other groups says of it, as if nobody had been there yet.
    """
    went = sparse.csr_matrix(X.astype(bool).astype(float))

    def shares(split: Split, pull: float) -> Array:
        old = sparse.diags_array((np.diff(split.train.indptr) > 0).astype(float))
        met, usual = (went.T @ old @ split.train).toarray(), np.asarray(split.train.mean(axis=0)).ravel()
        return (met + pull * usual) / (np.asarray(old.diagonal() @ went).ravel() + pull)[:, None]

    def one_group(split: Split, pull: float) -> Scorer:
        S, own = shares(split, pull), group_of_topic(X, topics, split.support)
        return lambda users, items: np.asarray(own[users] @ S[:, items])

    def by_name(split: Split, reg: float) -> Scorer:
        S, n = shares(split, 1.0), X.shape[1]
        S = S - left_out(K, S, np.arange(n), reg)
        own = group_of_topic(X, topics, split.support)
        return lambda users, items: np.asarray(own[users] @ S[:, items])

    return {
        "everybody's list": study.Arm(everybody),
        "one topic": study.Arm(partial(by_ratings, k=1), {"reg": 30.0, "alpha": 10.0}),
        "one group": study.Arm(one_group, {"pull": 10.0}),
        "a new group's name": study.Arm(by_name, {"reg": 10.0}),
    }


def most_given(topics: pd.DataFrame, n: int) -> pd.Series:
    """Return the `n` topics that each user gave most often, joined by commas; ties in the order of the file."""
    ordered = topics.sort_values("times", ascending=False, kind="stable")
    return ordered.groupby("user").head(n).groupby("user")["tag"].agg(", ".join)
