"""Distillation: what a large model says and what it finds alike, as targets for a small one."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..ground import ColdstartError
from ..models.content import unit_rows
from ..models.least_squares import ridge
from .encoders import TextEncoder, checked, export_onnx, onnx_forward
from .finetuning import Loss
from .towers import ItemTower

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray

# --- Losses -----------------------------------------------------------------------------------------------------------


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float, alpha: float
) -> Tensor:
    """Return (1 − η)·CE(labels, q₁) + η·θ²·KL(p_θ ‖ q_θ), the mean over rows (Hinton, Vinyals & Dean 2015).

    η is `alpha`, θ the `temperature`; p_θ and q_θ [n, classes] are the softmax of teacher's and student's logits over
    θ, `labels` [n] are classes. θ² makes up for gradients of the KL that fall as 1/θ². Raises ColdstartError for θ not
    above 0, η outside [0, 1], or shapes that do not fit.
    """
    from torch.nn import functional

    if not temperature > 0:
        raise ColdstartError(f"temperature: expected a number above 0, got {temperature!r}")
    if not 0 <= alpha <= 1:
        raise ColdstartError(f"alpha: expected a number from 0 to 1, got {alpha!r}")
    if student_logits.shape != teacher_logits.shape or labels.shape != student_logits.shape[:1]:
        shapes = [tuple(part.shape) for part in (student_logits, teacher_logits, labels)]
        raise ColdstartError(f"distillation_loss: expected shapes [n, c], [n, c] and [n], got {shapes}")
    classes = student_logits.shape[1]
    if labels.is_floating_point() or not bool(((labels >= 0) & (labels < classes)).all()):
        raise ColdstartError(f"labels: expected whole numbers of 0 to {classes - 1}, found another")
    p, q = ((logits / temperature).log_softmax(dim=1) for logits in (teacher_logits, student_logits))
    soft = temperature**2 * functional.kl_div(q, p, reduction="batchmean", log_target=True)
    return (1 - alpha) * functional.cross_entropy(student_logits, labels) + alpha * soft


def kernel_loss(Z: Tensor, taught: Tensor) -> Tensor:
    """Return how far the similarities of Z [n, d] are from those of taught [n, any], as a share of their variance.

    Similarities instead of vectors leave the student free to turn its space, and to have another width (similarity-
    preserving distillation, Tung & Mori 2019).
    """
    K = taught @ taught.T
    # Texts that are all alike have no variance to take a share of.
    return ((Z @ Z.T - K) ** 2).mean() / K.var(correction=0).clamp_min(1e-6)


# --- A student of few layers ------------------------------------------------------------------------------------------


def around(encoder: TextEncoder, model: Any) -> TextEncoder:
    """Return an encoder like `encoder` with another `model` of the same tokenizer in it; its vectors are not cached."""
    other = copy.copy(encoder)
    # What is kept under the encoder's name belongs to other weights.
    other.cache, other.backend = False, "torch"
    other.__dict__.pop("_forward", None)
    other.__dict__["model"] = model
    return other


def shallow(encoder: TextEncoder, layers: Sequence[int]) -> TextEncoder:
    """Return an encoder of copies of these `layers` of a BERT, with its embeddings (cf. DistilBERT, Sanh et al. 2019).

    Raises ColdstartError for no layer, or one that the model has not.
    """
    from torch.nn import ModuleList

    depth = len(encoder.model.encoder.layer)
    if not layers or not all(0 <= n < depth for n in layers):
        raise ColdstartError(f"layers: expected some of 0 to {depth - 1}, got {list(layers)}")
    model = copy.deepcopy(encoder.model)
    model.encoder.layer = ModuleList(model.encoder.layer[n] for n in layers)
    model.config.num_hidden_layers = len(layers)
    return around(encoder, model)


def deployed(encoder: TextEncoder, folder: Path) -> dict[str, TextEncoder]:
    """Write the model of `encoder` to `folder` as ONNX.onnx and int8.onnx, and return encoders 'ONNX' and 'int8' that
    run them (extra `[onnx]`).

    int8 keeps weights as whole numbers with one scale a tensor; activations are scaled as they come
    (Jacob et al. 2018).
    """
    export_onnx(encoder.model, folder / "ONNX.onnx")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It recommends a pass over shapes that changes nothing here, through the root logger.
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        quantize_dynamic(folder / "ONNX.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    finally:
        logging.disable(before)
    found = {}
    for name in ("ONNX", "int8"):
        found[name] = around(encoder, encoder.model)
        found[name].__dict__["_forward"] = onnx_forward(folder / f"{name}.onnx", encoder.pooling)
    return found


def student_loss(student: ItemTower, taught: Array) -> Loss:
    """Return the loss of a batch of rows: `kernel_loss` of their vectors to the teacher's, `taught` [items, any]."""
    import torch

    teacher = torch.as_tensor(taught, dtype=torch.float32)

    def loss(rows: Array) -> Tensor:
        Z = student.encode(rows)
        return kernel_loss(Z, teacher[rows].to(Z.device))

    return loss


# --- A student that is only a table -----------------------------------------------------------------------------------


class StaticTable:
    """One vector per token of `texts` and nothing else: a text is the sum of its tokens' vectors, at unit length.

    It starts from what `encoder` says of each token alone, weighted by log(1 + n/df), so that rare tokens count more
    (cf. SIF, Arora et al. 2017, and model2vec). Tokens that stand in no text are passed over; a text of only such
    tokens is a zero vector. `model` is what `finetuning.fit` trains. Raises ColdstartError if no text has a token.
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str]) -> None:
        import torch

        # The tokenizer's file, and whoever tokenized last, may have set it to pad and to cut.
        self._tokenizer = copy.deepcopy(encoder.tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        tokens = self._tokens(checked(texts))
        vocabulary, frequency = np.unique(np.concatenate([*map(np.unique, tokens), []]), return_counts=True)
        if not len(vocabulary):
            raise ColdstartError("StaticTable: expected texts with at least one token, found none")
        vocabulary = vocabulary.astype(int)
        self._row = np.full(self._tokenizer.get_vocab_size(), len(vocabulary))
        self._row[vocabulary] = np.arange(len(vocabulary))
        self._weight = np.log1p(len(tokens) / frequency)[:, None]
        self._start = encoder.encode([self._tokenizer.decode([token]) for token in vocabulary])
        n, d = self._start.shape
        self.model = torch.nn.EmbeddingBag(n + 1, d, mode="sum", padding_idx=n)
        self._set(self._start)

    def _set(self, vectors: Array) -> None:
        import torch

        with torch.no_grad():
            self.model.weight[:-1] = torch.as_tensor(vectors * self._weight)
            self.model.weight[-1] = 0

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # No offsets, no masks, no Python object per token: much of what a tokenizer's time goes to.
        return [own.ids for own in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def _bags(self, texts: Sequence[str]) -> tuple[Array, Array]:
        tokens = self._tokens(texts)
        return self._row[np.concatenate([*tokens, []]).astype(int)], np.cumsum([0, *map(len, tokens)])

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of `texts` [n, d], of unit length, through which gradients flow."""
        import torch

        rows, ends = self._bags(texts)
        summed = self.model(torch.from_numpy(rows), torch.from_numpy(ends[:-1]))
        return torch.nn.functional.normalize(summed)

    def learn(self, texts: Sequence[str], taught: Array, reg: float) -> None:
        """Set the table to the ridge solution that gives `texts` the teacher's vectors `taught` [n, d].

        W = W₀ + argmin_D ‖B·D − (Z − B·W₀)‖² + reg·‖D‖², B the weighted bags of tokens at unit length: where the texts
        say nothing of a token, it stays where it started. Raises ColdstartError for shapes that do not fit.
        """
        if taught.shape != (len(texts), self._start.shape[1]):
            expected = (len(texts), self._start.shape[1])
            raise ColdstartError(f"taught: expected vectors of shape {expected}, got {taught.shape}")
        rows, ends = self._bags(texts)
        counts = sparse.csr_matrix((np.ones(len(rows)), rows, ends), (len(texts), len(self._start) + 1))[:, :-1]
        B = unit_rows(counts @ sparse.diags_array(self._weight[:, 0]))
        start = B @ self._start
        scale = (start * taught).sum() / max((start**2).sum(), 1e-12)
        self._set(scale * self._start + ridge(B, taught - scale * start, reg))


def latency(model: TextEncoder | StaticTable, texts: Sequence[str], *, batch: int = 32, repeats: int = 20) -> float:
    """Return the median milliseconds that `model` takes from `batch` strings to their vectors, tokenising included."""
    taken = []
    for start in range(repeats):
        part = [texts[row % len(texts)] for row in range(start, start + batch)]
        begun = time.perf_counter()
        model.encode(part)
        taken.append(1000 * (time.perf_counter() - begun))
    return float(np.median(taken))
