"""The panels under one roof: tabs, undo, language, light and dark, scenes; and the small panels of the chapters."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..ground import ColdstartError, package_file
from ..palette import png, shown_width
from . import stills
from .bench import Dials
from .desk import Desk
from .item_view import ItemView
from .labels import say
from .policy_view import PolicyView
from .search_view import QuestionView
from .state import KINDS, ItemState, PolicyState, QuestionState, State, UserState, completed, read_state, written
from .user_view import UserView
from .view import View, box, classed, sentence, told
from .world import World

VIEWS: dict[str, Callable[[World, Any, str], View[Any, Any]]] = {
    "item": ItemView,
    "user": UserView,
    "policy": PolicyView,
    "question": lambda world, state, language: QuestionView(world.desk, state, language),
}
OPENS_WITH = "Fargo (1996)"


def opening(world: World) -> dict[str, State]:
    """Return the state in which each panel opens, if the catalogue has a use for it: a real film that plays new,
    nobody, a policy beside the plain one, a question with the film that it means.
    """
    film = OPENS_WITH if OPENS_WITH in world.row else world.names[int(world.counts.argmax())]
    states: dict[str, State] = {"item": completed(world, ItemState(film)), "user": UserState()}
    if world.bench:
        states["policy"] = PolicyState(reserve=4, A=Dials())
    if world.desk:
        states["question"] = first_question(world.desk)
    return states


def first_question(desk: Desk) -> QuestionState:
    """Return the first example of a desk, asked by the first of its people, with the film that it means."""
    return QuestionState(desk.examples[0], next(iter(desk.people), ""), desk.meant)


class Panels(widgets.VBox):
    """The panels of `world` under tabs: a new item, a new user, a policy, a question.

    They start in the state that the JSON `scene` describes; one that cannot be read is told in a sentence above them.
    A panel is made when it is first looked at. Where no kernel listens a picture and a line of text stand in their
    place. `address` is called with the scene whenever it changes.
    """

    def __init__(
        self, world: World, *, scene: str = "", language: str = "en", address: Callable[[str], None] | None = None
    ) -> None:
        self.world, self.address = world, address
        states, fault = read_scene(world, scene)
        self.states = opening(world)
        self.states |= {kind: state for kind, state in states.items() if kind in self.states}
        self.views: dict[str, View[Any, Any]] = {}
        self.labelling = False
        self.fault = classed(widgets.HTML(sentence(fault or world.notes, alert=bool(fault))), "cs-fault")
        self.stage = box([], "cs-holder")
        super().__init__([style(), self._head(), self.fault, self.stage, self._foot()])
        classed(self, "cs-root")
        self.kind = next((kind for kind in states if kind in self.states), "item")
        self.language.value = language
        self.labelling, self.tabs.value = True, self.kind
        self.labelling = False
        self.look(self.kind)
        self.label()

    def _head(self) -> widgets.Box:
        language = "en"
        self.tabs = classed(widgets.ToggleButtons(options=[(say(k, language), k) for k in self.states]), "cs-tabs")
        self.undo, self.reset = (classed(widgets.Button(), "cs-button") for _ in range(2))
        self.language = classed(widgets.ToggleButtons(options=[("English", "en"), ("中文", "zh")]), "cs-switch")
        self.dark, self.large = (classed(widgets.ToggleButton(), "cs-button") for _ in range(2))
        self.tabs.observe(lambda change: self.guarded(lambda: self.look(change["new"])), names="value")
        self.undo.on_click(lambda _: self.guarded(self.shown.undo))
        self.reset.on_click(lambda _: self.guarded(self.shown.reset))
        self.language.observe(lambda _: self.guarded(self.speak), names="value")
        self.dark.observe(lambda change: _toggle(self, "cs-dark", change["new"]), names="value")
        self.large.observe(lambda change: _toggle(self, "cs-large", change["new"]), names="value")
        self.open_scene = classed(widgets.ToggleButton(), "cs-button")
        self.open_scene.observe(lambda change: _toggle(self, "cs-scene", change["new"]), names="value")
        tools = box([self.undo, self.reset, self.language, self.dark, self.large, self.open_scene], "cs-tools")
        return box([self.tabs, tools], "cs-head")

    def _foot(self) -> widgets.Box:
        self.scene, self.link = classed(widgets.Textarea(rows=2), "cs-field"), widgets.HTML()
        self.read, self.write = (classed(widgets.Button(), "cs-button") for _ in range(2))
        self.read.on_click(lambda _: self.guarded(lambda: self.take(self.scene.value)))
        self.write.on_click(lambda _: setattr(self.scene, "value", self.written()))
        return box([self.scene, box([self.read, self.write, self.link], "cs-chips")], "cs-foot")

    @property
    def shown(self) -> View[Any, Any]:
        """Return the panel in front."""
        return self.views[self.kind]

    def look(self, kind: str) -> None:
        """Bring a panel to the front, making it at the first look."""
        if self.labelling:
            return
        self.kind = kind
        if kind not in self.views:
            self.views[kind] = VIEWS[kind](self.world, self.states[kind], self.language.value)
            self.views[kind].changed = self.tell_address
        self.stage.children = [self.views[kind]]
        self.tell_address()

    def guarded(self, act: Callable[[], None]) -> None:
        """Do `act`; whatever goes wrong in a callback is told, for it would vanish."""
        try:
            act()
        except Exception as error:
            self.fault.value = sentence(told(error), alert=True)

    def label(self) -> None:
        """Name everything around the panels."""
        language = self.language.value
        # New options bring the first of them to the front.
        chosen, self.labelling = self.tabs.value, True
        self.tabs.options = [(say(kind, language), kind) for kind in self.states]
        self.tabs.value, self.labelling = chosen, False
        for key in ("undo", "reset", "dark", "large", "scene", "read", "write", "open_scene"):
            widget = getattr(self, key)
            widget.description = widget.tooltip = say(key, language)
        self.tell_address()

    def speak(self) -> None:
        """Say everything in the language that is switched on."""
        self.label()
        for view in self.views.values():
            view.speak(self.language.value)

    def written(self) -> str:
        """Return the states of the panels as JSON, the one in front first, without what goes without saying."""
        states = self.states | {kind: view.state for kind, view in self.views.items()}
        order = [self.kind, *(kind for kind in states if kind != self.kind)]
        first = opening(self.world)
        scene = {
            kind: written(self.world, states[kind])
            for kind in order
            if states[kind] != first[kind] or kind == self.kind
        }
        return json.dumps(scene, ensure_ascii=False)

    def tell_address(self) -> None:
        """Show the scene as a link to this page, and tell it to who serves it."""
        scene = self.written()
        said = html.escape(say("address", self.language.value))
        self.link.value = f'<a class="cs-link" target="_blank" href="?scene={quote(scene)}">{said}</a>'
        if self.address:
            self.address(scene)

    def take(self, text: str) -> None:
        """Set the panels to the scene in `text`, or say what is wrong with it."""
        states, fault = read_scene(self.world, text)
        self.fault.value = sentence(fault or say("scene read", self.language.value), alert=bool(fault))
        for kind, state in states.items():
            if kind in self.views:
                self.views[kind].become(state)
            elif kind in self.states:
                self.states[kind] = state
        if states:
            self.tabs.value = next((kind for kind in states if kind in self.states), self.kind)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        language = self.language.value
        picture = png(stills.picture(self.world, self.shown.result or self.shown.compute(), language=language))
        caption = say("caption", self.language.value)
        return _still(super()._repr_mimebundle_(**options), picture, caption, shown_width(picture))


def read_scene(world: World, text: str) -> tuple[dict[str, State], str]:
    """Return the state of each panel that the JSON `text` (or its percent-encoding) has, or what is wrong with it."""
    text = text.strip() if text.lstrip().startswith("{") else unquote(text).strip() or "{}"
    try:
        scene = json.loads(text)
        if isinstance(scene, dict) and set(scene) <= set(KINDS):
            return {kind: read_state(world, kind, state) for kind, state in scene.items()}, ""
        return {}, f"scene: expected an object with {', '.join(KINDS)}, got {text[:60]}"
    except json.JSONDecodeError as error:
        return {}, f"scene: expected JSON, found a fault at character {error.pos + 1}, {error.msg}"
    except RecursionError:
        return {}, "scene: expected JSON, found brackets within brackets without end"
    except ColdstartError as error:
        return {}, str(error)


def style() -> widgets.HTML:
    """Return the style sheet as a widget."""
    return widgets.HTML(f"<style>{package_file('panels.css').read_text(encoding='utf-8')}</style>")


def _toggle(widget: widgets.DOMWidget, name: str, on: bool) -> None:
    (widget.add_class if on else widget.remove_class)(name)


def _still(bundle: Any, picture: bytes, caption: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    still = {"image/png": base64.b64encode(picture).decode(), "text/plain": caption}
    return (bundle or {}) | still, {"image/png": {"width": width}}


class Panel(widgets.VBox):
    """Controls above the picture that `draw(**values)` makes of their values; `caption` is what a screen reader says.

    Where no kernel listens (an exported page, a code host) the last picture and the caption are shown instead. An
    error while drawing appears below the controls as one sentence, and the old picture stays.
    """

    def __init__(self, draw: Callable[..., Figure], controls: Mapping[str, widgets.Widget], *, caption: str) -> None:
        self._draw, self._controls, self._caption = draw, dict(controls), caption
        self.image = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
        self.status = widgets.HTML()
        for control in self._controls.values():
            control.style.description_width = "initial"
            control.layout.flex = "0 0 340px"
            control.observe(self._redraw, names="value")
        row = widgets.HBox(list(self._controls.values()), layout={"flex_flow": "row wrap"})
        super().__init__([row, self.status, self.image])
        self.image.value = png(self._draw(**self.values))

    @property
    def values(self) -> dict[str, Any]:
        """Return the value of every control by name."""
        return {name: control.value for name, control in self._controls.items()}

    def _redraw(self, _: object) -> None:
        try:
            self.image.value = png(self._draw(**self.values))
            self.status.value = ""
        except Exception as error:  # in a callback any other would vanish, and the cell stay green
            self.status.value = f"<b>{html.escape(told(error))}</b>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = bytes(self.image.value)
        return _still(super()._repr_mimebundle_(**options), picture, self._caption, shown_width(picture))


class Pictured(widgets.VBox):
    """Widgets of any kind in a column, such as a menu above a bqplot figure; `caption` is what a screen reader says.

    Where no kernel listens (an exported page, a code host) the picture `still` is shown instead.
    """

    def __init__(self, children: Sequence[widgets.Widget], still: Figure, *, caption: str) -> None:
        self._picture, self._caption = png(still), caption
        super().__init__(list(children))

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return _still(super()._repr_mimebundle_(**options), self._picture, self._caption, shown_width(self._picture))


def asking(desk: Desk, state: QuestionState, *, caption: str) -> Pictured:
    """Return the panel of a question alone, without the world that the others need."""
    view = QuestionView(desk, state, "en")
    return classed(Pictured([style(), view], stills.answers(view.result or view.compute()), caption=caption), "cs-root")
