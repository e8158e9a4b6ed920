"""Where questions are asked: an engine over the items, and people whose taste one of the answers knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..catalogue.dataset import Dataset
from ..language import context
from ..language.fields import Engine

Array = np.ndarray

EXAMPLES = (
    "a boy hides a creature from space from the government",
    "the one with the bus that must not slow down",
    "Hitchcock, 1958",
    "a film without violence for my grandmother",
)
MEANT = "E.T. the Extra-Terrestrial (1982)"


@dataclass(frozen=True, eq=False)
class Desk:
    """Where questions are asked about the items `names`, which lie at `row` and were chosen `counts` [items] times.

    `people` are the tastes of some users, what each would give every item [items], by what is said about them.
    `examples` are questions to begin with, and `meant` is the film that the first of them means, '' if none is.
    """

    engine: Engine
    names: list[str]
    row: dict[str, int]
    counts: Array
    people: dict[str, Array]
    examples: tuple[str, ...]
    meant: str


def desk_of(dataset: Dataset, engine: Engine, names: list[str], U: Array, V: Array) -> Desk:
    """Return the desk of a catalogue, with eight of its most active users, of factors U [users, rank], V [items, rank].

    `names` [items] are unique.
    """
    X = dataset.matrix()
    counts = np.asarray(X.sum(axis=0)).ravel()
    row = {name: place for place, name in enumerate(names)}
    best_known = names[int(counts.argmax())]
    examples, meant = (EXAMPLES, MEANT) if dataset.name == "ml-100k" else ((best_known,), best_known)
    meant = meant if meant in row else ""
    return Desk(engine, names, row, counts, _people(dataset, X.sum(axis=1).A1, U, V), examples, meant)


def _people(dataset: Dataset, active: Array, U: Array, V: Array) -> dict[str, Array]:
    """Return the tastes [items] of eight of the two hundred users who chose most, by what is said about them."""
    users = dataset.users
    said = context.user_texts(dataset) if users.shape[1] > 1 else [f"user {name}" for name in users["user_id"]]
    chosen = np.argsort(-active, kind="stable")[:200]
    return {
        f"{said[u].rstrip('.')} · {n}": U[u] @ V.T for n, u in enumerate(chosen[:: max(1, len(chosen) // 8)][:8], 1)
    }
