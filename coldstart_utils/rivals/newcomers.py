"""MeLU: a network that has learnt how to learn a new user from a few choices (Lee et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ..catalogue.splits import Split, revealed
from ..ground import ColdstartError
from ..measure.ranking import Scorer, from_matrix
from .distilled import als_factors, in_scale
from .features import Features
from .learning import array, seeded, steps, tower

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray
WIDTH, NO_AGAINST_YES, ASKED, LOCAL_STEPS = 32, 4, 20, 3


@dataclass(frozen=True, eq=False)
class Adapted:
    """What the model is after one more pass: `scores` [users, items] of new users who learnt from their choices."""

    scores: Array
    loss: float

    @property
    def scorer(self) -> Scorer:
        """Return the scorer that looks the scores up."""
        return from_matrix(self.scores)


def judged(layers: Mapping[str, Tensor], user: Tensor, items: Tensor) -> Tensor:
    """Return the scores [n] of the decision layers for one user [p] and items [n, d]: ReLU(W₁[i; u] + b₁)·w₂."""
    import torch

    for_items, for_user = layers["W"].split([items.shape[1], len(user)], dim=1)
    return torch.relu(items @ for_items.T + (for_user @ user + layers["b"])) @ layers["w"]


def adapted(
    layers: Mapping[str, Tensor], user: Tensor, items: Tensor, chosen: Tensor, pace: float | Tensor
) -> Mapping[str, Tensor]:
    """Return the layers after a few steps of size `pace` down the loss of one user's choices: the local update.

    `items` [n, d] are those shown, `chosen` [n] is 1 for a choice and 0 for none; the loss is the cross entropy. Only
    the decision layers learn; the vectors of user and items stay (Lee et al. 2019, eq. 6).
    """
    import torch
    from torch.nn import functional

    def loss(now: Mapping[str, Tensor]) -> Tensor:
        return functional.binary_cross_entropy_with_logits(judged(now, user, items), chosen)

    for _ in range(LOCAL_STEPS):
        slope = torch.func.grad(loss)(dict(layers))
        layers = {name: value - pace * slope[name] for name, value in layers.items()}
    return layers


def lists_of(X: sparse.csr_matrix, users: Array, yes: int, pool: Array, rng: np.random.Generator) -> Array:
    """Return for each user `yes` of their choices and `NO_AGAINST_YES` times as many other items of the `pool`.

    Shape [users, yes·(1 + NO_AGAINST_YES)], the choices first: drawn from what a row of X [users, items] stores, and
    repeated where it stores fewer. The others are drawn from all; what meets a choice is drawn anew a few times.
    """
    chosen = X[users].toarray() > 0
    order = np.where(chosen, rng.random(chosen.shape), 2.0)
    first = np.argpartition(order, yes - 1, axis=1)[:, :yes]
    first = np.take_along_axis(first, np.argsort(np.take_along_axis(order, first, 1), axis=1), 1)
    liked = np.take_along_axis(first, np.arange(yes) % chosen.sum(axis=1)[:, None], 1)
    others = rng.choice(pool, (len(users), NO_AGAINST_YES * yes))
    for _ in range(5):
        wrong = np.take_along_axis(chosen, others, 1)
        others[wrong] = rng.choice(pool, wrong.sum())
    return np.hstack([liked, others])


class Learner:
    """The networks of MeLU and what they learn from: a k-shot `split`, item `inputs` and `people`, as tensors.

    Items are read from their ALS factor and features, users from their profile; the decision layers are shared by all
    until somebody's choices adapt them.
    """

    def __init__(self, features: Features, split: Split, k: int, profiles: Array, pace: float, seed: int) -> None:
        import torch

        seeded(seed)
        both = np.c_[in_scale(als_factors(split)[1]), features.inputs]
        self.inputs, self.people = (torch.from_numpy(np.asarray(part, np.float32)) for part in (both, profiles))
        self.for_items, self.for_users = tower(both.shape[1], rank=WIDTH), torch.nn.Linear(profiles.shape[1], WIDTH)
        width, start = 2 * WIDTH, torch.randn(2 * WIDTH, 2 * WIDTH) / WIDTH**0.5
        parts = {"W": start, "b": torch.zeros(width), "w": torch.randn(width) / WIDTH}
        self.layers = {name: torch.nn.Parameter(part) for name, part in parts.items()}
        self.split, self.k, self.pace, self.rng = split, k, pace, np.random.default_rng(seed)
        self.pool = split.warm_items

    @property
    def parameters(self) -> list[Tensor]:
        """Return all that learns."""
        return [*self.for_items.parameters(), *self.for_users.parameters(), *self.layers.values()]

    def loss(self, batch: Array) -> Tensor:
        """Return the mean loss of known users who play new: some choices adapt the layers, others are asked."""
        import torch

        items, users = self.for_items(self.inputs), self.for_users(self.people[batch])
        lists = [lists_of(self.split.train, batch, n, self.pool, self.rng) for n in (self.k, ASKED)]
        shown, asked = (items[torch.from_numpy(rows)] for rows in lists)
        return torch.func.vmap(self._answer, in_dims=(0, 0, 0))(users, shown, asked).mean()

    def _answer(self, user: Tensor, shown: Tensor, asked: Tensor) -> Tensor:
        from torch.nn import functional

        own = adapted(self.layers, user, shown, labels(self.k), self.pace)
        return functional.binary_cross_entropy_with_logits(judged(own, user, asked), labels(ASKED))

    def scores(self) -> Array:
        """Return the scores [users, items] of the new users, after their own choices adapted the layers."""
        import torch

        items, users = self.for_items(self.inputs).detach(), self.for_users(self.people).detach()
        chosen, rng = sparse.csr_matrix(revealed(self.split, self.k)), np.random.default_rng(0)
        told = np.array([user for user in self.split.users if chosen.indptr[user + 1] > chosen.indptr[user]])
        everything = np.zeros(self.split.train.shape, np.float32)
        for batch in np.array_split(told, max(1, len(told) // 64)):
            shown = items[torch.from_numpy(lists_of(chosen, batch, self.k, self.pool, rng))]
            everything[batch] = array(torch.func.vmap(partial(self._whole, items))(users[batch], shown))
        return everything

    def _whole(self, items: Tensor, user: Tensor, shown: Tensor) -> Tensor:
        return judged(adapted(self.layers, user, shown, labels(self.k), self.pace), user, items)


def labels(yes: int) -> Tensor:
    """Return 1 for each of `yes` choices, then 0 for the others of a list of `lists_of`."""
    import torch

    return torch.cat([torch.ones(yes), torch.zeros(NO_AGAINST_YES * yes)])


def melu(
    features: Features, split: Split, *, k: int, profiles: Array, rate: float, pace: float, seed: int = 0
) -> Iterator[Adapted]:
    """Yield MeLU for the new users of a k-shot split, who reveal k choices, after each pass over the known users.

    A known user plays new: k choices and drawn others adapt the decision layers (`adapted`), then `ASKED` choices and
    others are asked; the gradient of that answer runs through the local steps (MAML, Finn et al. 2017). The paper
    predicts ratings; here a choice is a yes and a drawn item a no. `profiles` [users, p]. Raises ColdstartError for
    less than one choice, or profiles that do not fit.
    """
    if k < 1 or len(profiles) != split.train.shape[0]:
        raise ColdstartError(
            f"melu: expected k >= 1 and {split.train.shape[0]} profiles, got {k!r} and {len(profiles)}"
        )
    learner = Learner(features, split, k, profiles, pace, seed)
    known = np.flatnonzero(np.diff(split.train.indptr))
    for value in steps(learner.parameters, learner.loss, known, rate=rate, seed=seed, size=64):
        yield Adapted(learner.scores(), value)
