"""Pictures of other worlds: four numbers of each, and which findings hold where."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..measure.claims import CLAIMS
from ..measure.phrases import signed
from ..palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure

MARKS = {"Yes": ("✓", GREEN), "No, the reverse": ("✗", ORANGE), "Not shown": ("", GREY)}
KEY = (
    "✓ shown    ✗ the reverse is shown    grey: not shown    – cannot be asked    (chapter)\n"
    "marks: after Holm over all worlds    ±: half of the 95 % interval before it"
)
PANELS = {
    "items": ("items", True),
    "choices an item": ("choices an item", True),
    "words an item": ("words an item", True),
    "rare": ("rare items, share", False),
    "fame": ("fame", False),
}


def verdicts(table: pd.DataFrame, *, title: str) -> Figure:
    """Return the table of `claims.answers`: claims down, worlds across; mark, difference, half of its interval."""
    worlds, names = [*dict.fromkeys(table["world"])], [name for name in CLAIMS if name in set(table["claim"])]
    fig, ax = figure(width=max(7.4, 2.2 + 0.74 * len(worlds)), height=1.9 + 0.5 * len(names))
    for row in table.itertuples():
        x, y = worlds.index(row.world), names.index(row.claim)
        mark, colour = MARKS[row.answer]
        ax.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, color=colour, alpha=0.16, lw=0))
        ax.text(x - 0.44, y, mark, color=colour, va="center", fontsize=11, weight="bold")
        ax.text(x + 0.425, y - 0.15, signed(row.difference), color=INK, ha="right", va="center", fontsize=10.5)
        half = (row.diff_high - row.diff_low) / 2
        told = f"±{half:.3f}".replace("0.", ".") if np.isfinite(half) else ""
        ax.text(x + 0.425, y + 0.23, told, color=GREY, ha="right", va="center", fontsize=9)
    asked = set(zip(table["world"], table["claim"]))
    for x, y in ((x, y) for x in range(len(worlds)) for y in range(len(names))):
        if (worlds[x], names[y]) not in asked:
            ax.text(x, y, "–", color=GREY, ha="center", va="center", fontsize=12)
    ax.set_xticks(range(len(worlds)), [_in_lines(world) for world in worlds], fontsize=9.5)
    ax.set_yticks(range(len(names)), [_of_claim(name) for name in names], fontsize=10)
    ax.set(xlim=(-0.55, len(worlds) - 0.45), ylim=(len(names) - 0.45, -0.55))
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    fig.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    fig.supxlabel(KEY, fontsize=9.5, color=INK)
    return fig


def _of_claim(name: str) -> str:
    """Return what a claim said, and its chapter, in lines of at most 26 characters."""
    return textwrap.fill(f"{CLAIMS[name].said} ({CLAIMS[name].chapter})", 26)


def _in_lines(world: str) -> str:
    """Return a name with a line for each of its parts but single letters, long ones parted once more."""
    parts = [part for part in world.split("-") if len(part) > 1] or [world]
    return "\n".join(part if len(part) < 11 else f"{part[:5]}-\n{part[5:]}" for part in parts)


def portraits(traits: pd.DataFrame, *, here: Mapping[str, bool], title: str) -> Figure:
    """Return a row for each world (index) and a panel for each of its numbers; what was not measured `here` is hollow.

    `traits` has the columns of `claims.traits`.
    """
    fig, axes = figure(1, len(PANELS), width=10.5, height=1.3 + 0.3 * len(traits), sharey=True)
    rows = np.arange(len(traits))
    filled = np.array([here.get(world, False) for world in traits.index])
    for ax, (name, (label, logarithmic)) in zip(axes, PANELS.items()):
        values = traits[name].to_numpy(float)
        for y, value, full in zip(rows, values, filled):
            ax.plot(value, y, "o", color=BLUE, mfc=BLUE if full else "white", ms=7)
            text = f"{value:.2f}" if not logarithmic else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
            ax.annotate(text, (value, y), (7, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
        ax.hlines(rows, 0, 1, transform=ax.get_yaxis_transform(), color=FAINT, lw=0.7, zorder=0)
        if logarithmic:
            ax.set_xscale("log")
            ax.set_xlim(values.min() / 1.6, values.max() * 5)
        else:
            ax.set_xlim(-0.03, max(values.max() * 1.45, 0.1))
        # Each dot carries its value.
        ax.set_title(label, fontsize=9.5, fontweight="normal", color=INK)
        ax.tick_params(axis="y", length=0)
        ax.set_xticks([])
        ax.minorticks_off()
        ax.spines["bottom"].set_visible(False)
    axes[0].set_yticks(rows, traits.index)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    fig.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return fig
