"""An encoder tuned on one audience, to read what another catalogue has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .distillation import around
from .encoders import TextEncoder
from .finetuning import fit
from .towers import ItemTower, bridge_loss, shuffled

Array = np.ndarray


def tuned_on(
    encoder: TextEncoder, texts: Sequence[str], targets: Array, rows: Array, *, epochs: int = 2, seed: int = 0
) -> TextEncoder:
    """Return the encoder with its upper three layers tuned on an audience: `targets` [items, t] of the known `rows`.

    By `bridge_loss` over batches of 64 `texts`, at the rate that chapter 03 chose. It reads any text, also those of
    another catalogue; its vectors are not cached.
    """
    import torch

    torch.manual_seed(seed)
    tower = ItemTower(encoder, texts, frozen=3)
    fit(tower.model, bridge_loss(tower.encode, targets), shuffled(rows, 64, seed), epochs=epochs, lr=1e-4, seed=seed)
    return around(encoder, tower.model)
