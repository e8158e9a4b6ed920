"""What one visitor of the page sees: what is being prepared, the panels, or that the house is full."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs

import ipywidgets as widgets
import solara
import traitlets
from ipyvuetify.VuetifyTemplate import VuetifyTemplate

from .labels import say
from .page import HOUSE
from .panels import Panels, style
from .view import box, classed, sentence

LOOK_AGAIN = 0.3  # seconds


class Address(VuetifyTemplate):
    """Keeps the scene in the address of the page, and loads the page again when the server has forgotten it.

    `dark` says whether the visitor's system prefers dark pages.
    """

    scene = traitlets.Unicode("").tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)

    @traitlets.default("template")
    def _template(self) -> str:
        return """<template><span></span></template><script>module.exports = {
          watch: { scene(text) { this.keep(text); } },
          mounted() {
            this.keep(this.scene);
            this.system = window.matchMedia("(prefers-color-scheme: dark)");
            this.follow = () => { this.dark = this.system.matches; };
            this.follow();
            this.system.addEventListener("change", this.follow);
            this.timer = setInterval(() => {
              if (window.app && window.app.$data.needsRefresh) location.reload();
            }, 500);
          },
          beforeDestroy() {
            clearInterval(this.timer);
            this.system.removeEventListener("change", this.follow);
          },
          methods: { keep(text) {
            if (text) history.replaceState(history.state, "", "?scene=" + encodeURIComponent(text));
          } },
        }</script>"""


def notice(english: str, chinese: str) -> widgets.Widget:
    """Return a card with one sentence in two languages."""
    lines = [widgets.HTML(sentence(text)) for text in (english, chinese)]
    return classed(widgets.VBox([style(), box(lines, "cs-card", "cs-notice")]), "cs-root", "cs-page")


def both(key: str, **values: Any) -> widgets.Widget:
    """Return the card of a sentence by its key; a value that is a pair is said in its own language."""
    texts = [
        say(key, language, **{name: pick[n] if isinstance(pick, tuple) else pick for name, pick in values.items()})
        for n, language in enumerate(("en", "zh"))
    ]
    return notice(*texts)


def what_is_there(visitor: str) -> tuple[str, str]:
    """Return the state of the house for a visitor, and what changes within it: a step, a fault."""
    if not HOUSE.ready.is_set():
        return "preparing", HOUSE.step
    if HOUSE.world is None:
        return "failed", HOUSE.fault
    return ("panels" if HOUSE.seat(visitor) else "full"), ""


def look(visitor: str, gone: Event, tell: Callable[[tuple[str, str]], None]) -> None:
    """Tell a visitor what is there until the panels are, or the visitor is `gone`."""
    while not gone.wait(LOOK_AGAIN):
        found = what_is_there(visitor)
        if gone.is_set():
            # Who left while a seat was found would keep it.
            HOUSE.leave(visitor)
            return
        tell(found)
        if found[0] == "panels":
            return


@solara.component
def Page() -> None:
    """Show the panels to one visitor as soon as there is a world and a seat."""
    visitor = solara.get_kernel_id()
    there, set_there = solara.use_state(what_is_there(visitor))
    scene = parse_qs(solara.use_router().search or "").get("scene", [""])[0]

    def watch() -> Any:
        gone = Event()

        def leave() -> None:
            gone.set()
            HOUSE.leave(visitor)

        if there[0] != "panels":
            Thread(target=look, args=(visitor, gone, set_there), daemon=True).start()
        return leave

    solara.use_effect(watch, [])
    shown = solara.use_memo(lambda: show(there, scene), [there])
    for widget in shown:
        solara.display(widget)


def show(there: tuple[str, str], scene: str) -> list[widgets.Widget]:
    """Return the widgets for a state of the house."""
    what, detail = there
    if what == "panels" and HOUSE.world:
        address = Address()
        panels = Panels(HOUSE.world, scene=scene, address=lambda text: setattr(address, "scene", text))
        address.observe(lambda change: setattr(panels.dark, "value", change["new"]), names="dark")
        return [classed(panels, "cs-page"), address]
    if what == "preparing":
        return [both("preparing", step=(say(f"step {detail}", "en"), say(f"step {detail}", "zh")))]
    if what == "failed":
        return [both("failed", fault=detail)]
    return [both("full", most=HOUSE.most)]
