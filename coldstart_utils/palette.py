"""One style of figures: colours for the colour-blind, sizes, and pictures as PNG bytes."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

# Okabe & Ito (2008): told apart by the colour-blind; the order also descends in lightness, so that grey prints work.
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#767676"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)
INK, FAINT = "#222222", "#D9D9D9"
SEQUENTIAL = "cividis"
STYLE: dict[Any, Any] = {
    "figure.dpi": 144,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    # Titles and names come from data, where a dollar is a dollar; `png` turns formulas on for a figure that has some.
    "text.parse_math": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
}
matplotlib.rcParams.update(STYLE)


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 7.6, height: float = 3.6, **options: Any
) -> tuple[Figure, Any]:
    """Return a `Figure` in the house style, outside pyplot's global state, and its axes. Sizes in inches."""
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **options)


def png(fig: Figure, *, formulas: bool = False) -> bytes:
    """Return the figure as PNG bytes at 144 dots an inch; text between dollars is a formula only if `formulas`."""
    for text in fig.findobj(Text) if formulas else ():
        text.set_parse_math(True)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=144)
    return buffer.getvalue()


def shown_width(picture: bytes) -> int:
    """Return how wide a picture made by `png` is shown on a page: 100 pixels an inch."""
    return round(int.from_bytes(picture[16:20], "big") * 100 / 144)
