"""Models that learn in epochs: the loop, what an epoch leaves behind, and how one becomes a method of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import sparse

from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..measure.ranking import Scorer, from_factors

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = np.ndarray
RANK, HIDDEN, A_STEP = 64, 128, 256


class Learnt(Protocol):
    """What a model is after one more pass: its `loss`, the mean over the steps, and its `scorer`."""

    @property
    def loss(self) -> float:
        """Return the mean loss of the pass."""

    @property
    def scorer(self) -> Scorer:
        """Return the scorer (users, items) → [users, items]."""


@dataclass(frozen=True, eq=False)
class Epoch:
    """What a model is after one more pass: users `U` [users, r], items `V` [items, r], and their products the scores.

    `loss` is the mean over the steps of the pass. New items have rows in V like all others.
    """

    U: Array
    V: Array
    loss: float

    @property
    def scorer(self) -> Scorer:
        """Return the scorer U[u]·V[i]."""
        return from_factors(self.U, self.V)


@dataclass(frozen=True, eq=False)
class Rival:
    """A model that learns in epochs, as a method of a study.

    `learn(split, **knobs)` yields what it is after each pass, without end. `ranges` names its knobs and between which
    numbers above 0 they are looked for. `most` epochs are allowed; how many are best is chosen with the knobs.
    """

    learn: Callable[..., Iterator[Learnt]]
    ranges: Mapping[str, tuple[float, float]]
    most: int = 40

    @property
    def knobs(self) -> dict[str, float]:
        """Return the middle of each range, on a logarithmic scale, and half of the epochs."""
        return middle(self.ranges) | {"epochs": self.most / 2}

    def path(self, split: Split, **knobs: float) -> Iterator[Learnt]:
        """Yield what the model is after each epoch, `most` of them."""
        return islice(self.learn(split, **knobs), self.most)

    def fit(self, split: Split, *, epochs: float, **knobs: float) -> Scorer:
        """Return the scorer after so many epochs on `split.train`. Raises ColdstartError for less than one."""
        if not epochs >= 0.5:
            raise ColdstartError(f"epochs: expected 1 or more, got {epochs!r}")
        *_, last = islice(self.learn(split, **knobs), max(1, round(epochs)))
        return last.scorer


def middle(ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return the geometric mean of both ends of each range."""
    return {name: float(np.sqrt(low * high)) for name, (low, high) in ranges.items()}


def steps(
    parameters: Sequence[Tensor], loss: Callable[[Array], Tensor], items: Array, *, rate: float, seed: int,
    decay: float = 0.1, size: int = A_STEP,
) -> Iterator[float]:  # fmt: skip
    """Yield the mean loss of each pass over the `items`, without end; the `parameters` learn in place.

    A step takes a batch of about `size` items, drawn anew in each pass, and moves the parameters by AdamW
    (Loshchilov & Hutter 2019) with step size `rate` and weight decay `decay`. Raises ColdstartError for a rate that is
    not above 0, a decay below 0, no items, or a loss that is not finite.
    """
    import torch

    if not (rate > 0 and decay >= 0):
        raise ColdstartError(f"steps: expected a rate above 0 and a decay of 0 or more, got {rate!r} and {decay!r}")
    if not len(items):
        raise ColdstartError("steps: expected items to learn from, got none")
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    for epoch in count():
        order = np.random.default_rng([seed, epoch]).permutation(items)
        losses = []
        for batch in np.array_split(order, max(1, round(len(items) / size))):
            optimiser.zero_grad()
            value = loss(batch)
            value.backward()
            optimiser.step()
            losses.append(float(value.detach()))
        if not np.isfinite(losses).all():
            raise ColdstartError(f"steps: the loss is not finite any more with rate {rate:.3g} and decay {decay:.3g}")
        yield float(np.mean(losses))


def seeded(seed: int) -> None:
    """Seed torch: what follows draws the same start and the same negatives."""
    import torch

    torch.manual_seed(seed)


def embeddings(n: int, rank: int = RANK, scale: float = 0.1) -> nn.Parameter:
    """Return a table of n vectors to learn, normal with this standard deviation."""
    import torch

    return torch.nn.Parameter(scale * torch.randn(n, rank))


def tower(width: int, blank: float = 0.0, *, rank: int = RANK, hidden: int = HIDDEN) -> nn.Sequential:
    """Return a network of one hidden layer, tanh, from vectors of a `width` to vectors of a `rank`.

    While it learns, a share `blank` of its inputs and of its hidden numbers is dropped at random (dropout, Srivastava
    et al. 2014). Raises ColdstartError unless 0 <= blank < 1.
    """
    from torch import nn

    if not 0 <= blank < 1:
        raise ColdstartError(f"blank: expected a share of 0 or more and below 1, got {blank!r}")
    into, out = nn.Linear(width, hidden), nn.Linear(hidden, rank)
    return nn.Sequential(nn.Dropout(blank), into, nn.Tanh(), nn.Dropout(blank), out)


def chosen_by(X: sparse.csc_matrix, batch: Array) -> Tensor:
    """Return whether each user chose each item of the `batch`, bool [users, batch]."""
    import torch

    return torch.from_numpy(X[:, batch].toarray() > 0)


def pairs_of(chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return user, chosen item and another item of the same batch, drawn at random, for each choice [n].

    Items are places in the batch. Choices whose draw the user chose as well are left out.
    """
    import torch

    users, items = chosen.nonzero(as_tuple=True)
    others = torch.randint(chosen.shape[1], (len(users),))
    fair = ~chosen[users, others]
    return users[fair], items[fair], others[fair]


def bpr_loss(better: Tensor, worse: Tensor) -> Tensor:
    """Return the mean of −ln σ(better − worse) over pairs of scores [n] (BPR, Rendle et al. 2009)."""
    from torch.nn import functional

    return functional.softplus(worse - better).mean()


def array(tensor: Tensor) -> Array:
    """Return a copy of the numbers of a tensor, as NumPy keeps them."""
    return tensor.detach().cpu().numpy().copy()


def read(network: nn.Module, inputs: Tensor) -> Array:
    """Return what a network makes of its `inputs` [n, width] when it does not learn [n, rank]: nothing is dropped, no
    gradient is kept.
    """
    import torch

    network.eval()
    with torch.no_grad():
        outputs = array(network(inputs))
    network.train()
    return outputs
