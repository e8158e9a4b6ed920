"""Floor 4: what-if panels: a drawing function, a thin ipywidgets view, and a picture where no kernel listens."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from .plotting import png, shown_width
from .runtime import ColdstartError


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
            told = str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"
            self.status.value = f"<b>{html.escape(told)}</b>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**options)
        picture = bytes(self.image.value)
        still = {"image/png": base64.b64encode(picture).decode(), "text/plain": self._caption}
        return (bundle or {}) | still, {"image/png": {"width": shown_width(picture)}}
