"""A box to find a film by a part of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import ipywidgets as widgets
import numpy as np

from .labels import say
from .view import box, classed, sentence

Array = np.ndarray

OFFERED = 6


class Named(Protocol):
    """What has items: their names, and how often each was chosen [items]."""

    @property
    def names(self) -> list[str]:
        """Return the names of the items."""

    @property
    def counts(self) -> Array:
        """Return how often each was chosen [items]."""


def matches(world: Named, text: str, n: int = OFFERED) -> tuple[list[str], int]:
    """Return up to n names that hold `text`, and how many do.

    Names that begin with it come first, then names with a word that does, those that more people chose first.
    """
    wanted = " ".join(text.lower().split())
    if not wanted:
        return [], 0
    found = [(row, name.lower()) for row, name in enumerate(world.names) if wanted in name.lower()]
    found.sort(key=lambda one: (not one[1].startswith(wanted), f" {wanted}" not in one[1], -world.counts[one[0]]))
    return [world.names[row] for row, _ in found[:n]], len(found)


class Finder(widgets.VBox):
    """A box to type in, and the films that match below it, with a button for each of the `actions` on a film.

    `actions` maps the key of a label to what is done with the name; the first is also done by the name itself.
    """

    def __init__(self, world: Named, label: str, actions: dict[str, Callable[[str], None]]) -> None:
        self.world, self.label_key, self.actions, self.language = world, label, actions, "en"
        self.box = classed(widgets.Text(placeholder="Fargo"), "cs-field")
        self.note = classed(widgets.HTML(), "cs-note")
        self.rows = [self._row() for _ in range(OFFERED)]
        self.box.observe(lambda _: self.offer(), names="value")
        super().__init__([self.box, *(row for row, _ in self.rows), self.note])
        classed(self, "cs-finder")

    def _row(self) -> tuple[widgets.Box, dict[str, widgets.Button]]:
        buttons = {key: classed(widgets.Button(), "cs-offer", f"cs-do-{key}") for key in ("name", *self.actions)}
        for key, button in buttons.items():
            act = self.actions.get(key, next(iter(self.actions.values())))
            button.on_click(lambda _, act=act: self._choose(act, buttons["name"].description))
        shown = buttons if len(self.actions) > 1 else {"name": buttons["name"]}
        row = box(list(shown.values()), "cs-offers")
        row.layout.display = "none"
        return row, buttons

    def _choose(self, act: Callable[[str], None], name: str) -> None:
        act(name)
        self.box.value = ""

    def offer(self) -> None:
        """Show what matches the box."""
        names, n = matches(self.world, self.box.value)
        for (row, buttons), name in zip(self.rows, [*names, *[""] * OFFERED]):
            row.layout.display = "" if name else "none"
            buttons["name"].description = buttons["name"].tooltip = name
        told = ""
        if self.box.value.strip():
            told = say("matches" if n else "no match", self.language, n=n, text=self.box.value.strip()[:60])
        self.note.value = sentence(told, alert=bool(told and not n)) if not n or n > OFFERED else ""

    def speak(self, language: str) -> None:
        """Say everything in the language 'en' or 'zh'."""
        self.language = language
        self.box.description = say(self.label_key, language)
        self.box.placeholder = say("begin to type", language, film=self.world.names[int(np.argmax(self.world.counts))])
        for _, buttons in self.rows:
            for key in self.actions:
                buttons[key].description = say(f"short {key}", language)
                buttons[key].tooltip = say(key, language)
        self.offer()
