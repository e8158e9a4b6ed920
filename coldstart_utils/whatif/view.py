"""What every panel does: hold a state, take it back, compute, show, and tell a fault."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Generic, TypeVar

import ipywidgets as widgets
from threadpoolctl import ThreadpoolController

from ..ground import ColdstartError
from .labels import say
from .state import State

Known = TypeVar("Known", bound=State)
Result = TypeVar("Result")

# Several changes of one of these in a row are one step for undo.
FLOWING = {"title", "year", "description", "k", "age", "sentence", "wanted"}
FLOWING |= {"text", "popularity", "diversity", "exploration", "reserve"}


@cache
def one_thread() -> ThreadpoolController:
    """Return what holds libraries to one thread: in sums as small as a panel's the others only wait for each other."""
    return ThreadpoolController()


def told(error: Exception) -> str:
    """Return a fault in one sentence."""
    return str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"


def sentence(text: str, *, alert: bool = False) -> str:
    """Return a text as HTML that a screen reader says when it changes."""
    role = 'role="alert" class="cs-alert"' if alert else 'role="status" aria-live="polite"'
    return f"<span {role}>{html.escape(text)}</span>" if text else ""


def classed(widget: widgets.DOMWidget, *names: str) -> Any:
    """Return the widget with classes of the style sheet."""
    for name in names:
        widget.add_class(name)
    return widget


def box(children: Sequence[widgets.Widget], *names: str) -> widgets.Box:
    """Return a box of the style sheet's classes."""
    return classed(widgets.Box(list(children)), *names)


class View(widgets.VBox, Generic[Known, Result]):
    """One panel: `state` is all that it knows, `past` what undo goes back to, `result` what was found last.

    `world` is what it stands on. A subclass builds its widgets in `build`, computes in `compute`, and shows in `show`
    and `show_controls`. A fault appears as a sentence, and what was shown before stays.
    """

    kind = ""

    def __init__(self, world: Any, state: Known, language: str) -> None:
        self.world, self.language = world, language
        self.first = self.state = state
        self.past: list[Known] = []
        self.result: Result | None = None
        self.flowing, self.busy = "", False
        self.changed: Callable[[], None] = lambda: None
        self.fault = classed(widgets.HTML(), "cs-fault")
        self.fields: dict[str, widgets.DOMWidget] = {}
        self.buttons: dict[str, widgets.Button] = {}
        super().__init__([self.fault, *self.build()])
        classed(self, "cs-view", f"cs-{self.kind}")
        self.speak(language)

    def build(self) -> list[widgets.Widget]:
        """Make the widgets and return those that stand below the line for faults."""
        raise NotImplementedError

    def compute(self) -> Result:
        """Return the result of the state."""
        raise NotImplementedError

    def show(self, result: Result) -> None:
        """Show a result."""
        raise NotImplementedError

    def show_controls(self) -> None:
        """Set controls to the state."""
        for name, control in self.fields.items():
            control.value = getattr(self.state, name)

    def label(self) -> None:
        """Name everything in the view's language."""
        for name, widget in (self.fields | self.buttons).items():
            widget.description = widget.tooltip = self.say(name)

    def say(self, key: str, **values: Any) -> str:
        """Return a label in the view's language."""
        return say(key, self.language, **values)

    def field(self, name: str, control: widgets.DOMWidget) -> widgets.DOMWidget:
        """Return a control that sets the part `name` of the state."""
        self.fields[name] = classed(control, "cs-field")
        control.observe(lambda change: self.guarded(lambda: self.edit(name, change["new"])), names="value")
        return control

    def button(self, name: str, act: Callable[[], None], *names: str) -> widgets.Button:
        """Return a button that does `act`, where a fault is told."""
        self.buttons[name] = classed(widgets.Button(), "cs-button", *names)
        self.buttons[name].on_click(lambda _: self.guarded(act))
        return self.buttons[name]

    def guarded(self, act: Callable[[], None]) -> None:
        """Do `act`; whatever goes wrong in a callback is told, for it would vanish."""
        try:
            act()
        except Exception as error:
            self.fault.value = sentence(told(error), alert=True)

    def telling(self, act: Callable[..., None]) -> Callable[..., None]:
        """Return `act` with whatever goes wrong in it told."""
        return lambda *given: self.guarded(partial(act, *given))

    def edit(self, name: str, value: Any) -> None:
        """Take over the value of a control."""
        if not self.busy and value != getattr(self.state, name):
            self.become(replace(self.state, **{name: value}), name)

    def become(self, state: Known, name: str = "") -> None:
        """Go to another state, which undo takes back; what flows into one field is one step."""
        if state != self.state:
            if not (name in FLOWING and name == self.flowing):
                self.past.append(self.state)
                self.step()
            self.flowing = name
            self.state = state
        self.refresh()

    def step(self) -> None:
        """Note what is shown before a new step begins."""

    def undo(self) -> None:
        """Go back one step."""
        if self.past:
            self.step()
            self.state, self.flowing = self.past.pop(), ""
            self.refresh()

    def reset(self) -> None:
        """Go to the first state."""
        self.become(self.first)

    def speak(self, language: str) -> None:
        """Say everything in the language 'en' or 'zh'."""
        self.language = language
        self.label()
        self.refresh()

    def refresh(self) -> None:
        """Show the state and what follows from it, or why nothing does."""
        self.busy = True
        try:
            self.show_controls()
            with one_thread().limit(limits=1):
                self.result = self.compute()
            self.show(self.result)
            self.fault.value = ""
        except Exception as error:  # in a callback any other would vanish
            self.fault.value = sentence(told(error), alert=True)
        finally:
            self.busy = False
        self.changed()
