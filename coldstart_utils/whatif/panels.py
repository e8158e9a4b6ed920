"""Panels of the chapters: controls above a picture, and a still one where no kernel listens."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..ground import ColdstartError
from ..palette import png, shown_width
from . import item, stills
from .labels import say
from .state import ItemState
from .world import World


class Panels(widgets.VBox):
    """The panels of `world`. (A still picture for now.)"""

    def __init__(self, world: World, *, scene: str = "", language: str = "en") -> None:
        film = world.names[int(world.counts.argmax())]
        self._picture = png(stills.picture(world, item.new_item(world, ItemState(film)), language=language))
        self._caption = say("caption", language)
        super().__init__([widgets.Image(value=self._picture)])

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return _still(super()._repr_mimebundle_(**options), self._picture, self._caption, shown_width(self._picture))


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"


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
            self.status.value = f"<b>{html.escape(_told(error))}</b>"

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
