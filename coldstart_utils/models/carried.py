"""A teacher of known items carried to new ones by their content, with every setting given: what `transfer` fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import places
from .held_out import teacher
from .likeness import Likeness

Array = np.ndarray
MOST_DENSE = 9_000  # known items; beyond, memory grows by gigabytes and time by minutes
LANDMARKS, TASTES = 2_500, 400


@dataclass(frozen=True)
class Setting:
    """All that `transfer` chooses: how items are alike, what the teacher learns, how much is believed.

    `weights` of the blocks and the `spread` of the kernel (see `Likeness.joined`), the `reg` of the bridge, the
    `penalty` of EASE, the share of a user's `own` choices added to what EASE says of them, and how many average users
    (`fame`) are added to each: the fewer choices somebody has, the more that counts.
    """

    weights: Mapping[str, float]
    spread: float = 1.0
    reg: float = 1.0
    penalty: float = 100.0
    own: float = 0.3
    fame: float = 0.3


@dataclass(frozen=True, eq=False)
class Joint:
    """The kernel of all blocks with their weights and the spread, called as (rows, columns) → [rows, columns]."""

    likeness: Likeness
    weights: Mapping[str, float]
    spread: float

    def __call__(self, rows: Array, columns: Array) -> Array:
        """Return the kernel, float32 [rows, columns]."""
        return self.likeness.joined(self.weights, self.spread, rows, columns)


class WholeStudent:
    """The bridge on the whole kernel of the `warm` items, centred over them, factored once."""

    def __init__(self, joint: Joint, warm: Array, reg: float) -> None:
        self.joint, self.warm = joint, warm
        K = joint(warm, warm)
        self.mean, self.middle = K.mean(axis=0), K.mean()
        K += self.middle - self.mean - self.mean[:, None]
        K.flat[:: len(K) + 1] += np.float32(reg)
        self.factor = linalg.cho_factor(K, lower=True, overwrite_a=True, check_finite=False)

    def of(self, items: Array) -> Array:
        """Return W [items, warm]: what the bridge says of `items` is W·targets; its rows sum to 1."""
        across = self.joint(items, self.warm)
        across += self.middle - self.mean - across.mean(axis=1, keepdims=True)
        solved = linalg.cho_solve(self.factor, across.T, overwrite_b=True, check_finite=False)
        return solved.T + np.float32(1 / len(self.warm))


class LandmarkStudent:
    """The bridge on features φ = K_·L K_LL^-½ of `LANDMARKS` items L, in the place of the whole kernel."""

    def __init__(self, joint: Joint, warm: Array, reg: float) -> None:
        self.joint = joint
        self.landmarks = np.sort(np.random.default_rng(0).choice(warm, min(LANDMARKS, len(warm)), replace=False))
        among = joint(self.landmarks, self.landmarks)
        among.flat[:: len(among) + 1] += np.float32(1e-4)
        self.root = linalg.cholesky(among, lower=True, overwrite_a=True)
        F = self._features(warm)
        self.mean = F.mean(axis=0)
        self.known = F - self.mean
        gram = self.known.T @ self.known
        gram.flat[:: len(gram) + 1] += np.float32(reg)
        self.factor = linalg.cho_factor(gram, lower=True, overwrite_a=True)

    def of(self, items: Array) -> Array:
        """Return W [items, warm], as `WholeStudent.of`."""
        solved = linalg.cho_solve(self.factor, (self._features(items) - self.mean).T)
        return solved.T @ self.known.T + np.float32(1 / len(self.known))

    def _features(self, items: Array) -> Array:
        return linalg.solve_triangular(self.root, self.joint(self.landmarks, items), lower=True).T


class WholeTeacher:
    """EASE (Steck 2019) of X [users, warm]."""

    def __init__(self, X: sparse.csr_matrix, penalty: float) -> None:
        self.P = teacher(X, penalty)

    def carried(self, W: Array) -> Array:
        """Return B·Wᵀ [warm, items], B the weights of EASE."""
        return W.T - self.P @ (W / np.diagonal(self.P)).T


class PrincipalTeacher:
    """EASE from the `TASTES` first singular vectors of X [users, warm]: P = (I − Q·s²/(s² + penalty)·Qᵀ)/penalty."""

    def __init__(self, X: sparse.csr_matrix, penalty: float) -> None:
        from sklearn.utils.extmath import randomized_svd

        rank = min(TASTES, *X.shape)
        _, s, Qt = randomized_svd(X, rank, random_state=0)
        self.Q = (Qt.T * (s / np.sqrt(s**2 + penalty))).astype(np.float32)
        self.scale = 1 - np.einsum("nk,nk->n", self.Q, self.Q)

    def carried(self, W: Array) -> Array:
        """Return B·Wᵀ [warm, items], as `WholeTeacher.carried`; the penalty cancels."""
        scaled = (W / self.scale).T
        return W.T - (scaled - self.Q @ (self.Q.T @ scaled))


class Carried:
    """Scores of items by their content: (users, items) → float32 [users, items], any user and any item of the train.

    X [users, items] are the interactions, `likeness` what content says. With x the choices of a user among the known
    items, P = (XᵀX + penalty·I)⁻¹, B = I − P·diag(1/P_ii) (EASE, Steck 2019) and W [new, known] the bridge, the scores
    are (x + fame·x̄)(B + own·I)Wᵀ: linear in x, so that a newcomer's row needs no refit (`of_choices`). Past `most`
    known items K is taken through 2,500 landmarks (Nyström; Williams & Seeger 2001) and P through 400 principal tastes.
    """

    def __init__(self, X: sparse.csr_matrix, likeness: Likeness, setting: Setting, *, most: int = MOST_DENSE) -> None:
        counts = np.diff(X.tocsc().indptr)
        self.warm = np.flatnonzero(counts)
        self.likeness, self.setting = likeness, setting
        self.X = X[:, self.warm].astype(np.float32)
        self.average = np.asarray(self.X[np.diff(self.X.indptr) > 0].mean(axis=0)).ravel()
        self.dense = len(self.warm) <= most
        joint = Joint(likeness, setting.weights, setting.spread)
        student, taught = (WholeStudent, WholeTeacher) if self.dense else (LandmarkStudent, PrincipalTeacher)
        self._student, self._teacher = student(joint, self.warm, setting.reg), taught(self.X, setting.penalty)
        self._place = np.full(X.shape[1], -1)
        new = np.flatnonzero(counts == 0)
        self._place[new] = np.arange(len(new))
        self._weights = self.weights(new)

    def __call__(self, users: Array, items: Array) -> Array:
        """Return the scores of `items` for `users`, both row numbers of what was learnt from."""
        return self.of_choices(self.X[places(users, self.X.shape[0], "users")], items)

    def of_choices(self, choices: sparse.csr_matrix, items: Array) -> Array:
        """Return the scores [rows, items] for people given by their choices among the known items [rows, warm]."""
        items = places(items, len(self._place))
        at = self._place[items]
        V = self._weights[:, at] if (at >= 0).all() else self.weights(items)
        return np.asarray(choices @ V) + np.float32(self.setting.fame) * (self.average @ V)

    def weights(self, items: Array) -> Array:
        """Return V [warm, items]: what one choice of each known item adds to the scores of `items`."""
        W = self._student.of(items)
        return self._teacher.carried(W) + np.float32(self.setting.own) * W.T
