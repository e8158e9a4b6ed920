"""The panel of a new item: a map that answers to the hand, an audience to bet on, words that carry."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import bqplot as bq
import ipywidgets as widgets
import numpy as np
import pandas as pd

from ..palette import BLUE, ORANGE, SKY
from .finder import Finder
from .item import NewItem, new_item, words
from .markup import audience_html, legend, marked_html, shown_html
from .state import LONGEST, MOST, ItemState, completed
from .stills import pole_name
from .view import View, box, classed, sentence
from .world import World

Array = np.ndarray

NAMED = 5  # neighbours whose names stand on the map
TURN = np.linspace(0, 2 * np.pi, 49)


class Map:
    """The map of all films: names under the pointer, neighbours named, the path of a new one and its ellipse.

    `chosen(name)` is called with the film that is clicked.
    """

    def __init__(self, world: World, chosen: Callable[[str], None]) -> None:
        self.world = world
        rows = np.flatnonzero(world.points.any(axis=1))
        self.names = np.array(world.names, object)
        low, high = world.points.min(axis=0), world.points.max(axis=0)
        self.low, self.high = low - 0.07 * (high - low), high + 0.07 * (high - low)
        self.scales = {
            axis: bq.LinearScale(min=float(self.low[n]), max=float(self.high[n])) for n, axis in enumerate("xy")
        }
        named = bq.Tooltip(fields=["name"], show_labels=False)
        x, y = world.points[rows].T
        self.dots = bq.Scatter(
            x=x, y=y, names=self.names[rows], display_names=False, scales=self.scales, colors=["#8b949e"],
            default_size=14, opacities=[0.55], stroke_width=0, tooltip=named,
        )  # fmt: skip
        self.near = self._points(SKY, 70, "circle", names=[], display_names=False, tooltip=named)
        self.near_names = bq.Label(x=[], y=[], text=[], scales=self.scales, default_size=12, y_offset=-8)
        self.ellipse = bq.Lines(
            x=[0], y=[0], scales=self.scales, colors=[BLUE], stroke_width=1, fill="inside", fill_opacities=[0.14]
        )
        self.path = bq.Lines(x=[0], y=[0], scales=self.scales, colors=[BLUE], stroke_width=2)
        self.start, self.end = self._points(BLUE, 130, "square"), self._points(ORANGE, 170, "circle")
        self.poles = bq.Label(
            x=[], y=[], text=[], scales=self.scales, default_size=13, font_weight="bold", align="middle"
        )
        self.dots.on_element_click(lambda _, event: chosen(str(self.names[rows[event["data"]["index"]]])))
        self.near.on_element_click(lambda _, event: chosen(str(self.near.names[event["data"]["index"]])))
        self.figure = bq.Figure(
            marks=[self.dots, self.ellipse, self.path, self.near, self.start, self.end, self.near_names, self.poles],
            fig_margin={"top": 8, "bottom": 8, "left": 8, "right": 8},
            animation_duration=220, padding_x=0, padding_y=0, display_toolbar=False,
            background_style={"fill": "transparent"}, layout={"width": "100%", "height": "480px"},
        )  # fmt: skip
        classed(self.figure, "cs-map")

    def _points(self, colour: str, size: int, marker: str, **more: object) -> bq.Scatter:
        return bq.Scatter(
            x=[], y=[], scales=self.scales, colors=[colour], default_size=size, marker=marker, stroke="white", **more
        )

    def show(self, result: NewItem) -> None:
        """Move the marks to where the result says."""
        at = result.path.iloc[-1]
        moved = {
            self.ellipse: ellipse(at),
            self.path: result.path[["x", "y"]].to_numpy(),
            self.start: result.path[["x", "y"]].to_numpy()[:1],
            self.end: result.path[["x", "y"]].to_numpy()[-1:],
        }
        for mark, points in moved.items():
            with mark.hold_sync():
                mark.x, mark.y = points.T
        names = result.neighbours["film"].to_numpy()
        if list(names) != list(self.near.names):
            self._show_neighbours(names)

    def _show_neighbours(self, names: Array) -> None:
        points = self.world.points[[self.world.row[name] for name in names]].reshape(-1, 2)
        with self.near.hold_sync():
            self.near.names, (self.near.x, self.near.y) = names, points.T
        first = points[:NAMED]
        to_left = first[:, 0] > self.low[0] + 0.62 * (self.high[0] - self.low[0])
        shift = np.where(to_left, -1, 1) * 0.015 * (self.high[0] - self.low[0])
        with self.near_names.hold_sync():
            self.near_names.text = [_short(name) for name in names[:NAMED]]
            self.near_names.x = first[:, 0] + shift
            self.near_names.y = apart(first[:, 1], 0.045 * (self.high[1] - self.low[1]))

    def speak(self, language: str) -> None:
        """Name the ends of both axes."""
        ends = [pole_name(pole, language) for pole in (*self.world.x_poles, *self.world.y_poles)]
        marks = ("← {}", "{} →", "↓ {}", "↑ {}")
        (left, low), (right, high) = self.low, self.high
        inset_x, inset_y = 0.17 * (right - left), 0.03 * (high - low)
        with self.poles.hold_sync():
            self.poles.text = [mark.format(end) if end else "" for mark, end in zip(marks, ends)]
            self.poles.x = [left + inset_x, right - inset_x, (left + right) / 2, (left + right) / 2]
            # The lower end of the second axis has a line of its own: side by side they meet where the map is narrow.
            self.poles.y = [low + inset_y * 3, low + inset_y * 3, low + inset_y * 0.8, high - inset_y]


def ellipse(at: pd.Series) -> Array:
    """Return the outline [49, 2] of an ellipse with centre x, y, a width, a height and an angle in degrees."""
    turned = np.radians(at["angle"])
    across, along = at["width"] / 2 * np.cos(TURN), at["height"] / 2 * np.sin(TURN)
    x = at["x"] + across * np.cos(turned) - along * np.sin(turned)
    return np.column_stack([x, at["y"] + across * np.sin(turned) + along * np.cos(turned)])


def apart(places: Array, gap: float) -> Array:
    """Return the places [n] moved up as little as keeps each a gap from the one below."""
    order = np.argsort(places)
    moved = places.astype(float).copy()
    for before, this in pairwise(order):
        moved[this] = max(moved[this], moved[before] + gap)
    return moved


def _short(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


class ItemView(View[ItemState, NewItem]):
    """The panel of a new item."""

    world: World

    kind = "item"

    def build(self) -> list[widgets.Widget]:
        """Make the widgets: what is known at the left, the map in the middle, the audience at the right."""
        self.finder = Finder(self.world, "film", {"film": self.telling(self.play)})
        self.map = Map(self.world, self.telling(self.play))
        self.status, self.keys_of_map, self.audience, self.shown, self.text = (widgets.HTML() for _ in range(5))
        self.marked: ItemState | None = None
        classed(self.status, "cs-status")
        self.revealed = classed(widgets.ToggleButton(), "cs-button", "cs-reveal")
        self.revealed.observe(lambda _: self.guarded(self.show_audience), names="value")
        controls = box([self.finder, *self._written(), *self._marking()], "cs-card", "cs-controls")
        self.stage = box([self.status, self.keys_of_map, self.map.figure, self._arriving()], "cs-card", "cs-stage")
        audience = box([self.audience, self.revealed, self.shown], "cs-card", "cs-side")
        return [box([controls, self.stage, audience], "cs-grid")]

    def _written(self) -> list[widgets.Widget]:
        """Return the fields of what is written about the item, those that the catalogue has."""
        known = self.world.vocabulary
        made: list[widgets.Widget] = []
        if "title" not in self.world.absent:
            made.append(self.field("title", widgets.Text()))
        if "year" not in self.world.absent:
            made.append(self.field("year", widgets.Combobox(options=known["year"])))
        self.genres = {
            name: classed(widgets.ToggleButton(description=name), "cs-chip") for name in known.get("genres", ())
        }
        for chip in self.genres.values():
            chip.observe(lambda _: self.guarded(self.edit_genres), names="value")
        self.genres_name = classed(widgets.HTML(), "cs-label")
        if self.genres:
            made.append(box([self.genres_name, box([*self.genres.values()], "cs-chips")], "cs-group"))
        made.append(self.field("description", widgets.Textarea(rows=5)))
        return made

    def _marking(self) -> list[widgets.Widget]:
        return [self.button("mark", self.mark), classed(self.text, "cs-text")]

    def _arriving(self) -> widgets.Box:
        """Return the slider of choices and the button that plays it."""
        slider = self.field("k", widgets.IntSlider(max=MOST["k"]))
        # The clock runs in the browser. Its own buttons have no names, so that another one starts and stops it.
        self.clock = classed(widgets.Play(max=MOST["k"], interval=450, show_repeat=False), "cs-hidden")
        widgets.jslink((self.clock, "value"), (slider, "value"))
        self.clock.observe(lambda _: self.label_player(), names="playing")
        self.player = box([self.button("play", self.start_or_stop), slider, self.clock], "cs-player")
        return self.player

    def start_or_stop(self) -> None:
        """Let choices arrive one after another, from the first if all are there, or stop that."""
        if not self.clock.playing and self.state.k == self.clock.max:
            self.fields["k"].value = 0
        self.clock.playing = not self.clock.playing

    def label_player(self) -> None:
        """Name the button that starts and stops the clock."""
        key = "pause" if self.clock.playing else "play"
        self.buttons["play"].description, self.buttons["play"].tooltip = self.say(key), self.say(f"{key} choices")

    def play(self, film: str) -> None:
        """Let a film of the catalogue play new."""
        self.revealed.value = self.clock.playing = False
        self.become(completed(self.world, ItemState(film)))
        self.mark()

    def edit_genres(self) -> None:
        """Take over the genres that are pressed."""
        if not self.busy:
            self.become(replace(self.state, genres=tuple(name for name, chip in self.genres.items() if chip.value)))

    def show_controls(self) -> None:
        """Set controls to the state."""
        most = int(min(MOST["k"], self.world.counts[self.world.row[self.state.film]])) if self.state.film else 0
        self.fields["k"].max = self.clock.max = max(most, self.state.k, 1)
        self.player.layout.visibility = "visible" if most else "hidden"
        super().show_controls()
        for name, chip in self.genres.items():
            chip.value = name in (self.state.genres or ())

    def compute(self) -> NewItem:
        """Return what is predicted."""
        return new_item(self.world, self.state)

    def show(self, result: NewItem) -> None:
        """Move the map, fill the audience, and show the text without marks that are no longer its own."""
        self.map.show(result)
        self.show_audience()
        said = self.say("plays new", film=self.state.film, k=result.k, of=result.of) if result.of else self.say("typed")
        if max(len(self.state.title or ""), len(self.state.description or "")) > LONGEST:
            said += " " + self.say("cut", n=LONGEST)
        self.status.value = sentence(said)
        if self.marked != replace(self.state, k=0):
            self.text.value = ""

    def show_audience(self) -> None:
        """Fill the bars, and once revealed the truth."""
        if (result := self.result) is None:
            return
        reveal = self.revealed.value and result.of > 0
        self.revealed.layout.display = "" if result.of else "none"
        self.revealed.description = self.say("hide" if self.revealed.value else "reveal")
        self.audience.value = audience_html(result, reveal, self.say)
        self.shown.value = shown_html(result, reveal, self.say)

    def mark(self) -> None:
        """Mark the words that carry the prediction in the text."""
        carried, self.marked = words(self.world, self.state), replace(self.state, k=0)
        self.text.value = marked_html(self.state, carried, self.say)

    def label(self) -> None:
        """Name everything in the view's language."""
        super().label()
        self.finder.speak(self.language)
        self.map.speak(self.language)
        marks = {"cs-start": "by text", "cs-end": "with choices", "cs-near": "near"}
        self.keys_of_map.value = legend([(style, self.say(key)) for style, key in marks.items()])
        self.genres_name.value = html.escape(self.say("genres"))
        self.label_player()

    def refresh(self) -> None:
        """Show the state, and at the first sight also the words that carry it."""
        first = self.result is None
        super().refresh()
        if first:
            self.guarded(self.mark)
