"""A teacher of known items carried to new ones by their content, with every setting given: what `transfer` fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import feedback, places
from ..ground import ColdstartError
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


class Student:
    """The bridge on the whole kernel of the `known` rows, centred over them and factored once."""

    def __init__(self, joint: Joint, known: Array, reg: float) -> None:
        self.joint, self.known, self.reg = joint, known, reg
        K = joint(known, known)
        self.mean, self.middle = K.mean(axis=0), K.mean()
        K += self.middle - self.mean - self.mean[:, None]
        K.flat[:: len(K) + 1] += np.float32(reg)
        self.factor = linalg.cho_factor(K, lower=True, overwrite_a=True, check_finite=False)

    def of(self, rows: Array) -> Array:
        """Return W [rows, known]: what the bridge says of `rows` is W·targets; each row of W sums to 1."""
        across = self.joint(rows, self.known)
        across += self.middle - self.mean - across.mean(axis=1, keepdims=True)
        solved = linalg.cho_solve(self.factor, across.T, overwrite_b=True, check_finite=False)
        return solved.T + np.float32(1 / len(self.known))


class Whole:
    """The bridge on the whole kernel behind a whole EASE."""

    def __init__(self, X: sparse.csr_matrix, joint: Joint, warm: Array, setting: Setting) -> None:
        self.student, self.own = Student(joint, warm, setting.reg), np.float32(setting.own)
        self.P = teacher(X, setting.penalty)
        self._kept: tuple[bytes, Array] = (b"", np.empty(0))

    def scores(self, choices: sparse.csr_matrix, items: Array) -> Array:
        """Return choices·(B + own·I)·Wᵀ [rows, items] for choices [rows, warm]; the last items asked for are kept."""
        # Read once: another thread may ask for other items meanwhile.
        key, taught = self._kept
        if key != items.tobytes():
            W = self.student.of(items)
            taught = W.T - self.P @ (W / np.diagonal(self.P)).T + self.own * W.T
            self._kept = items.tobytes(), taught
        return np.asarray(choices @ taught)


class LowRank:
    """The same through features φ = K_·L K_LL^-½ of landmarks L, behind an EASE of the principal tastes.

    Nyström (Williams & Seeger 2001); with X ≈ U·diag(s)·Qᵀ, P = (I − Q·diag(s²/(s² + penalty))·Qᵀ)/penalty.
    """

    def __init__(self, X: sparse.csr_matrix, joint: Joint, warm: Array, setting: Setting) -> None:
        from sklearn.utils.extmath import randomized_svd

        self.joint = joint
        self.landmarks = np.sort(np.random.default_rng(0).choice(warm, min(LANDMARKS, len(warm)), replace=False))
        among = joint(self.landmarks, self.landmarks)
        among.flat[:: len(among) + 1] += np.float32(1e-4)
        self.root = linalg.cholesky(among, lower=True, overwrite_a=True)
        F = np.concatenate([self._features(part) for part in np.array_split(warm, 1 + len(warm) // 10_000)])
        self.mean = F.mean(axis=0)
        F -= self.mean
        gram = F.T @ F
        gram.flat[:: len(gram) + 1] += np.float32(setting.reg)
        # The last column is the intercept: the mean over the known items.
        mean = np.full(len(warm), 1 / len(warm), np.float32)
        W = np.c_[linalg.solve(gram, F.T, assume_a="pos", overwrite_a=True).T, mean]
        _, s, Qt = randomized_svd(X, min(TASTES, *X.shape), random_state=0)
        Q = Qt.T * (s / np.sqrt(s**2 + setting.penalty))
        scaled = W / (1 - np.einsum("nk,nk->n", Q, Q))[:, None]
        self.taught = np.asarray((1 + setting.own) * W - scaled + Q @ (Q.T @ scaled), np.float32)

    def scores(self, choices: sparse.csr_matrix, items: Array) -> Array:
        """Return choices·(B + own·I)·Wᵀ [rows, items], as `Whole.scores`; nothing of size warm × items is made."""
        tastes = np.asarray(choices @ self.taught)
        return tastes[:, :-1] @ (self._features(items) - self.mean).T + tastes[:, -1:]

    def _features(self, items: Array) -> Array:
        return linalg.solve_triangular(self.root, self.joint(self.landmarks, items), lower=True).T


class Carried:
    """Scores of items by their content: (users, items) → float32 [users, items], any user and any item of the train.

    X [users, items] are the interactions, `likeness` what content says. With x the choices of a user among the known
    items, P = (XᵀX + penalty·I)⁻¹, B = I − P·diag(1/P_ii) (EASE, Steck 2019) and W [new, known] the bridge, the scores
    are (x + fame·x̄)(B + own·I)Wᵀ: linear in x, so that a newcomer's row needs no refit (`of_choices`). Past `most`
    known items both kernel and EASE are of low rank: 2,500 landmarks, 400 principal tastes. Raises ColdstartError,
    before memory is taken, if more is needed than is free.
    """

    def __init__(self, X: sparse.csr_matrix, likeness: Likeness, setting: Setting, *, most: int = MOST_DENSE) -> None:
        X = feedback(X)
        self.warm = np.flatnonzero(np.diff(X.tocsc().indptr))
        self.setting, self.items = setting, X.shape[1]
        self.X = X[:, self.warm].astype(np.float32)
        self.average = sparse.csr_matrix(self.X[np.diff(self.X.indptr) > 0].mean(axis=0), dtype=np.float32)
        self.dense = len(self.warm) <= most
        check_memory(self.bytes(len(self.warm), self.items, self.dense))
        joint = Joint(likeness, setting.weights, setting.spread)
        self._parts = (Whole if self.dense else LowRank)(self.X, joint, self.warm, setting)

    @staticmethod
    def bytes(warm: int, items: int, dense: bool) -> int:
        """Return about how many bytes the fit takes: four matrices warm × items, or, not `dense`, landmarks × items."""
        return 16 * (warm * items if dense else items * LANDMARKS)

    def __call__(self, users: Array, items: Array) -> Array:
        """Return the scores of `items` for `users`, both row numbers of what was learnt from."""
        return self.of_choices(self.X[places(users, self.X.shape[0], "users")], items)

    def of_choices(self, choices: sparse.csr_matrix, items: Array) -> Array:
        """Return the scores [rows, items] for people given by their choices among the known items [rows, warm]."""
        items = places(items, self.items)
        fame = np.float32(self.setting.fame) * self._parts.scores(self.average, items)
        return self._parts.scores(choices, items) + fame


def check_memory(needed: int) -> None:
    """Raise ColdstartError if `needed` bytes are more than what is free, where the system tells."""
    free = _free_memory()
    if free is not None and needed > free:
        raise ColdstartError(f"transfer: needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free")


def _free_memory() -> int | None:
    # Linux alone counts what its cache would give back; elsewhere nothing is promised.
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
