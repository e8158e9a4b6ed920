"""The panel of a question: what is wanted, four lists that answer it, and where the film that is meant stands."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import ipywidgets as widgets

from .desk import Desk
from .finder import Finder
from .markup import answers_html, origins_html
from .search import Answers, ask
from .state import MOST_ASKED, QuestionState
from .view import View, box, classed, sentence


class QuestionView(View[QuestionState, Answers]):
    """The panel of a question, which stands on a `Desk`."""

    world: Desk
    kind = "question"

    def build(self) -> list[widgets.Widget]:
        """Make the widgets: the question with examples, for whom and which film is meant, and the lists below."""
        self.finder = Finder(self.world, "meant", {"mean": self.telling(self.mean)})
        self.film = classed(widgets.Button(), "cs-chip", "cs-meant")
        self.film.on_click(lambda _: self.guarded(lambda: self.mean("")))
        self.status, self.origins, self.lists = (widgets.HTML() for _ in range(3))
        classed(self.status, "cs-status")
        asking = [self.field("wanted", widgets.Textarea(rows=2)), self._examples()]
        about = [self.field("person", widgets.Dropdown(options=[""])), self.finder, box([self.film], "cs-chips")]
        controls = box([box(asking, "cs-asking"), box(about, "cs-about")], "cs-card", "cs-question-grid")
        return [controls, box([self.status, self.origins, self.lists], "cs-card", "cs-stage")]

    def _examples(self) -> widgets.Box:
        self.examples_name = classed(widgets.HTML(), "cs-label")
        chips = []
        for example in self.world.examples:
            chip = classed(widgets.Button(description=example, tooltip=example), "cs-chip")
            chip.on_click(lambda _, example=example: self.guarded(partial(self.take, example)))
            chips.append(chip)
        return box([self.examples_name, *chips], "cs-chips")

    def take(self, example: str) -> None:
        """Ask an example, and follow the film that it means, if that is known."""
        film = self.world.meant if example == self.world.examples[0] else ""
        self.become(replace(self.state, wanted=example, film=film))

    def mean(self, film: str) -> None:
        """Follow the film that is meant through the lists, or none ('')."""
        self.become(replace(self.state, film=film))

    def show_controls(self) -> None:
        """Set controls to the state."""
        super().show_controls()
        self.film.description = f"{self.state.film}  ×"
        self.film.layout.display = "" if self.state.film else "none"

    def compute(self) -> Answers:
        """Return the answers."""
        return ask(self.world, self.state)

    def show(self, result: Answers) -> None:
        """Fill the lists, and say what was not read of the question."""
        said = [self.say(f"remark {key}", **numbers) for key, numbers in result.unread.items()]
        if not result.question:
            said = [self.say("ask something")]
        if len(self.state.wanted) > MOST_ASKED:
            said.append(self.say("cut", n=MOST_ASKED))
        self.status.value = sentence(" ".join(said))
        self.origins.value = origins_html(result, self.say)
        self.lists.value = answers_html(result, self.state.film, self.state.person, self.say)

    def label(self) -> None:
        """Name everything in the view's language."""
        super().label()
        self.finder.speak(self.language)
        self.examples_name.value = self.say("examples")
        self.film.tooltip = self.say("remove film")
        # New options bring the first of them to the front; the state is shown again after this.
        self.busy = True
        self.fields["person"].options = [(self.say("nobody"), ""), *((name, name) for name in self.world.people)]
        self.busy = False
