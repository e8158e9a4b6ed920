"""The panel of a new user: a list that says why, what the last answer changed, and what to ask next."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace

import bqplot as bq
import ipywidgets as widgets
import numpy as np

from ..palette import BLUE, ORANGE
from .finder import Finder
from .markup import list_html
from .state import LONGEST, MOST, UserState
from .user import NewUser, new_user
from .view import View, box, classed, sentence
from .world import World


class Curve:
    """Recall of held-out users like this one by the number of choices known, and where this user stands."""

    def __init__(self, shots: list[int], top: float) -> None:
        self.shots = shots
        scales = {"x": bq.LinearScale(min=-0.3, max=len(shots) - 0.7), "y": bq.LinearScale(min=0, max=top)}
        self.band = bq.Lines(x=[0], y=[[0], [0]], scales=scales, colors=[BLUE], fill="between", fill_colors=[BLUE],
                             fill_opacities=[0.16, 0.16], opacities=[0, 0])  # fmt: skip
        self.line = bq.Lines(x=[0], y=[0], scales=scales, colors=[BLUE], stroke_width=2, marker="circle")
        self.here = bq.Scatter(x=[0], y=[0], scales=scales, colors=[ORANGE], default_size=170, stroke="white",
                               names=[""], display_names=False,
                               tooltip=bq.Tooltip(fields=["name"], show_labels=False))  # fmt: skip
        self.x = bq.Axis(scale=scales["x"], tick_values=list(range(len(shots))), grid_lines="none",
                         tick_labels={str(at): str(k) for at, k in enumerate(shots)}, label_offset="2.5em")  # fmt: skip
        self.y = bq.Axis(scale=scales["y"], orientation="vertical", tick_values=np.arange(0, top, 0.1),
                         tick_format=".1f", grid_lines="solid")  # fmt: skip
        self.figure = bq.Figure(
            marks=[self.band, self.line, self.here], axes=[self.x, self.y],
            animation_duration=220, padding_x=0, padding_y=0, display_toolbar=False,
            fig_margin={"top": 10, "bottom": 50, "left": 34, "right": 10},
            background_style={"fill": "transparent"}, layout={"width": "100%", "height": "260px"},
        )  # fmt: skip
        classed(self.figure, "cs-curve")

    def show(self, result: NewUser) -> None:
        """Draw the curve of a result."""
        curve, at = result.recall, np.arange(len(result.recall))
        with self.band.hold_sync():
            self.band.x, self.band.y = at, [curve["low"].to_numpy(), curve["high"].to_numpy()]
        with self.line.hold_sync():
            self.line.x, self.line.y = at, curve["mean"].to_numpy()
        here = max(0, int(np.searchsorted(curve["k"], result.k, side="right")) - 1)
        with self.here.hold_sync():
            self.here.x, self.here.y = [here], [float(curve["mean"].iloc[here])]
            self.here.names = [f"{curve['mean'].iloc[here]:.3f}"]


class UserView(View[UserState, NewUser]):
    """The panel of a new user."""

    world: World

    kind = "user"

    def build(self) -> list[widgets.Widget]:
        """Make the widgets: answers at the left, the list in the middle, the next question and recall at the right."""
        self.before: dict[str, int] | None = None
        self.finder = Finder(
            self.world, "pick", {"like": self.telling(self.like), "dislike": self.telling(self.dislike)}
        )
        self.chips, self.chips_name = box([], "cs-chips"), classed(widgets.HTML(), "cs-label")
        self.list, self.status, self.like_these, self.question = (widgets.HTML() for _ in range(4))
        classed(self.status, "cs-status")
        recall = self.world.recall.groupby("k")["recall"].mean()
        self.curve = Curve([int(k) for k in recall.index], 1.4 * float(recall.max()))
        answers = box(
            [self.finder, box([self.chips_name, self.chips], "cs-group"), *self._told()], "cs-card", "cs-controls"
        )
        middle = box([self.status, self.list], "cs-card", "cs-stage")
        side = box([self._asking(), box([self.like_these, self.curve.figure], "cs-card")], "cs-side")
        return [box([answers, middle, side], "cs-grid")]

    def _told(self) -> list[widgets.Widget]:
        """Return the fields of what a user says, those that the catalogue has."""
        made: list[widgets.Widget] = []
        if "age" not in self.world.absent:
            made.append(self.field("age", widgets.BoundedIntText(max=int(MOST["age"]))))
        if "occupation" not in self.world.absent:
            jobs = ["", *sorted(set(self.world.dataset.users["occupation"]) - {""})]
            made.append(self.field("occupation", widgets.Dropdown(options=jobs)))
        return [*made, self.field("sentence", widgets.Textarea(rows=3))]

    def _asking(self) -> widgets.Box:
        answers = [
            self.button("yes", lambda: self.answer(self.like), "cs-yes"),
            self.button("no", lambda: self.answer(self.dislike), "cs-no"),
            self.button("never seen", lambda: self.answer(self.skip)),
        ]
        return box([self.question, box(answers, "cs-chips")], "cs-card", "cs-ask")

    def asked(self) -> str:
        """Return the film of the next question, '' if none is left."""
        return str(self.result.ask["film"].iloc[0]) if self.result and len(self.result.ask) else ""

    def answer(self, take: Callable[[str], None]) -> None:
        """Let `take` have the film of the next question, if one is left."""
        if film := self.asked():
            take(film)

    def like(self, film: str) -> None:
        """Add a film to those that are liked."""
        left = self._without(film)
        self.become(replace(left, liked=(*left.liked, film)))

    def dislike(self, film: str) -> None:
        """Add a film to those that are not liked."""
        left = self._without(film)
        self.become(replace(left, disliked=(*left.disliked, film)))

    def skip(self, film: str) -> None:
        """Do not ask about a film again."""
        self.become(replace(self.state, unseen=(*self.state.unseen, film)))

    def remove(self, film: str) -> None:
        """Take back what was said about a film."""
        self.become(self._without(film))

    def _without(self, film: str) -> UserState:
        liked, disliked, unseen = (
            tuple(one for one in names if one != film)
            for names in (self.state.liked, self.state.disliked, self.state.unseen)
        )
        return replace(self.state, liked=liked, disliked=disliked, unseen=unseen)

    def step(self) -> None:
        """Note the places of the films before a new answer."""
        if self.result is not None:
            self.before = {film: place for place, film in enumerate(self.result.entries["film"])}

    def show_controls(self) -> None:
        """Set controls to the state."""
        super().show_controls()
        answers = [(film, "yes") for film in self.state.liked] + [(film, "no") for film in self.state.disliked]
        self.chips.children = [self._chip(film, answer) for film, answer in answers]

    def _chip(self, film: str, answer: str) -> widgets.Button:
        chip = widgets.Button(description=f"{'+' if answer == 'yes' else '−'} {film}  ×", tooltip=self.say("remove"))
        chip.on_click(lambda _: self.guarded(lambda: self.remove(film)))
        return classed(chip, "cs-chip", f"cs-{answer}")

    def compute(self) -> NewUser:
        """Return the list of this user."""
        return new_user(self.world, self.state)

    def show(self, result: NewUser) -> None:
        """Fill the list, the curve and the question."""
        said = self.say("measures", tail=result.tail, variety=result.variety)
        if len(self.state.sentence) > LONGEST:
            said += " " + self.say("cut", n=LONGEST)
        self.status.value = sentence(said)
        self.list.value = list_html(result, self.before, self.say, self.language)
        self.curve.show(result)
        size = int(result.recall["size"].max())
        like = self.say("like these" if result.like else "everyone", like=result.like, n=size)
        self.like_these.value = f"<h4>{html.escape(self.say('recall'))}</h4><p>{html.escape(like)}</p>"
        film = self.asked()
        told = self.say("ask", film=film) if film else self.say("nothing to ask")
        self.question.value = (
            f"<h4>{html.escape(self.say('next question'))}</h4><p class='cs-question'>{html.escape(told)}</p>"
        )

    def label(self) -> None:
        """Name everything in the view's language."""
        super().label()
        self.finder.speak(self.language)
        self.chips_name.value = html.escape(self.say("chosen"))
        self.curve.x.label = self.say("shots")
