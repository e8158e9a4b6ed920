"""Figures of a service: what one click does to a belief, what stale knowledge costs, how long answers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from ..palette import BLUE, COLOURS, GREEN, GREY, ORANGE, figure
from ..serving.belief import Belief
from .plotting import intervals

Array = np.ndarray


def one_click(before: Belief, v: Array, y: float, items: Mapping[str, Array]) -> Figure:
    """Return what an answer y about v [2] makes of a belief about two numbers, and the scores of `items` with it."""
    after = before.after(v, y)
    fig, (left, right) = figure(1, 2, width=9.8, height=3.9, width_ratios=[1, 1.1])
    for belief, name, colour in ((before, "before", BLUE), (after, "after", GREEN)):
        _ellipse(left, belief, name, colour)
    x = np.array([-2.5, 2.5])
    if abs(v[1]) > 1e-9:
        left.plot(x, (y - v[0] * x) / v[1], color=ORANGE, lw=1.3)
    left.annotate("", 0.8 * v, (0, 0), arrowprops={"arrowstyle": "-|>", "color": ORANGE, "lw": 1.6})
    left.set(xlim=(-2, 2.5), ylim=(-2, 2.5), xlabel="first number of the factor", ylabel="second number",
             title=f"An answer of {y:g}")  # fmt: skip
    names, V = list(items), np.array(list(items.values()))
    rows = np.arange(len(names))
    for offset, belief, name, colour in ((-0.17, before, "before", BLUE), (0.17, after, "after", GREEN)):
        spread = np.sqrt(np.einsum("nk,kl,nl->n", V, belief.covariance, V))
        right.errorbar(V @ belief.mean, rows + offset, xerr=spread, fmt="o", color=colour, lw=1.6, label=name)
    right.set_yticks(rows, names)
    right.invert_yaxis()
    right.axvline(0, color=GREY, lw=0.8)
    right.set(xlabel="score, with one standard deviation", title="The scores of all items move at once")
    right.legend(loc="lower right")
    return fig


def _ellipse(ax: Any, belief: Belief, name: str, colour: str) -> None:
    values, axes = np.linalg.eigh(belief.covariance)
    width, height = 2 * np.sqrt(values[::-1])
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    ax.add_patch(Ellipse(belief.mean, width, height, angle=angle, color=colour, alpha=0.22, lw=0))
    ax.plot(*belief.mean, "o", color=colour)
    ax.annotate(name, belief.mean, (6, 6), textcoords="offset points", color=colour)


def staleness(table: pd.DataFrame, *, k: int) -> Figure:
    """Return hits by how stale knowledge is, a panel for new and one for known users, from `study.compare` rows."""
    title = "What is real time worth?"
    label = f"chance that the next choice stands among the {k} best (95 % interval over users)"
    fig = intervals(table, title=title, xlabel="", panels="panel", highlight=["every choice"], signs=False)
    fig.supxlabel(label, fontsize=10)
    return fig


def takers(curves: Mapping[str, Array], *, of: int, title: str) -> Figure:
    """Return how many takers new items were shown to, by the number of visitors, one line for each policy [visitors].

    `of` is how many takers there are.
    """
    fig, ax = figure(height=3.7)
    for (name, reached), colour in zip(curves.items(), COLOURS):
        ax.plot(np.arange(1, len(reached) + 1), reached, color=colour)
        ax.annotate(f"{name}  {reached[-1]:.0f}", (len(reached), reached[-1]), (6, 0), textcoords="offset points",
                    va="center", color=colour, fontsize=9)  # fmt: skip
    ax.set(xlabel="visitors, in the order in which they came", ylabel=f"takers shown theirs, of {of}", title=title)
    ax.set_xlim(0, 1.22 * max(len(reached) for reached in curves.values()))
    return fig


def latencies(frame: pd.DataFrame) -> Figure:
    """Return milliseconds against the load (`rate`, `path`, p50, p95, p99), a panel for each path."""
    parts = dict(list(frame.groupby("path", sort=False)))
    fig, axes = figure(1, len(parts), width=9.8, height=3.7, sharey=True, squeeze=False)
    for ax, (path, part) in zip(axes[0], parts.items()):
        for name, colour in zip(("p50", "p95", "p99"), COLOURS):
            ax.plot(part["rate"], part[name], "o-", color=colour, label=name)
        ax.set(yscale="log", xlabel="requests a second", title=path)
        ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
        ax.set_yticks(ticks, [f"{tick}" for tick in ticks])
        ax.minorticks_off()
        ax.set_ylim(0.8, max(20, 1.3 * frame["p99"].max()))
    axes[0, 0].set_ylabel("milliseconds")
    axes[0, 0].legend(loc="upper left")
    return fig
