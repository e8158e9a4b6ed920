"""Items made of their features, users of their own numbers: a hybrid of embeddings, two towers, and CLCRec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ..catalogue.splits import Split
from ..models.content import unit_rows
from .features import Features
from .learning import Epoch, array, bpr_loss, chosen_by, embeddings, pairs_of, read, seeded, steps, tower

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray


def feature_embeddings(
    features: Features, split: Split, *, rate: float, decay: float, seed: int = 0
) -> Iterator[Epoch]:
    """Yield the hybrid of LightFM (Kula 2015): an item is the sum of the embeddings of its features.

    v_i = Σ_f F_if e_f and a bias b_i = Σ_f F_if w_f, so that an item nobody chose has both; a user has a vector. The
    loss is BPR. Negatives are items of the same batch that the user did not choose.
    """
    import torch

    seeded(seed)
    F, X = torch.from_numpy(features.F), sparse.csc_matrix(split.train)
    users, table = embeddings(X.shape[0]), embeddings(F.shape[1])
    bias = torch.nn.Parameter(torch.zeros(F.shape[1]))

    def loss(batch: Array) -> Tensor:
        own = F[batch]
        scores = users @ (own @ table).T + own @ bias
        who, better, worse = pairs_of(chosen_by(X, batch))
        return bpr_loss(scores[who, better], scores[who, worse])

    for value in steps([users, table, bias], loss, split.warm_items, rate=rate, decay=decay, seed=seed):
        items = np.c_[features.F @ array(table), features.F @ array(bias)]
        yield Epoch(np.c_[array(users), np.ones(len(users), np.float32)], items, value)


def in_batch_loss(scores: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean over choices of −ln of their softmax against the items of the batch that a user did not choose.

    `scores` [users, batch] are divided by the temperature already, `chosen` [users, batch] are the choices: in-batch
    negatives (InfoNCE, van den Oord et al. 2018). Each item is in an epoch once, so that negatives are not drawn by
    their fame.
    """
    from torch.nn import functional

    negatives = scores.masked_fill(chosen, -1e9).logsumexp(dim=1)
    users, items = chosen.nonzero(as_tuple=True)
    return functional.softplus(negatives[users] - scores[users, items]).mean()


def two_towers(
    features: Features, split: Split, *, rate: float, blank: float, temperature: float, seed: int = 0
) -> Iterator[Epoch]:
    """Yield two towers: a network reads the features of an item, a user has a vector, both of unit length.

    The loss is `in_batch_loss` of cosine / `temperature` (Yi et al. 2019, without their correction for fame).
    """
    return _contrastive(features, split, rate=rate, blank=blank, temperature=temperature, seed=seed)


def clcrec(
    features: Features, split: Split, *, rate: float, blank: float, temperature: float, share: float, seed: int = 0
) -> Iterator[Epoch]:
    """Yield CLCRec (Wei et al. 2021): what the features say of an item agrees with a vector of its own.

    Beside the content tower z_i each known item has a vector v_i. The loss is share·L_content + (1 − share)·L_choices:
    L_content is `in_batch_loss` of z_i against v_i, L_choices that of users against v_i and z_i, half each (the paper
    replaces v_i by z_i at random). A new item is its z_i.
    """
    return _contrastive(features, split, rate=rate, blank=blank, temperature=temperature, seed=seed, share=share)


def _contrastive(
    features: Features, split: Split, *, rate: float, blank: float, temperature: float, seed: int, share: float = 0.0
) -> Iterator[Epoch]:
    import torch
    from torch.nn import functional

    seeded(seed)
    F, X = torch.from_numpy(features.inputs), sparse.csc_matrix(split.train)
    unit: Callable[..., Tensor] = functional.normalize
    reading, users = tower(F.shape[1], blank), embeddings(X.shape[0])
    own = embeddings(F.shape[0]) if share else None

    def loss(batch: Array) -> Tensor:
        z, u, chosen = unit(reading(F[batch])), unit(users), chosen_by(X, batch)
        by_content = in_batch_loss(u @ z.T / temperature, chosen)
        if own is None:
            return by_content
        v = unit(own[batch])
        itself = torch.eye(len(batch), dtype=torch.bool)
        by_choices = (by_content + in_batch_loss(u @ v.T / temperature, chosen)) / 2
        return share * in_batch_loss(z @ v.T / temperature, itself) + (1 - share) * by_choices

    parameters = [users, *reading.parameters(), *([] if own is None else [own])]
    for value in steps(parameters, loss, split.warm_items, rate=rate, seed=seed):
        yield Epoch(unit_rows(array(users)), unit_rows(read(reading, F)), value)
