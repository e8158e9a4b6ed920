"""The panel of a policy: a point to drag along a front, dials, and two pinned policies side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import bqplot as bq
import ipywidgets as widgets
import numpy as np
import pandas as pd

from ..palette import BLUE, GREEN, INK, ORANGE
from .bench import DIALS
from .markup import changes_html, legend, places_html
from .policy import PolicyResult, policy
from .state import PolicyState
from .view import View, box, classed, sentence
from .world import World

MARKS = {"now": ("circle", INK, 260), "A": ("square", BLUE, 190), "B": ("diamond", ORANGE, 220)}


class Plane:
    """Policies between exposure of the tail and accuracy; every dot says its dials, one can be dragged.

    `dragged(places)` is called with the number of reserved places where the dragged point is nearest.
    """

    def __init__(self, world: World, dragged: Callable[[int], None]) -> None:
        self.world, self.dragged = world, dragged
        top = 1.12 * max(world.front["ndcg"].max(), world.grid["ndcg"].max())
        self.scales = {"x": bq.LinearScale(min=-0.02, max=1.02), "y": bq.LinearScale(min=0, max=float(top))}
        self.grid = self._points("#8b949e", 34, "circle", world.grid)
        self.front = self._points(GREEN, 26, "circle", world.front)
        self.line = bq.Lines(
            x=world.front["tail"], y=world.front["ndcg"], scales=self.scales, colors=[GREEN], stroke_width=2.5
        )
        self.marks = {name: self._points(colour, size, marker) for name, (marker, colour, size) in MARKS.items()}
        self.marks["now"] = self._movable()
        self.x = bq.Axis(
            scale=self.scales["x"], tick_values=np.linspace(0, 1, 6), tick_format=".0%", grid_lines="none",
            label_offset="2.4em",
        )  # fmt: skip
        self.y = bq.Axis(
            scale=self.scales["y"], tick_values=np.arange(0, top, 0.1), tick_format=".1f", orientation="vertical",
            label_offset="3.4em",
        )  # fmt: skip
        self.figure = bq.Figure(
            marks=[self.grid, self.line, self.front, *reversed(self.marks.values())], axes=[self.x, self.y],
            fig_margin={"top": 12, "bottom": 44, "left": 68, "right": 14},
            animation_duration=150, padding_x=0, padding_y=0, display_toolbar=False,
            background_style={"fill": "transparent"}, layout={"width": "100%", "height": "460px"},
        )  # fmt: skip
        classed(self.figure, "cs-plane")

    def _points(self, colour: str, size: int, marker: str, rows: pd.DataFrame | None = None) -> bq.Scatter:
        x, y = ([], []) if rows is None else (rows["tail"], rows["ndcg"])
        return bq.Scatter(
            x=x, y=y, names=[], display_names=False, tooltip=bq.Tooltip(fields=["name"], show_labels=False),
            scales=self.scales, colors=[colour], default_size=size, marker=marker, stroke="white",
        )  # fmt: skip

    def _movable(self) -> bq.Scatter:
        marker, colour, size = MARKS["now"]
        mark = self._points(colour, size, marker)
        mark.enable_move = True
        mark.on_drag_end(lambda _, event: self._let_go(event["point"]["x"]))
        return mark

    def _let_go(self, tail: float) -> None:
        # The browser keeps what was dragged where it was let go, whatever it is told: a new mark comes to its place.
        old, self.marks["now"] = self.marks["now"], self._movable()
        self.figure.marks = [self.marks["now"] if mark is old else mark for mark in self.figure.marks]
        old.close()
        self.dragged(self.nearest(tail))

    def nearest(self, tail: float) -> int:
        """Return the number of reserved places of the policy on the front whose tail has about this share."""
        return int(self.world.front["reserve"].iloc[int(np.argmin(np.abs(self.world.front["tail"] - tail)))])

    def show(self, result: PolicyResult, named: Callable[[pd.Series], str]) -> None:
        """Move the marks to where the result says."""
        points = result.points.set_index("policy", drop=False)
        for name, mark in self.marks.items():
            own = points[points.index == name]
            with mark.hold_sync():
                mark.x, mark.y = own["tail"].to_numpy(), own["ndcg"].to_numpy()
                mark.names = [named(row) for _, row in own.iterrows()]

    def speak(self, named: Callable[[pd.Series], str], x: str, y: str) -> None:
        """Name the axes and every dot."""
        self.x.label, self.y.label = x, y
        self.grid.names = [named(row) for _, row in self.world.grid.iterrows()]
        self.front.names = [named(row) for _, row in self.world.front.iterrows()]


class PolicyView(View[PolicyState, PolicyResult]):
    """The panel of a policy."""

    world: World

    kind = "policy"

    def build(self) -> list[widgets.Widget]:
        """Make the widgets: dials at the left, the plane in the middle, what changes at the right."""
        self.plane = Plane(self.world, self.telling(self.drag))
        self.status, self.keys_of_plane, self.places, self.changes = (widgets.HTML() for _ in range(4))
        classed(self.status, "cs-status")
        most = int(self.world.front["reserve"].max())
        dials = [self.field("reserve", widgets.IntSlider(max=most))]
        dials += [self.field(name, widgets.FloatSlider(max=1, step=0.05)) for name in DIALS if name != "reserve"]
        pins = [self.button(name, partial(self.pin, name), f"cs-pin-{name}") for name in "AB"]
        pins.append(self.button("unpin", self.unpin))
        controls = box([*dials, box(pins, "cs-chips")], "cs-card", "cs-controls")
        middle = box([self.status, self.keys_of_plane, self.plane.figure, self.places], "cs-card", "cs-stage")
        return [box([controls, middle, box([self.changes], "cs-card", "cs-side")], "cs-grid")]

    def drag(self, places: int) -> None:
        """Take the policy on the front that reserves so many places for the tail, with nothing else turned."""
        self.become(replace(PolicyState(reserve=places), A=self.state.A, B=self.state.B), "reserve")

    def pin(self, name: str) -> None:
        """Pin the dials as policy A or B."""
        dials = self.state.dials()
        self.become(replace(self.state, A=dials) if name == "A" else replace(self.state, B=dials))

    def unpin(self) -> None:
        """Take both pins out."""
        self.become(replace(self.state, A=None, B=None))

    def compute(self) -> PolicyResult:
        """Return where the policies stand."""
        return policy(self.world, self.state)

    def show(self, result: PolicyResult) -> None:
        """Move the marks, and fill the tables."""
        self.plane.show(result, self.named)
        self.places.value = places_html(result, self.say)
        names = "A" if self.state.A else self.say("now"), "B" if self.state.B else self.say("now")
        self.changes.value = changes_html(result, names, self.say)
        self.status.value = sentence(self.say("place", **result.points.iloc[0].to_dict() | {"policy": self.say("now")}))

    def named(self, row: pd.Series) -> str:
        """Return what a dot says: its dials that are turned, and where it stands."""
        turned = [f"{self.say(name)} {row[name]:g}" for name in DIALS if row[name]]
        return f"{', '.join(turned) or self.say('nothing turned')} · NDCG {row['ndcg']:.3f}"

    def label(self) -> None:
        """Name everything in the view's language."""
        super().label()
        self.keys_of_plane.value = legend([("cs-line", self.say("front")), ("cs-grey", self.say("grid"))])
        self.plane.speak(self.named, self.say("tail x"), self.say("ndcg"))
