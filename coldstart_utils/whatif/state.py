"""The state of a panel, checked against the catalogue and completed from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..catalogue import features
from ..ground import ColdstartError
from .bench import DIALS
from .world import World

LONGEST = 600
State = dict[str, Any]
Frames = dict[str, pd.DataFrame]
START: dict[str, State] = {
    "item": {"film": "", "title": "", "year": "", "genres": [], "description": "", "k": 0},
    "user": {"liked": [], "disliked": [], "age": 0, "occupation": "", "sentence": ""},
    "policy": dict.fromkeys(DIALS, 0.0) | {"A": {}, "B": {}},
}
MOST = {"k": 50, "age": 120} | dict.fromkeys(DIALS, 1)


def checked(world: World, kind: str, state: Mapping[str, Any]) -> State:
    """Return the state of the panel `kind` with all its keys; what a film leaves unsaid is taken from the catalogue.

    Raises ColdstartError for a key, type, name or number that the panel does not have.
    """
    if not isinstance(state, dict) or not set(state) <= set(START[kind]):
        raise ColdstartError(f"scene, {kind}: expected {', '.join(START[kind])}, got {str(state)[:80]}")
    full = START[kind] | own_fields(world, state.get("film", "")) | state
    jobs = ["", *world.dataset.users.get("occupation", [])]
    known = {"film": ["", *world.row], "liked": world.row, "disliked": world.row, "occupation": jobs,
             "genres": world.vocabulary.get("genres", [])}  # fmt: skip
    for key, value in full.items():
        like, told = START[kind][key], f"scene, {kind}, {key}: expected"
        number = isinstance(like, int | float)
        if isinstance(value, bool) or not isinstance(value, int | float if number else type(like)):
            raise ColdstartError(f"{told} a value like {like!r}, got {str(value)[:80]}")
        if number and (not 0 <= value <= MOST[key] or (isinstance(like, int) and value != int(value))):
            raise ColdstartError(f"{told} a number from 0 to {MOST[key]}, got {value}")
        for one in (value if isinstance(like, list) else [value]) if key in known else []:
            if not isinstance(one, str) or one not in known[key]:
                raise ColdstartError(f"{told} what is in the catalogue; {str(one)[:60]!r} is not")
        if isinstance(like, dict) and value:
            full[key] = {dial: checked(world, kind, value)[dial] for dial in DIALS}
    return full


def own_fields(world: World, film: str) -> State:
    """Return title, year, genres and description that the catalogue has of a film, none for another name."""
    row = world.dataset.items.iloc[world.row[film]] if isinstance(film, str) and film in world.row else {}
    columns = {"title": "title", "year": "year", "genres": "genres", "description": world.body}
    found = {key: features.as_text(row[column]) for key, column in columns.items() if column in row}
    return found | ({"genres": found["genres"].split()} if "genres" in found else {})
