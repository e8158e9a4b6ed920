"""The recipe for new users: what a profile says at first, and each choice from the first one on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..catalogue.matrices import entries_less, feedback, places, some_of_each_row
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.carried import Joint, Setting, Student, check_memory
from ..models.evidence import empirical_prior, posterior
from ..models.held_out import random_groups, student_misses, student_without, teacher
from ..models.k_shot import known_sides
from ..models.likeness import Likeness
from .choosing import Found, Outcome, chosen, joint_kernel, outcome_of
from .ranking import Scorer

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix
FEW, LEAST = 1_400, 10  # users that profiles are chosen on; users needed
SHOTS = (1, 5)
PENALTIES = (30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5)  # the last hardly differs from counting what goes together
SHARES = (0.03, 0.1, 0.3, 1.0, 3.0)
NOISES, SILENCE = (0.1, 0.03, 0.01, 0.003), 0.03  # of the posterior, from where chapter 07 begins its search downwards
A_FEW = 2  # choices, up to which the blend for one counts
WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class ProfileTrial:
    """Known users of X [users, items] who play new in turn, told by their profiles alone, for settings to compare."""

    numbers: tuple[str, ...] = ("reg", "spread")

    def __init__(self, X: sparse.csr_matrix, cosines: Mapping[str, Array], seed: int = 0) -> None:
        self.cosines, self.people, self.X = cosines, X, sparse.csr_matrix(X.T)
        self.groups = random_groups(X.shape[0], 5, seed=seed)

    def outcomes(self, setting: Setting, best: Sequence[Outcome] = ()) -> Found:
        """Return the outcome of a setting, under its own and fame, which have no part in it; there is no race."""
        M = student_misses(joint_kernel(self.cosines, setting), setting.reg)
        items = np.arange(self.people.shape[1])
        by_item, by_user, lists = np.zeros(len(items)), np.zeros(self.people.shape[0]), 0
        for group in self.groups:
            scores = student_without(M, group) @ self.people[group.others]
            wanted = self.people[group.items].tocoo()
            found = outcome_of(np.asarray(scores), wanted.row, wanted.col, items, len(items))
            by_item, lists = by_item + found.items, lists + found.lists
            by_user[group.items] = found.users
        return {(setting.own, setting.fame): [Outcome(by_item, by_user, lists)]}


@dataclass(frozen=True)
class Blend:
    """How answers are added: EASE with `penalty`, `weight` of the guess, `share` of the posterior with `noise`."""

    penalty: float
    weight: float
    share: float = 0.0
    noise: float = NOISES[0]

    @property
    def told(self) -> str:
        """Return the blend in words."""
        belief = f", and the posterior of the factors with {self.share:g}" if self.share else ""
        return f"EASE with penalty {self.penalty:.0f}, the guess with weight {self.weight:.2g}{belief}"


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of a new user's factors: `V` [items, rank] of the items, mean and covariance of known users."""

    V: Array
    mean: Array
    covariance: Array

    @classmethod
    def of(cls, X: sparse.csr_matrix) -> Belief:
        """Return the belief learnt from the users of X [users, items]."""
        known = known_sides(X, users_are_new=True)
        mean, covariance = empirical_prior(known.own, known.old)
        return cls(known.other, mean[0], covariance)

    def scores(self, choices: sparse.csr_matrix, noise: float) -> Array:
        """Return the scores [rows, items] of the posterior after `choices` [rows, items], silence counted as a no."""
        prior = np.tile(self.mean, (choices.shape[0], 1))
        factors = posterior(choices, self.V, prior, self.covariance, noise=noise, silence=SILENCE / noise)
        return np.asarray(factors @ self.V.T, np.float32)


@dataclass(frozen=True, eq=False)
class Newcomers:
    """Scores of known items for people given by profile and choices: a `Blend` of what three answers say.

    EASE says what goes with each choice (`B`, by penalty), the guess what people with a like profile choose (without
    profiles, or where none helped, all people), and a `belief` about factors what both say together. `few` is the blend
    for one or two choices, `more` that for others. `after` is NDCG@20 with 1 and 5 choices on users who played new.
    """

    B: Mapping[float, Array]
    known: sparse.csr_matrix
    bridge: Student | None
    belief: Belief
    few: Blend
    more: Blend
    after: tuple[float, float]

    def guess(self, users: Array) -> Array:
        """Return what is expected of each of the `users` before a choice [users, items]: parts of people."""
        if self.bridge is None:
            return np.tile(np.asarray(self.known.mean(axis=0)), (len(users), 1))
        return np.asarray(self.bridge.of(users) @ self.known)

    def scores(self, users: Array, choices: sparse.csr_matrix, items: Array) -> Array:
        """Return the scores [users, items] of people in the rows `users` of the profiles, with `choices` [users, all
        items], which may be empty.
        """
        items = places(items, self.known.shape[1])
        choices = feedback(choices, "choices").astype(np.float32)
        scores = self.guess(np.asarray(users))[:, items].astype(np.float32)
        told = np.diff(choices.indptr)
        for blend, rows in ((self.few, (told > 0) & (told <= A_FEW)), (self.more, told > A_FEW)):
            if rows.any():
                own = choices[rows]
                learnt = np.asarray(own @ self.B[blend.penalty][:, items])
                scores[rows] = learnt + np.float32(blend.weight) * scores[rows]
                if blend.share:
                    scores[rows] += np.float32(blend.share) * self.belief.scores(own, blend.noise)[:, items]
        return scores

    @property
    def told(self) -> str:
        """Return in a sentence what was chosen."""
        who = "people with a like profile" if self.bridge is not None else "all people"
        one, five = self.after
        return (
            f"The guess is what {who} choose. With one or two choices: {self.few.told}; with more: {self.more.told}. "
            f"On users who played new, NDCG@20 {one:.3f} with 1 choice and {five:.3f} with 5."
        )


def newcomers(train: Matrix, profiles: Mapping[str, Matrix] | None = None) -> Newcomers:
    """Return the scorer of known items for new users, which learnt from `train` [users, items] and `profiles`.

    What is not zero is a choice; a user without choices is new. `profiles` are blocks of user features [users, d], by
    name. Nothing is to be set. Raises ColdstartError for fewer than ten known users, profiles that do not fit, NaN, and
    where memory would not suffice.
    """
    X = feedback(train, "train").astype(bool).astype(np.float32)
    old = np.flatnonzero(np.diff(X.indptr))
    if len(old) < LEAST:
        raise ColdstartError(f"newcomers: expected at least {LEAST} users who chose something, got {len(old)}")
    check_memory(16 * X.shape[1] ** 2 + (16 * len(old) ** 2 if profiles else 0))
    bridge = _bridge(X, profiles, old) if profiles else None
    (few, more), after = _balance(X[old], old, bridge)
    B = {penalty: _ease(X, penalty) for penalty in {few.penalty, more.penalty}}
    return Newcomers(B, X[old], bridge, Belief.of(X[old]), few, more, after)


def _bridge(X: sparse.csr_matrix, profiles: Mapping[str, Matrix], old: Array) -> Student:
    likeness = Likeness(profiles, old)
    if likeness.items != X.shape[0]:
        raise ColdstartError(f"newcomers: train has {X.shape[0]} users and the profiles have {likeness.items} rows")
    few = old if len(old) <= FEW else np.sort(np.random.default_rng(0).choice(old, FEW, replace=False))
    cosines = {name: likeness.of(name, few, few) for name in likeness.features}
    setting = chosen(ProfileTrial(X[few], cosines)).setting
    return Student(Joint(likeness, setting.weights, setting.spread), old, setting.reg)


def _balance(
    X: sparse.csr_matrix, old: Array, bridge: Student | None
) -> tuple[tuple[Blend, Blend], tuple[float, float]]:
    """Return the blends with the best NDCG@20 for a fifth of the users, who play new with 1 choice and with 5."""
    rng = np.random.default_rng(0)
    new = np.sort(rng.choice(len(old), max(1, len(old) // 5), replace=False))
    rest = np.setdiff1d(np.arange(len(old)), new)
    guess = np.asarray(X[rest].mean(axis=0)) if bridge is None else _guess_without(X, bridge, new, rest)
    asked = [_revealed(X[new], k, rng) for k in SHOTS]
    learnt = {}
    for penalty in PENALTIES:
        B = _ease(X[rest], penalty)
        learnt[penalty] = [np.asarray(shown @ B) for shown, _ in asked]
    belief = Belief.of(X[rest])
    (few, one), (more, five) = (
        _best_blend(
            {penalty: said[shot] for penalty, said in learnt.items()},
            guess,
            {noise: belief.scores(pair[0], noise) for noise in NOISES},
            pair,
        )
        for shot, pair in enumerate(asked)
    )
    return (few, more), (one, five)


def _best_blend(
    learnt: Mapping[float, Array],
    guess: Array,
    believed: Mapping[float, Array],
    asked: tuple[sparse.csr_matrix, sparse.csr_matrix],
) -> tuple[Blend, float]:
    """Return the best blend of what EASE `learnt` (by penalty) with the `guess`, then with what is `believed` (by
    noise), and its NDCG@20.
    """

    def value(blend: Blend) -> float:
        mixed = learnt[blend.penalty] + np.float32(blend.weight) * guess
        return _value(mixed + np.float32(blend.share) * believed[blend.noise], *asked)

    found = {blend: value(blend) for blend in (Blend(p, w) for p in learnt for w in WEIGHTS)}
    plain = max(found, key=lambda blend: found[blend])
    for weight in {plain.weight, WEIGHTS[0]}:
        further = [Blend(plain.penalty, weight, share, noise) for share in SHARES for noise in NOISES]
        found |= {blend: value(blend) for blend in further}
    best = max(found, key=lambda blend: found[blend])
    return best, found[best]


def _ease(X: sparse.csr_matrix, penalty: float) -> Array:
    # `teachers.ease` in single precision, which takes half the time.
    P = teacher(X, penalty)
    B = -P / np.diagonal(P)
    np.fill_diagonal(B, 0)
    return B


def _guess_without(X: sparse.csr_matrix, bridge: Student, new: Array, rest: Array) -> Array:
    joint, known = bridge.joint, bridge.known
    return np.asarray(Student(joint, known[rest], bridge.reg).of(known[new]) @ X[rest])


def _revealed(X: sparse.csr_matrix, k: int, rng: np.random.Generator) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return k choices of each row at random, and the others."""
    shown = some_of_each_row(X, k, rng)
    return shown, entries_less(X, shown)


def _value(scores: Array, shown: sparse.csr_matrix, asked: sparse.csr_matrix) -> float:
    seen, wanted = shown.tocoo(), asked.tocoo()
    scores = np.array(scores, np.float32)
    scores[seen.row, seen.col] = -np.inf
    return outcome_of(scores, wanted.row, wanted.col, np.arange(scores.shape[1]), scores.shape[1]).mean


@dataclass(frozen=True, eq=False)
class NewcomerRecipe:
    """`newcomers` as a method of a study: it has no knobs, and reads what a k-shot split reveals."""

    profiles: Mapping[str, Matrix] | None = None

    @property
    def knobs(self) -> dict[str, float]:
        """Return nothing: all is chosen inside."""
        return {}

    def fit(self, split: Split) -> Scorer:
        """Return the scorer learnt from `split.train`, which knows what `split.support` reveals."""
        fitted = newcomers(split.train, self.profiles)
        return lambda users, items: fitted.scores(users, split.support[users], items)
