"""The model as versioned files: written aside, named with their checksum, and the last sound one is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..ground import ColdstartError, written_aside
from ..models.content import unit_rows
from .belief import Belief

Array = np.ndarray

FOLDER, KEPT = "models", 3
NAME = re.compile(r"(\d{6})-([0-9a-f]{12})\.npz")


@dataclass(frozen=True, eq=False)
class Model:
    """What was learnt from a store up to the moment `until` (as `Reader.latest`).

    `numbers` [n] of the items then and their factors `V` float32 [n, rank]; `mean` [rank], `covariance` [rank, rank]
    and `noise` are the belief about a user before the first event. A later item with features f [d] gets the factor
    `intercept` + f·`W`: f is its text vector, then which of the `tokens` it has; `spread` [rank, rank] is how far
    such guesses miss, as a covariance. `name` is 'none' before it is saved.
    """

    numbers: Array
    V: Array
    mean: Array
    covariance: Array
    noise: float
    intercept: Array
    W: Array
    spread: Array
    tokens: Array
    until: float
    name: str = "none"

    @property
    def prior(self) -> Belief:
        """The belief about a user before the first event."""
        return Belief(self.mean, self.covariance, float(self.noise))

    def factors(self, vectors: Array, attributes: Sequence[Mapping[str, Sequence[str]]]) -> Array:
        """Return the factors, float32 [n, rank], of items nobody has chosen, from text vectors [n, d] and attributes.

        Raises ColdstartError if the vectors are those of another language model.
        """
        features = features_of(vectors, attributes, self.tokens.tolist())
        if features.shape[1] != len(self.W):
            raise ColdstartError(f"model {self.name}: its text vectors have another length than {vectors.shape[1]}")
        return (self.intercept + features @ self.W).astype(np.float32)


def tokens_of(attributes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the attributes of an item as tokens, such as 'genres=Comedy'."""
    return [f"{name}={entry}" for name, entries in attributes.items() for entry in entries]


def features_of(vectors: Array, attributes: Sequence[Mapping[str, Sequence[str]]], tokens: Sequence[str]) -> Array:
    """Return features [n, d]: text vectors, then which of the `tokens` an item has, each part at unit length."""
    place = {token: column for column, token in enumerate(tokens)}
    has = np.zeros((len(vectors), len(tokens)))
    for row, own in enumerate(attributes):
        has[row, [place[token] for token in tokens_of(own) if token in place]] = 1
    return np.hstack([unit_rows(np.asarray(vectors, float)), unit_rows(has)])


def save(model: Model, folder: Path) -> str:
    """Write a model as the next version into `folder`/models, remove all but the last few, and return its name."""
    known = versions(folder)
    number = int(known[-1].name[:6]) + 1 if known else 1
    target = folder / FOLDER / f"{number:06}.npz"
    content: dict[str, Any] = {
        field.name: np.asarray(getattr(model, field.name)) for field in fields(Model) if field.name != "name"
    }
    with written_aside(target) as aside:
        with aside.open("wb") as file:
            np.savez(file, **content)
        checksum = _checksum(aside)
    # The name that counts carries the checksum: only a file that was written whole gets it.
    named = target.with_name(f"{number:06}-{checksum}.npz")
    target.rename(named)
    for path in known[: -KEPT + 1]:
        path.unlink(missing_ok=True)
    return named.stem


def versions(folder: Path) -> list[Path]:
    """Return the model files of `folder`/models, the newest last."""
    return sorted(path for path in (folder / FOLDER).glob("*.npz") if NAME.fullmatch(path.name))


def load(folder: Path, told: list[str] | None = None) -> Model | None:
    """Return the newest model whose checksum fits, None if there is none; what is passed over is added to `told`."""
    for path in reversed(versions(folder)):
        if _checksum(path) == path.stem[7:]:
            return _read(path)
        if told is not None:
            told.append(f"{path}: damaged, passed over")
    return None


def _read(path: Path) -> Model:
    with np.load(path, allow_pickle=False) as stored:
        parts = {name: stored[name] for name in stored.files}
    scalars = {name: float(parts[name]) for name in ("noise", "until")}
    return Model(**(parts | scalars), name=path.stem)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
