"""Fine-tuning a pretrained encoder pair by pair, as articles do, and one loop for everything that is trained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..ground import ColdstartError, written_aside

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
        labels: Sequence[int] | np.ndarray,
        tokenizer: Any,
        max_len: int = 128,
    ) -> None:
        rows, labels = [np.atleast_1d(text).tolist() for text in texts], np.asarray(labels)
        if len(rows) != len(labels):
            raise ColdstartError(f"labels: expected one for each of {len(rows)} texts, got {len(labels)}")
        empty = [n for n, row in enumerate(rows) if not all(part.strip() for part in row)]
        if empty or not rows:
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
        columns = [list(column) for column in zip(*rows)]
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
        return padded(tokens, self.tokenizer.pad_token_id) | {"labels": labels}


def padded(tokens: Sequence[Sequence[int]], padding: int | None) -> dict[str, Tensor]:
    """Return `input_ids` and `attention_mask` [texts, longest] of token ids of any lengths, filled up with `padding`
    (0 for None).
    """
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
            why = "try a smaller rate" if len(losses) > 1 else "before anything was trained; look at texts and targets"
            raise ColdstartError(f"training: the loss became {losses[-1]} at step {len(losses)}; {why}")
        if next_rate:
            next_rate()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return losses


def fit(
    model: Module, loss: Loss, batches: Callable[[int], Sequence[Any]], *, epochs: int,
    lr: float | Sequence[dict[str, Any]], dev: Callable[[], float] | None = None, checkpoint: Path | None = None,
    max_steps: int | None = None, seed: int = 0, log_dir: Path | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Train `model` by AdamW (Loshchilov & Hutter 2019) and return one row an epoch: epoch, loss, dev, seconds.

    `batches(epoch)` lists the batches of an epoch; `lr` is a rate or parameter groups, raised over the first tenth of
    the steps and lowered to zero in a line. With `dev()` (higher is better, also asked before the first step) the model
    ends at its best epoch. A run that was broken off goes on from the file `checkpoint` as if it had not been; losses
    go to TensorBoard in `log_dir`. Raises ColdstartError if a loss is not finite, where the last good checkpoint stays,
    and for a checkpoint of another model or begun with other rates, steps or another seed.
    """
    import torch

    torch.manual_seed(seed)
    rates = _Rates(_optimizer(model, lr), min(epochs * len(batches(1)), max_steps or np.inf))
    settings = {"rates": rates.peak, "steps": float(rates.total), "seed": seed}
    if checkpoint and checkpoint.is_file():
        best, history = _resume(checkpoint, model, rates.optimizer, settings)
    else:
        best, history = _trained(model), [_row(0, 0, np.nan, 0.0, dev)]
    rates.step = int(history[-1]["step"])
    begun = time.perf_counter() - history[-1]["seconds"]
    for epoch in range(len(history), epochs + 1):
        if rates.step >= rates.total:
            break
        # What chance decides in an epoch must not depend on the epochs that this process has run.
        torch.manual_seed(seed + epoch)
        bar = tqdm(batches(epoch), desc=f"epoch {epoch} of {epochs}", unit="step", delay=2, leave=False)
        losses = train_epoch(bar, loss, rates.optimizer, rates.next, max_steps=rates.left)
        history.append(_row(epoch, rates.step, float(np.mean(losses)), time.perf_counter() - begun, dev))
        if not dev or history[-1]["dev"] > max(old["dev"] for old in history[:-1]):
            best = _trained(model)
        if checkpoint:
            _save(checkpoint, model, best, rates.optimizer, history, settings)
        if log_dir:
            _log(log_dir, history[-1])
    model.load_state_dict(best, strict=False)
    return pd.DataFrame(history)


def _row(epoch: int, step: int, loss: float, seconds: float, dev: Callable[[], float] | None) -> dict[str, float]:
    return {"epoch": epoch, "step": step, "loss": loss, "seconds": seconds, "dev": dev() if dev else np.nan}


def _optimizer(model: Module, lr: float | Sequence[dict[str, Any]]) -> Any:
    import torch

    mine = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": mine, "lr": lr}] if isinstance(lr, int | float) else [dict(group) for group in lr]
    return torch.optim.AdamW(groups, weight_decay=0.01)


class _Rates:
    """The rates of an optimizer, raised to their `peak` over the first tenth of `total` steps, then lowered to zero."""

    def __init__(self, optimizer: Any, total: float) -> None:
        self.optimizer, self.total, self.step = optimizer, total, 0
        self.peak = [group["lr"] for group in optimizer.param_groups]

    @property
    def left(self) -> int:
        """How many steps are left."""
        return int(self.total) - self.step

    def next(self) -> None:
        """Set the rates of the next step, and count it."""
        warm = max(1, self.total // 10)
        share = min((self.step + 1) / warm, (self.total - self.step) / max(1, self.total - warm))
        for group, rate in zip(self.optimizer.param_groups, self.peak):
            group["lr"] = rate * share
        self.step += 1


def _trained(model: Module) -> dict[str, Tensor]:
    return {name: own.detach().clone() for name, own in model.named_parameters() if own.requires_grad}


def _save(
    path: Path, model: Module, best: dict[str, Tensor], optimizer: Any, history: list[dict[str, float]],
    settings: dict[str, Any],
) -> None:  # fmt: skip
    from safetensors.torch import save_file

    tensors = {f"last/{name}": own for name, own in _trained(model).items()}
    tensors |= {f"best/{name}": own for name, own in best.items()}
    for n, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{n}/{key}": value for key, value in state.items()}
    with written_aside(path) as aside:
        save_file(tensors, aside, metadata={"history": json.dumps(history), "settings": json.dumps(settings)})


def _resume(
    path: Path, model: Module, optimizer: Any, settings: dict[str, Any]
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt", device=str(next(model.parameters()).device)) as file:
            history = json.loads(file.metadata()["history"])
            begun = json.loads(file.metadata()["settings"])
            parts: dict[str, dict[str, Tensor]] = {"last": {}, "best": {}, "optimizer": {}}
            for key in file.keys():  # noqa: SIM118 - the file is no mapping
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ColdstartError(f"{path}: not a checkpoint of `fit` ({error}); delete it to begin anew") from None
    if {k: v.shape for k, v in parts["last"].items()} != {k: v.shape for k, v in _trained(model).items()}:
        raise ColdstartError(f"{path}: a checkpoint of another model; name another file, or delete it to begin anew")
    if other := [f"{name} {begun[name]}, not {now}" for name, now in settings.items() if begun[name] != now]:
        raise ColdstartError(f"{path}: begun with {'; '.join(other)}; name another file, or delete it to begin anew")
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
