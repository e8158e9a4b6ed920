"""How the recipe chooses: settings are compared on known items that play new, and a step must gain."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from ..models.carried import Setting
from ..models.held_out import (
    Group,
    TeacherWithout,
    random_groups,
    student_misses,
    student_without,
    teacher,
    teacher_without,
)
from ..models.likeness import alignment, chosen_together, product, shares

Array = np.ndarray
K = 20
PARTS = 5
MOST_PAIRS = 3_000_000  # of users and items; beyond, a part of the users is asked
OWN = FAME = (0.0, 0.1, 0.3, 1.0, 3.0)
STEP = 3.0
# Beyond, single precision ends or nothing changes any more.
LIMITS = {"reg": (0.03, 1e3), "spread": (0.05, 50.0), "penalty": (0.5, 1e5)}
Change = Callable[[Setting, float], Setting | None]
SURE = 0.5  # a step must gain so many standard errors
BEHIND = 0.5  # a setting so many standard errors behind, after any group, is given up


@dataclass(frozen=True, eq=False)
class Outcome:
    """NDCG@20 of known items that played new, taken apart: what each item and each user brought, and of how many."""

    items: Array
    users: Array
    lists: int

    @property
    def mean(self) -> float:
        """Return NDCG@20, the mean over the lists."""
        return float(self.items.sum() / self.lists)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.items + other.items, self.users + other.users, self.lists + other.lists)

    def beats(self, other: Outcome, sure: float = SURE) -> bool:
        """Return whether this is better than `other` by more than `sure` standard errors.

        Items and users are both drawn by luck: the variance is the sum of both, each paired.
        """
        gain = self.mean - other.mean
        by_items = _sum_variance((self.items - other.items) / self.lists)
        by_users = _sum_variance((self.users - other.users) / self.lists)
        return gain > max(sure * np.sqrt(by_items + by_users), 1e-6)


Found = dict[tuple[float, float], list[Outcome]]


def sum_of(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of several groups together."""
    return reduce(operator.add, outcomes)


def _sum_variance(parts: Array) -> float:
    return float(np.square(parts - parts.mean()).sum())


@dataclass(frozen=True, eq=False)
class Asked:
    """A group that plays new: who chose what of it (`rows`, `columns`), and the choices of all users among the
    others.
    """

    group: Group
    rows: Array
    columns: Array
    known: sparse.csr_matrix
    average: Array

    def outcome(self, scores: Array, n_items: int) -> Outcome:
        """Return what scores [users, group] are worth: NDCG@20 of those who chose something of the group."""
        return outcome_of(scores, self.rows, self.columns, self.group.items, n_items)


@dataclass(frozen=True, eq=False)
class Said:
    """What a setting says of a group: scores [users, group] by EASE and by choices alone, and those of the average."""

    asked: Asked
    learnt: tuple[Array, Array]
    chosen: tuple[Array, Array]

    @classmethod
    def of(cls, asked: Asked, taught: TeacherWithout, W: Array) -> Said:
        """Return what the student W [group, others] of a teacher says."""
        learnt, chosen = ((asked.known @ each, asked.average @ each) for each in (taught.carried(W), W.T))
        return cls(asked, learnt, chosen)

    def outcome(self, own: float, fame: float, n_items: int) -> Outcome:
        """Return the outcome with shares `own` of the choices and `fame` of the average user."""
        scores, average = (learnt + np.float32(own) * chosen for learnt, chosen in zip(self.learnt, self.chosen))
        return self.asked.outcome(scores + np.float32(fame) * average, n_items)


def outcome_of(scores: Array, rows: Array, columns: Array, items: Array, n_items: int) -> Outcome:
    """Return NDCG@20 of lists by `scores` [users, items] for choices (`rows`, `columns`); ties share their places.

    `items` are the places of the columns among all `n_items`.
    """
    wanted = np.bincount(rows, minlength=len(scores))
    k = min(K, scores.shape[1])
    best = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
    cut, own = best[:, 0], scores[rows, columns]
    near = np.flatnonzero(own >= cut[rows])
    rows, columns, own = rows[near], columns[near], own[near]
    tied = (best[rows] == own[:, None]).sum(axis=1)
    last = np.flatnonzero(own == cut[rows])  # what ties with the last place may stand outside the list too
    tied[last] = (scores[rows[last]] == own[last, None]).sum(axis=1)
    rank = (best[rows] > own[:, None]).sum(axis=1) + (tied - 1) / 2
    ideal = np.cumsum(1 / np.log2(np.arange(2, K + 2)))[np.minimum(wanted[rows], K) - 1]
    gain = np.where(rank < K, 1 / np.log2(rank + 2), 0.0) / ideal
    by_item = np.bincount(items[columns], gain, n_items)
    return Outcome(by_item, np.bincount(rows, gain, len(scores)), int((wanted > 0).sum()))


class Trial:
    """Known items of X [users, items] that play new in turn, group by group, for settings to be compared on.

    Nothing is refitted: what bridge and teacher say without a group is exact (`models.held_out`). Leaving out one item
    at a time would not do: a user's own choice raises all rivals of the item it is about, and that item never. Only
    the first `parts` of five groups are asked.
    """

    numbers: tuple[str, ...] = ("reg", "spread", "penalty")

    def __init__(
        self, X: sparse.csr_matrix, cosines: Mapping[str, Array], *, parts: int = PARTS, seed: int = 0
    ) -> None:
        self.cosines, self.X, self.n = cosines, X, X.shape[1]
        rng = np.random.default_rng(seed)
        users, most = np.flatnonzero(np.diff(X.indptr)), max(1_500, MOST_PAIRS // self.n)
        asked = users if len(users) <= most else np.sort(rng.choice(users, most, replace=False))
        rounds = 1 if self.n > 900 else 3
        groups = [g for r in range(rounds) for g in random_groups(self.n, min(PARTS, self.n), seed=seed + r)[:parts]]
        self.asked = [_asked(X, users, asked, group) for group in groups]
        self._teachers: dict[float, list[TeacherWithout]] = {}

    def outcomes(self, setting: Setting, best: Sequence[Outcome] = ()) -> Found:
        """Return the outcome of each group for `own` and `fame` of a setting and their neighbours, by (own, fame).

        Nothing, if after some groups the setting is behind the `best` so far: a race (Maron & Moore 1994).
        """
        M = student_misses(joint_kernel(self.cosines, setting), setting.reg)
        centre, said, middle = (setting.own, setting.fame), [], []
        for asked, taught in zip(self.asked, self._taught(setting.penalty)):
            said.append(Said.of(asked, taught, student_without(M, asked.group)))
            middle.append(said[-1].outcome(*centre, self.n))
            if best and sum_of(best[: len(said)]).beats(sum_of(middle), BEHIND):
                return {}
        pairs = {(own, setting.fame) for own in _near(setting.own, OWN)}
        pairs |= {(setting.own, fame) for fame in _near(setting.fame, FAME)}
        others = {pair: [each.outcome(*pair, self.n) for each in said] for pair in sorted(pairs - {centre})}
        return {centre: middle} | others

    def _taught(self, penalty: float) -> list[TeacherWithout]:
        if penalty not in self._teachers:
            P = teacher(self.X, penalty)
            self._teachers[penalty] = [teacher_without(P, asked.group) for asked in self.asked]
        return self._teachers[penalty]


def joint_kernel(cosines: Mapping[str, Array], setting: Setting) -> Array:
    """Return the kernel of a setting [n, n] from the cosines of each block [n, n]."""
    joint = sum(np.float32(weight) * cosines[name] for name, weight in shares(setting.weights).items())
    return product(np.asarray(joint), setting.spread)


def _asked(X: sparse.csr_matrix, users: Array, asked: Array, group: Group) -> Asked:
    wanted = X[asked][:, group.items].tocoo()
    known = X[:, group.others].tocsr()
    average = np.asarray(known[users].mean(axis=0), X.dtype).ravel()
    return Asked(group, wanted.row, wanted.col, known[asked], average)


def _near(value: float, among: tuple[float, ...]) -> tuple[float, ...]:
    place = among.index(value)
    return among[max(place - 1, 0) : place + 2]


class Compared(Protocol):
    """What settings are compared on: see `Trial`."""

    cosines: Mapping[str, Array]
    X: sparse.csr_matrix
    numbers: tuple[str, ...]

    def outcomes(self, setting: Setting, best: Sequence[Outcome] = ()) -> Found:
        """Return the outcomes of a setting and of neighbours, by (own, fame); nothing if far behind the `best`."""


@dataclass
class Climb:
    """The way up from a setting: `setting` and its `outcomes` are the best so far, `tried` counts kernels."""

    trial: Compared
    setting: Setting
    outcomes: list[Outcome] = field(default_factory=list)
    first: float = 0.0
    tried: int = 0
    seen: set[Any] = field(default_factory=set)

    @property
    def last(self) -> float:
        """Return NDCG@20 of the best setting so far."""
        return sum_of(self.outcomes).mean if self.outcomes else 0.0

    def ask(self, setting: Setting) -> bool:
        """Take a setting, with the best own and fame near it, if it is better than the one so far; say whether."""
        mark = (*(round(w, 6) for w in setting.weights.values()), setting.spread, setting.reg, setting.penalty)
        if mark in self.seen:
            return False
        self.seen.add(mark)
        self.tried += 1
        found = self.trial.outcomes(setting, self.outcomes)
        if not self.outcomes:
            self.setting, self.outcomes = setting, found[setting.own, setting.fame]
            self.first = self.last
        taken = False
        for (own, fame), outcomes in found.items():
            if sum_of(outcomes).beats(sum_of(self.outcomes)):
                self.setting, self.outcomes, taken = replace(setting, own=own, fame=fame), outcomes, True
        return taken

    def step(self, changes: Sequence[Change], factors: tuple[float, ...]) -> bool:
        """Try each change by each factor, go on with one as long as it helps, and say whether one did."""
        moved = False
        for change in changes:
            for factor in factors:
                helped = False
                while (changed := change(self.setting, factor)) is not None and self.ask(changed):
                    helped = moved = True
                if helped:
                    break
        return moved


def _scaled(name: str) -> Change:
    def change(setting: Setting, factor: float) -> Setting | None:
        value, (low, high) = getattr(setting, name) * factor, LIMITS[name]
        return replace(setting, **{name: value}) if low <= value <= high else None

    return change


def _weighed(name: str) -> Change:
    def change(setting: Setting, factor: float) -> Setting | None:
        if setting.weights[name] == 0 or (factor == 0 and sum(w > 0 for w in setting.weights.values()) < 2):
            return None
        return replace(setting, weights={**setting.weights, name: setting.weights[name] * factor})

    return change


def chosen(trial: Compared) -> Climb:
    """Return the climb that chose a setting on the trial's items: weights of the blocks, then the numbers, then both.

    It starts from equal weights, from those by which content is nearest to who chose what together (`alignment`), and
    from their roots, whichever is best.
    """
    names = list(trial.cosines)
    aligned = alignment(trial.cosines, chosen_together(trial.X))
    least = 0.01 / len(names)
    climb = Climb(trial, Setting(dict.fromkeys(names, 1 / len(names))))
    climb.ask(climb.setting)
    for power in (0.5, 1.0):
        climb.ask(replace(climb.setting, weights={name: max(aligned[name], least) ** power for name in names}))
    weights = [_weighed(name) for name in sorted(names, key=lambda name: aligned[name])]
    numbers = [_scaled(name) for name in trial.numbers]
    while climb.step(weights, (0.0,)):
        continue
    climb.step(numbers, (STEP, 1 / STEP))
    climb.step(weights, (STEP, 1 / STEP))
    climb.step(numbers, (STEP**0.5, STEP**-0.5))
    return climb


def refined(trial: Compared, climb: Climb) -> Climb:
    """Return the climb that chose the numbers of `climb.setting` anew, on a trial of its joint cosines 'all'."""
    further = Climb(trial, replace(climb.setting, weights={"all": 1.0}), first=climb.first, tried=climb.tried)
    further.ask(further.setting)
    numbers = [_scaled(name) for name in trial.numbers]
    further.step(numbers, (STEP, 1 / STEP))
    further.step(numbers, (STEP**0.5, STEP**-0.5))
    further.setting = replace(further.setting, weights=climb.setting.weights)
    return further
