"""Floor 2: fine-tuning a pretrained encoder for recommendation, pair by pair as articles do, and item by item."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from .encoders import TextEncoder, pool
from .runtime import ColdstartError, written_aside

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Array = np.ndarray
Loss = Callable[[Any], "Tensor"]

# --- Pairs: a text of user and item, and whether the user liked it ----------------------------------------------------


class RecommendationDataset:
    """Texts [n] and labels [n] (0 or 1) as token ids, for a `DataLoader` with `collate_fn=dataset.collate`.

    A text may be a pair (first, second). `max_len` cuts; padding is left to `collate`, which pads to the longest of a
    batch. Raises ColdstartError for empty texts, labels other than 0 and 1, a single class, or unequal lengths.
    """

    def __init__(
        self,
        texts: Sequence[str] | Sequence[tuple[str, str]],
        labels: Sequence[int],
        tokenizer: Any,
        max_len: int = 128,
    ) -> None:
        texts, labels = list(texts), np.asarray(labels)
        if len(texts) != len(labels):
            raise ColdstartError(f"labels: expected one for each of {len(texts)} texts, got {len(labels)}")
        empty = [n for n, text in enumerate(texts) if not all(part.strip() for part in np.atleast_1d(text))]
        if empty or not texts:
            raise ColdstartError(
                f"texts: expected words in each, found none in {f'text {empty[0]}' if empty else 'all'}"
            )
        wrong = np.flatnonzero(~np.isin(labels, (0, 1)))
        if len(wrong):
            raise ColdstartError(f"label {wrong[0]}: expected 0 or 1, got {labels[wrong[0]]!r}")
        if len(np.unique(labels)) < 2:
            raise ColdstartError(
                f"labels: expected both 0 and 1, found only {labels[0]}: there is nothing to tell apart"
            )
        self.tokenizer, self.labels = tokenizer, labels.astype(np.int64)
        pairs = [np.atleast_1d(text).tolist() for text in texts]
        columns = [list(column) for column in zip(*pairs)]
        self.tokens = tokenizer(*columns, truncation=True, max_length=max_len)["input_ids"]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        tokens = self.tokens[row]
        return {"input_ids": tokens, "attention_mask": [1] * len(tokens), "labels": int(self.labels[row])}

    def collate(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return input_ids, attention_mask [n, longest] and labels [n] (int64) of a batch of examples."""
        import torch

        tokens = [example["input_ids"] for example in examples]
        labels = torch.tensor([example["labels"] for example in examples])
        return _padded(tokens, self.tokenizer.pad_token_id) | {"labels": labels}


def _padded(tokens: Sequence[Sequence[int]], padding: int | None) -> dict[str, Tensor]:
    import torch

    lengths = torch.tensor([len(ids) for ids in tokens])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, padding or 0)
    ids[mask] = torch.tensor([i for row in tokens for i in row])
    return {"input_ids": ids, "attention_mask": mask.long()}


def evaluate(model: Module, batches: Iterable[dict[str, Tensor]]) -> tuple[Array, Array]:
    """Return the labels [n] and the predicted chance of label 1 [n] over `batches`, in evaluation mode."""
    import torch

    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    labels, chances = [], []
    with torch.inference_mode(), torch.autocast(device.type, enabled=device.type == "cuda"):
        for batch in batches:
            logits = model(**{k: v.to(device) for k, v in batch.items() if k != "labels"}).logits
            chances.append(logits.float().softmax(dim=1)[:, 1].cpu().numpy())
            labels.append(batch["labels"].numpy())
    model.train(was_training)
    return np.concatenate(labels), np.concatenate(chances)


# --- One loop for everything that is trained --------------------------------------------------------------------------


def train_epoch(
    batches: Iterable[Any],
    loss: Loss,
    optimizer: Any,
    next_rate: Callable[[], None] | None = None,
    *,
    max_steps: int | None = None,
) -> list[float]:
    """Return the losses of one pass over `batches`, one gradient step a batch, at most `max_steps`.

    `loss(batch)` gives the scalar to descend, `next_rate` is called before every step. Raises ColdstartError before
    the step if a loss is not finite.
    """
    import torch

    losses: list[float] = []
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    kind = parameters[0].device.type
    for batch in batches:
        if max_steps is not None and len(losses) >= max_steps:
            break
        with torch.autocast(kind, enabled=kind == "cuda"):
            value = loss(batch)
        losses.append(value.item())
        if not np.isfinite(losses[-1]):
            raise ColdstartError(f"training: the loss became {losses[-1]} at step {len(losses)}; try a smaller rate")
        if next_rate:
            next_rate()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return losses


def fit(
    model: Module,
    loss: Loss,
    batches: Callable[[int], Sequence[Any]],
    *,
    epochs: int,
    lr: float | Sequence[dict[str, Any]],
    dev: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    log_dir: Path | None = None,
) -> pd.DataFrame:
    """Train `model` by AdamW (Loshchilov & Hutter 2019) and return one row an epoch: epoch, loss, dev, seconds.

    `batches(epoch)` lists the batches of an epoch; `lr` is a rate or parameter groups, raised over the first tenth of
    the steps and lowered to zero in a line. With `dev()` (higher is better, also asked before the first step) the model
    ends at its best epoch. A run that was broken off goes on from the file `checkpoint` as if it had not been; losses
    go to TensorBoard in `log_dir`. Raises ColdstartError if a loss is not finite; the last good checkpoint stays.
    """
    import torch

    torch.manual_seed(seed)
    mine = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": mine, "lr": lr}] if isinstance(lr, float) else [dict(group) for group in lr]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    peak = [group["lr"] for group in optimizer.param_groups]
    total = min(epochs * len(batches(1)), max_steps or np.inf)
    step, warm = 0, max(1, total // 10)

    def next_rate() -> None:
        nonlocal step
        share = min((step + 1) / warm, (total - step) / max(1, total - warm))
        for group, rate in zip(optimizer.param_groups, peak):
            group["lr"] = rate * share
        step += 1

    if checkpoint and checkpoint.is_file():
        best, history = _resume(checkpoint, model, optimizer)
        step = int(history[-1]["step"])
    else:
        best, history = _trained(model), [{"epoch": 0, "step": 0, "loss": np.nan, "seconds": 0.0}]
        history[0]["dev"] = dev() if dev else np.nan
    before = history[-1]["seconds"]
    begun = time.perf_counter()
    for epoch in range(len(history), epochs + 1):
        if step >= total:
            break
        # What chance decides in an epoch must not depend on the epochs that this process has run.
        torch.manual_seed(seed + epoch)
        bar = tqdm(batches(epoch), desc=f"epoch {epoch} of {epochs}", unit="step", delay=2, leave=False)
        mean = float(np.mean(train_epoch(bar, loss, optimizer, next_rate, max_steps=int(total) - step)))
        row = {"epoch": epoch, "step": step, "loss": mean, "seconds": before + time.perf_counter() - begun}
        history.append(row | {"dev": dev() if dev else np.nan})
        if not dev or history[-1]["dev"] > max(old["dev"] for old in history[:-1]):
            best = _trained(model)
        if checkpoint:
            _save(checkpoint, model, best, optimizer, history)
        if log_dir:
            _log(log_dir, history[-1])
    model.load_state_dict(best, strict=False)
    return pd.DataFrame(history)


def _trained(model: Module) -> dict[str, Tensor]:
    return {name: own.detach().clone() for name, own in model.named_parameters() if own.requires_grad}


def _save(path: Path, model: Module, best: dict[str, Tensor], optimizer: Any, history: list[dict[str, float]]) -> None:
    from safetensors.torch import save_file

    tensors = {f"last/{name}": own for name, own in _trained(model).items()}
    tensors |= {f"best/{name}": own for name, own in best.items()}
    for n, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{n}/{key}": value for key, value in state.items()}
    with written_aside(path) as aside:
        save_file(tensors, aside, metadata={"history": json.dumps(history)})


def _resume(path: Path, model: Module, optimizer: Any) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt", device=str(next(model.parameters()).device)) as file:
            history = json.loads(file.metadata()["history"])
            parts: dict[str, dict[str, Tensor]] = {"last": {}, "best": {}, "optimizer": {}}
            for key in file.keys():  # noqa: SIM118 - the file is no mapping
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ColdstartError(f"{path}: not a checkpoint of `fit` ({error}); delete it to begin anew") from None
    if {k: v.shape for k, v in parts["last"].items()} != {k: v.shape for k, v in _trained(model).items()}:
        raise ColdstartError(f"{path}: a checkpoint of another model; name another file, or delete it to begin anew")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        n, key = name.split("/")
        state.setdefault(int(n), {})[key] = tensor
    model.load_state_dict(parts["last"], strict=False)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return parts["best"], history


def _log(folder: Path, row: dict[str, float]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name in ("loss", "dev"):
            writer.add_scalar(name, row[name], row["epoch"])


# --- Items: the text of an item is encoded once and scored against everybody ------------------------------------------


class ItemTower:
    """The texts of a catalogue, tokenised once, and a BERT of one's own (`model`) that turns their rows into vectors.

    The first `frozen` layers and the embeddings stay as they are: they run once, what they give is kept, and only the
    layers above are trained. `pretrained=False` starts from random weights, all trained; `lora_rank` trains nothing
    but low-rank additions to the attention of the layers above (LoRA, Hu et al. 2022). Raises ColdstartError for
    another architecture or a number of layers that it has not.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        texts: Sequence[str],
        *,
        frozen: int = 0,
        pretrained: bool = True,
        lora_rank: int = 0,
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
        if lora_rank:
            import peft

            where = list(range(frozen, len(layers)))
            config = peft.LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=["query", "value"],
                                     layers_to_transform=where, layers_pattern="layer")  # fmt: skip
            peft.inject_adapter_in_model(config, self.model)
        else:
            layers[frozen:].requires_grad_(True)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self._upper = layers[frozen:]
        tokens = encoder.tokenizer(list(texts), truncation=True, max_length=encoder.max_tokens)["input_ids"]
        self.lengths = np.array([len(ids) for ids in tokens])
        self._below: list[Tensor] = [torch.empty(0)] * len(tokens)
        with torch.no_grad():
            for rows in self._chunks(np.arange(len(tokens))):
                ids = _padded([tokens[row] for row in rows], encoder.tokenizer.pad_token_id)["input_ids"]
                below = self._through(layers[:frozen], self.model.embeddings(ids.to(self.model.device)), rows)[-1]
                for row, own in zip(rows, below):
                    self._below[row] = own[: self.lengths[row]].clone()

    def _chunks(self, rows: Array) -> list[Array]:
        # Like lengths side by side, about 2,048 tokens at once: little padding, and no more memory than needed.
        rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        return np.split(rows, np.flatnonzero(np.diff(np.cumsum(self.lengths[rows]) // 2048)) + 1)

    def _mask(self, rows: Array) -> Tensor:
        import torch

        lengths = torch.tensor(self.lengths[rows], device=self.model.device)
        return torch.arange(int(lengths.max()), device=self.model.device) < lengths[:, None]

    def _through(self, layers: Iterable[Any], hidden: Tensor, rows: Array) -> list[Tensor]:
        import torch

        penalty = (~self._mask(rows))[:, None, None] * torch.finfo(hidden.dtype).min
        states = [hidden]
        for layer in layers:
            states.append(layer(states[-1], penalty))
        return states

    def encode(self, rows: Array) -> Tensor:
        """Return the vectors of `rows` [len(rows), d], of unit length, through which gradients flow."""
        return self.traced(rows, ())[0]

    def traced(self, rows: Array, layers: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Return the vectors of `rows` [n, d] and, per layer, the states of all their tokens [tokens, d], row by row.

        Raises ColdstartError for a layer that is frozen or not there: frozen layers run once, when the tower is built.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        depth = len(self.model.encoder.layer)
        first = depth - len(self._upper)
        if not set(layers) <= set(range(first, depth)):
            raise ColdstartError(f"layers: expected some of {first} to {depth - 1}, got {list(layers)}")
        rows = np.arange(len(self.lengths))[rows]
        vectors, found = [], [[] for _ in layers]
        for part in self._chunks(rows):
            below = pad_sequence([self._below[row] for row in part], batch_first=True)
            states = self._through(self._upper, below, part)
            vectors.append(pool(states[-1], self._mask(part), self.pooling))
            for layer, texts in zip(layers, found):
                texts += [own[:n] for own, n in zip(states[layer - first + 1], self.lengths[part])]
        place = np.argsort(np.argsort(-self.lengths[rows], kind="stable"), kind="stable").tolist()
        Z = torch.nn.functional.normalize(torch.cat(vectors).float()[place])
        return Z, [torch.cat([texts[n] for n in place]) for texts in found]

    def vectors(self) -> Array:
        """Return the vectors of the whole catalogue, float32 [items, d]."""
        import torch

        with torch.no_grad():
            return self.encode(np.arange(len(self.lengths))).cpu().numpy()


def leave_one_out(K: Tensor, targets: Tensor, reg: float) -> Tensor:
    """Return the errors [n, t] of ridge on the kernel K [n, n] where every row is predicted from all the others.

    One inverse does what n fits would: e_i = (H⁻¹Y)_i / (H⁻¹)_ii, H = K + reg·I (PRESS, Allen 1974).
    """
    import torch

    inverse = torch.linalg.inv(K + reg * torch.eye(len(K), dtype=K.dtype, device=K.device))
    return inverse @ targets / inverse.diagonal()[:, None]


def bridge_loss(encode: Callable[[Array], Tensor], targets: Array, reg: float = 1.0) -> Loss:
    """Return the loss of a batch of rows: what share of their `targets` [items, t] the other rows cannot predict.

    Each row plays the cold item once: its targets come by ridge from the vectors and targets of the other rows, and
    gradients flow through the closed form into `encode(rows)` (cf. Bertinetto et al. 2019).
    """
    import torch

    def loss(rows: Array) -> Tensor:
        Z = encode(rows).float()
        Y = torch.as_tensor(targets[rows], dtype=Z.dtype, device=Z.device)
        with torch.autocast(Z.device.type, enabled=False):
            return (leave_one_out(Z @ Z.T, Y, reg) ** 2).sum() / (Y**2).sum()

    return loss


def shuffled(rows: Array, batch_size: int, seed: int) -> Callable[[int], list[Array]]:
    """Return epoch → batches of about `batch_size` of the `rows`, in an order that seed and epoch alone decide."""

    def batches(epoch: int) -> list[Array]:
        order = np.random.default_rng([seed, epoch]).permutation(rows)
        return np.array_split(order, max(1, round(len(rows) / batch_size)))

    return batches
