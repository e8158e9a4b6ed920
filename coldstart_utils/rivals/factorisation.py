"""Matrix factorisation by other roads than ALS: small steps down the same objective, and a loss of pairs (BPR)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.content import bridge
from .features import Features
from .learning import RANK, Epoch

Array = np.ndarray
USERS_A_STEP = 64


def implicit_gradient(chosen: Array, U: Array, V: Array, reg: float, share: float = 1.0) -> tuple[float, Array, Array]:
    """Return the objective of `als_implicit` for some users, and its gradients by U [users, r] and V [items, r].

    L = Σ_ui c_ui (p_ui − u·v)² + reg·(Σ‖u‖² + share·Σ‖v‖²) over all pairs, p = chosen [users, items] of 0 and 1 and
    c = 1 + p (Hu, Koren & Volinsky 2008). With E = c∘(UVᵀ − p) the gradients are 2(EV + reg·U) and
    2(EᵀU + share·reg·V). `share` is that of these users in all, so that the parts of an epoch sum to the whole.
    """
    error = U @ V.T - chosen
    weighted = (1 + chosen) * error
    loss = np.vdot(weighted, error) + reg * (np.vdot(U, U) + share * np.vdot(V, V))
    return float(loss), 2 * (weighted @ V + reg * U), 2 * (weighted.T @ U + share * reg * V)


@dataclass(eq=False)
class Adam:
    """Steps of a size that each number chooses by its own gradients (Kingma & Ba 2015), for arrays that learn in place.

    `parameters` are changed by `step(gradients)`; `rate` is about how far a number moves in a step.
    """

    parameters: list[Array]
    rate: float
    done: int = 0
    mean: list[Array] = field(init=False)
    square: list[Array] = field(init=False)

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ColdstartError(f"rate: expected a number above 0, got {self.rate!r}")
        self.mean = [np.zeros_like(p) for p in self.parameters]
        self.square = [np.zeros_like(p) for p in self.parameters]

    def step(self, gradients: list[Array], rows: list[Array | slice]) -> None:
        """Move these `rows` of each parameter against their gradients."""
        self.done += 1
        for p, m, v, g, at in zip(self.parameters, self.mean, self.square, gradients, rows):
            m[at] += 0.1 * (g - m[at])
            v[at] += 0.001 * (g * g - v[at])
            size = self.rate * np.sqrt(1 - 0.999**self.done) / (1 - 0.9**self.done)
            p[at] -= size * m[at] / (np.sqrt(v[at]) + 1e-8)


def sgd(X: sparse.csr_matrix, *, rate: float, reg: float, rank: int = RANK, seed: int = 0) -> Iterator[Epoch]:
    """Yield factors of X [users, items] after each pass of steps by `implicit_gradient` on batches of users.

    The objective is that of `als_implicit`, which solves each row exactly; this road takes many small steps instead.
    Raises ColdstartError for a rate that is not above 0, or when the loss is not finite any more.
    """
    rng = np.random.default_rng(seed)
    X = sparse.csr_matrix(X).astype(bool).astype(np.float32)
    U, V = ((0.1 * rng.standard_normal((n, rank))).astype(np.float32) for n in X.shape)
    optimiser, n = Adam([U, V], rate), len(U)
    while True:
        total = 0.0
        for users in np.array_split(rng.permutation(n), max(1, round(n / USERS_A_STEP))):
            loss, by_users, by_items = implicit_gradient(X[users].toarray(), U[users], V, reg, len(users) / n)
            optimiser.step([by_users, by_items], [users, slice(None)])
            total += loss
        if not np.isfinite(total):
            raise ColdstartError(f"sgd: the loss is not finite any more with rate {rate:.3g}")
        yield Epoch(U.copy(), V.copy(), total)


def sgd_bridged(
    features: Features, split: Split, *, rate: float, reg: float, penalty: float, seed: int = 0
) -> Iterator[Epoch]:
    """Yield the factors of `sgd` on known items, carried to all others by the `bridge` with this `penalty`."""
    carry = Carrying(features, split, penalty)
    for epoch in sgd(split.train[:, carry.warm], rate=rate, reg=reg, seed=seed):
        yield Epoch(epoch.U, carry(epoch.V), epoch.loss)


def bpr_bridged(
    features: Features, split: Split, *, rate: float, reg: float, penalty: float, most: int = 40, seed: int = 0
) -> Iterator[Epoch]:
    """Yield the factors of BPR by the library `implicit`, carried to items it never saw by the `bridge`.

    The library learns all `most` epochs at once; each is kept as it passes. Its loss is the share of pairs that stand
    in the wrong order. Raises ColdstartError when the factors are not finite any more.
    """
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from implicit.recommender_base import ModelFitError

    carry = Carrying(features, split, penalty)
    model = BayesianPersonalizedRanking(factors=RANK, learning_rate=rate, regularization=reg, iterations=most,
                                        num_threads=1, random_state=seed)  # fmt: skip
    X = sparse.csr_matrix(split.train[:, carry.warm]).astype(np.float32)
    kept: list[tuple[Array, Array, float]] = []

    def keep(_: int, __: float, correct: int, skipped: int) -> None:
        wrong = 1 - correct / max(X.nnz - skipped, 1)
        kept.append((np.array(model.user_factors), np.array(model.item_factors), wrong))

    try:
        model.fit(X, show_progress=False, callback=keep)
    except ModelFitError as error:
        raise ColdstartError(f"bpr_bridged: the factors are not finite any more with rate {rate:.3g}") from error
    for U, V, wrong in kept:
        yield Epoch(U, carry(V), wrong)


class Carrying:
    """The `bridge` from the factors of the known items of a split to those of all items, solved once for a penalty."""

    def __init__(self, features: Features, split: Split, penalty: float) -> None:
        self.warm, n = split.warm_items, len(features.K)
        self.new = np.setdiff1d(np.arange(n), self.warm)
        self.weights = bridge(features.K, np.eye(len(self.warm), dtype=np.float32), self.warm, self.new, penalty)

    def __call__(self, V: Array) -> Array:
        """Return factors of all items [items, r] for V [known items, r]."""
        everything = np.zeros((len(self.warm) + len(self.new), V.shape[1]), np.float32)
        everything[self.warm] = V
        everything[self.new] = self.weights @ V
        return everything
