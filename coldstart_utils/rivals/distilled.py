"""Networks that learn from the factors of ALS: DropoutNet, and ALDI, which aligns distributions of scores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.als import als_implicit
from .features import Features
from .learning import RANK, Epoch, bpr_loss, chosen_by, pairs_of, read, seeded, steps, tower

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray


@lru_cache(maxsize=4)
def als_factors(split: Split) -> tuple[Array, Array]:
    """Return U [users, 64] and V [items, 64] that `als_implicit` (penalty 10) learns of `split.train`, float32.

    Fewer factors where there are fewer users or items; new items have zeros.
    """
    X = split.train
    als = als_implicit(X, rank=min(RANK, *X.shape), reg=10.0, sweeps=8)
    return als.U.astype(np.float32), als.V.astype(np.float32)


def in_scale(factors: Array) -> Array:
    """Return factors [n, r] scaled to a mean square of 1 a number, as networks like them; rows of zeros count not."""
    known = factors[factors.any(axis=1)]
    return factors / np.float32(np.sqrt(np.square(known).mean()) if len(known) else 1.0)


def dropoutnet(
    features: Features, split: Split, *, rate: float, blank: float, dropped: float, seed: int = 0
) -> Iterator[Epoch]:
    """Yield DropoutNet (Volkovs, Yu & Poutanen 2017): a network that is used to missing preferences.

    f_V reads the factor and the features of an item, f_U the factor of a user, and f_U·f_V shall be the product of the
    factors themselves: L = mean (U_u·V_i − f_U(U_u)·f_V(V_i m_i, F_i))², over the mean square of the products. The
    factor of an item is zero (m_i = 0) for a share `dropped` of each batch, as it is for a new item. Raises
    ColdstartError unless 0 <= dropped <= 1.
    """
    import torch

    if not 0 <= dropped <= 1:
        raise ColdstartError(f"dropped: expected a share of 0 to 1, got {dropped!r}")
    seeded(seed)
    U, V = (torch.from_numpy(part) for part in als_factors(split))
    users, known, F = (torch.from_numpy(part) for part in (*map(in_scale, als_factors(split)), features.inputs))
    for_users, for_items = tower(U.shape[1]), tower(V.shape[1] + F.shape[1], blank)
    scale = ((U.T @ U) * (V.T @ V)).sum() / (len(U) * max(len(split.warm_items), 1))

    def loss(batch: Array) -> Tensor:
        kept = (torch.rand(len(batch), 1) >= dropped).float()
        items = for_items(torch.cat([known[batch] * kept, F[batch]], dim=1))
        missed = U @ V[batch].T - for_users(users) @ items.T
        return (missed**2).mean() / scale

    parameters = [*for_users.parameters(), *for_items.parameters()]
    for value in steps(parameters, loss, split.warm_items, rate=rate, seed=seed):
        yield Epoch(read(for_users, users), read(for_items, torch.cat([known, F], dim=1)), value)


def alignment_losses(student: Tensor, teacher: Tensor, pairs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return how far a student's scores [users, batch] are from a teacher's, for triples (user, better, worse).

    First the size: the mean of |difference| over both scores of a triple. Then the order: the cross entropy of the
    student's σ(better − worse) with the teacher's (Huang et al. 2023, their rating and ranking distributions).
    """
    from torch.nn import functional

    who, better, worse = pairs
    gap = (student - teacher).abs()
    size = (gap[who, better] + gap[who, worse]).mean()
    leads = [scores[who, better] - scores[who, worse] for scores in (student, teacher)]
    return size, functional.binary_cross_entropy_with_logits(leads[0], leads[1].sigmoid())


def identity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross entropy of how clearly each item of a batch stands out, student [n, r] and teacher [n, r].

    An item stands out by ‖v_i‖² − mean_j v_i·v_j (Huang et al. 2023, their identification distribution).
    """
    from torch.nn import functional

    clear = [(v * v).sum(dim=1) - (v @ v.T).mean(dim=1) for v in (student, teacher)]
    return functional.binary_cross_entropy_with_logits(clear[0], clear[1].sigmoid())


def aldi(
    features: Features, split: Split, *, rate: float, blank: float, weight: float, seed: int = 0
) -> Iterator[Epoch]:
    """Yield ALDI (Huang et al. 2023): a student of content whose scores are distributed as those of a teacher.

    The teacher is ALS, the student a network for users' factors and one for items' features. The loss is BPR +
    weight·(size + order + identity): `alignment_losses` and `identity_loss`. The paper has a weight for each part and
    trusts a teacher less on rare items; here one weight is tuned, and all items count alike.
    """
    import torch

    seeded(seed)
    U, V = (torch.from_numpy(part) for part in als_factors(split))
    F, X = torch.from_numpy(features.inputs), sparse.csc_matrix(split.train)
    users = torch.from_numpy(in_scale(als_factors(split)[0]))
    for_users, for_items = tower(U.shape[1]), tower(F.shape[1], blank)

    def loss(batch: Array) -> Tensor:
        pairs = pairs_of(chosen_by(X, batch))
        items = for_items(F[batch])
        student, teacher = for_users(users) @ items.T, U @ V[batch].T
        by_size, by_order = alignment_losses(student, teacher, pairs)
        who, better, worse = pairs
        taught = by_size + by_order + identity_loss(items, V[batch])
        return bpr_loss(student[who, better], student[who, worse]) + weight * taught

    parameters = [*for_users.parameters(), *for_items.parameters()]
    for value in steps(parameters, loss, split.warm_items, rate=rate, seed=seed):
        yield Epoch(read(for_users, users), read(for_items, F), value)
