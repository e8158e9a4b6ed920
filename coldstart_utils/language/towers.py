"""Item towers: the text of an item is encoded once and scored against everybody."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ground import ColdstartError
from .encoders import TextEncoder, checked, pool
from .finetuning import Loss, padded

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray


class ItemTower:
    """The texts of a catalogue, tokenised once, and a BERT of one's own (`model`) that turns their rows into vectors.

    The first `frozen` layers and the embeddings stay as they are: they run once, what they give is kept, and only the
    layers above are trained. `pretrained=False` starts from random weights. `lora_rank` trains nothing but low-rank
    additions to the attention of the layers above (LoRA, Hu et al. 2022), `adapter_width` nothing but two small
    networks in each of them (Houlsby et al. 2019). Raises ColdstartError for another architecture or a number of
    layers that it has not.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        texts: Sequence[str],
        *,
        frozen: int = 0,
        pretrained: bool = True,
        lora_rank: int = 0,
        adapter_width: int = 0,
    ) -> None:
        import torch

        config = encoder.model.config
        if config.model_type != "bert":
            raise ColdstartError(f"model {encoder.name!r}: expected the architecture bert, got {config.model_type}")
        if not 0 <= frozen < config.num_hidden_layers:
            raise ColdstartError(f"frozen: expected 0 to {config.num_hidden_layers - 1} layers, got {frozen!r}")
        self.pooling = encoder.pooling
        self.model = copy.deepcopy(encoder.model) if pretrained else type(encoder.model)(config)
        # Dropout stays off: an item left out of its own prediction is check enough, and a pass tells the same twice.
        self.model.eval().requires_grad_(False)
        layers = self.model.encoder.layer
        self._open(frozen, lora_rank, adapter_width)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self._upper = layers[frozen:]
        tokens = encoder.tokenizer(checked(texts), truncation=True, max_length=encoder.max_tokens)["input_ids"]
        self.lengths = np.array([len(ids) for ids in tokens])
        self._below: list[Tensor] = [torch.empty(0)] * len(tokens)
        with torch.no_grad():
            for rows in self._chunks(np.arange(len(tokens))):
                ids = padded([tokens[row] for row in rows], encoder.tokenizer.pad_token_id)["input_ids"]
                below = self._through(layers[:frozen], self.model.embeddings(ids.to(self.model.device)), rows)
                for row, own in zip(rows, below):
                    self._below[row] = own[: self.lengths[row]].clone()

    def _open(self, frozen: int, lora_rank: int, adapter_width: int) -> None:
        """Let gradients reach the layers above `frozen`, or only what LoRA or adapters add to them."""
        layers = self.model.encoder.layer
        if lora_rank:
            import peft

            where = list(range(frozen, len(layers)))
            config = peft.LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=["query", "value"],
                                     layers_to_transform=where, layers_pattern="layer")  # fmt: skip
            peft.inject_adapter_in_model(config, self.model)
        elif adapter_width:
            for layer in layers[frozen:]:
                add_adapter(layer.attention.output.dense, adapter_width)
                add_adapter(layer.output.dense, adapter_width)
        else:
            layers[frozen:].requires_grad_(True)

    def _chunks(self, rows: Array) -> list[Array]:
        # Like lengths side by side, about 2,048 tokens at once: little padding, and no more memory than needed.
        rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        return np.split(rows, np.flatnonzero(np.diff(np.cumsum(self.lengths[rows]) // 2048)) + 1)

    def _mask(self, rows: Array) -> Tensor:
        import torch

        lengths = torch.tensor(self.lengths[rows], device=self.model.device)
        return torch.arange(int(lengths.max()), device=self.model.device) < lengths[:, None]

    def _through(self, layers: Iterable[Any], hidden: Tensor, rows: Array) -> Tensor:
        import torch

        penalty = (~self._mask(rows))[:, None, None] * torch.finfo(hidden.dtype).min
        for layer in layers:
            hidden = layer(hidden, penalty)
        return hidden

    def encode(self, rows: Array) -> Tensor:
        """Return the vectors of `rows` [len(rows), d], of unit length, through which gradients flow."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        rows, vectors = np.arange(len(self.lengths))[rows], []
        for part in self._chunks(rows):
            below = pad_sequence([self._below[row] for row in part], batch_first=True)
            vectors.append(pool(self._through(self._upper, below, part), self._mask(part), self.pooling))
        place = np.argsort(np.argsort(-self.lengths[rows], kind="stable"), kind="stable").tolist()
        return torch.nn.functional.normalize(torch.cat(vectors).float()[place])

    def vectors(self) -> Array:
        """Return the vectors of the whole catalogue, float32 [items, d]."""
        import torch

        with torch.no_grad():
            return self.encode(np.arange(len(self.lengths))).cpu().numpy()


def leave_one_out(K: Tensor, targets: Tensor, reg: float) -> Tensor:
    """Return the errors [n, t] of ridge on the kernel K [n, n] where every row is predicted from all the others.

    The twin in PyTorch of `content.left_out`, through which gradients flow. One inverse does what n fits would: with
    A = reg·(K_c + reg·I)⁻¹, K_c the kernel centred over the n rows, e_i = ((A − 11ᵀ/n)·targets)_i / (A_ii − 1/n)
    (PRESS, Allen 1974). The intercept, a mean over the rows, is not penalised.
    """
    import torch

    n, mean = len(K), K.mean(dim=0)
    inside = K - mean - mean[:, None] + mean.mean()
    A = reg * torch.linalg.inv(inside + reg * torch.eye(n, dtype=K.dtype, device=K.device))
    return (A @ targets - targets.mean(dim=0)) / (A.diagonal()[:, None] - 1 / n)


def bridge_loss(encode: Callable[[Array], Tensor], targets: Array, reg: float = 1.0) -> Loss:
    """Return the loss of a batch of rows: what share of their `targets` [items, t] the other rows cannot predict.

    Each row plays the cold item once: its targets come by ridge from the vectors and targets of the other rows, and
    gradients flow through the closed form into `encode(rows)` (cf. Bertinetto et al. 2019). About 1 where the vectors
    say nothing and the mean of the batch is the best guess. The loss raises ColdstartError for fewer than two rows.
    """
    import torch

    def loss(rows: Array) -> Tensor:
        if len(rows) < 2:
            raise ColdstartError(
                "bridge_loss: expected two items or more in a batch, of which each predicts the others"
            )
        Z = encode(rows).float()
        Y = torch.as_tensor(targets[rows], dtype=Z.dtype, device=Z.device)
        with torch.autocast(Z.device.type, enabled=False):
            return (leave_one_out(Z @ Z.T, Y, reg) ** 2).sum() / ((Y - Y.mean(dim=0)) ** 2).sum().clamp_min(1e-12)

    return loss


def info_nce_loss(users: Tensor, items: Tensor, temperature: float = 0.1, known: Tensor | None = None) -> Tensor:
    """Return the mean of −log softmax_j(users_n·items_j / temperature) at j = n over pairs n of vectors [n, d].

    Row n of `users` chose row n of `items`; the items of the other rows are its negatives (in-batch negatives;
    InfoNCE, van den Oord et al. 2018). `known` [n, n] marks items that a user chose as well: they are no negatives.
    """
    import torch

    scores = users @ items.T / temperature
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if known is not None:
        scores = scores.masked_fill(known.bool() & ~own, -torch.inf)
    return -scores.log_softmax(dim=1).diagonal().mean()


def add_adapter(dense: Any, width: int) -> None:
    """Let a dense layer pass its output y [.., d] on as y + up(GELU(down(y))), `width` numbers in between (bottleneck
    adapter, Houlsby et al. 2019). `up` begins at zero, so that nothing changes before training.
    """
    from torch import nn

    down, up = nn.Linear(dense.out_features, width), nn.Linear(width, dense.out_features)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    dense.adapter = nn.Sequential(down, nn.GELU(), up)
    dense.register_forward_hook(_through_adapter)


def _through_adapter(dense: Any, _: Any, output: Tensor) -> Tensor:
    return output + dense.adapter(output)


def shuffled(rows: Array, batch_size: int, seed: int) -> Callable[[int], list[Array]]:
    """Return epoch → batches of about `batch_size` of the `rows`, in an order that seed and epoch alone decide."""

    def batches(epoch: int) -> list[Array]:
        order = np.random.default_rng([seed, epoch]).permutation(rows)
        return np.array_split(order, max(1, round(len(rows) / batch_size)))

    return batches
