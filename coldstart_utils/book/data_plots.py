"""Pictures of data and of protocols: the long tail, what a split hides, how a mean varies, maps of vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..catalogue.splits import Split
from ..measure import metrics
from ..palette import BLUE, COLOURS, FAINT, GREEN, GREY, INK, ORANGE, SEQUENTIAL, SKY, figure

Array = np.ndarray


def long_tail(counts: Array, *, unit: str = "ratings") -> Figure:
    """Return popularity by rank, and the Lorenz curve: the share of `unit` that the most popular items get."""
    counts = np.sort(np.asarray(counts))[::-1]
    fig, (left, right) = figure(1, 2, width=9, height=3.6)
    rank = np.arange(1, len(counts) + 1)
    left.fill_between(rank, counts, color=SKY, lw=0)
    left.set(title="Items by popularity", xlabel="items, most popular first", ylabel=f"{unit} per item")
    left.set_xlim(0, len(counts))
    left.set_ylim(bottom=0)
    share = np.concatenate([[0], np.cumsum(counts) / counts.sum()])
    at = np.concatenate([[0], rank / len(counts)])
    right.plot(at, share, color=BLUE)
    right.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    right.annotate("if all were equal", (0.72, 0.66), color=GREY, fontsize=9, rotation=43, ha="center", va="center")
    fifth = float(np.interp(0.2, at, share))
    right.plot(0.2, fifth, "o", color=ORANGE)
    right.annotate(
        f"the first fifth\ntakes {fifth:.0%}", (0.2, fifth), (14, -26), textcoords="offset points", color=ORANGE
    )
    gini = metrics.gini(counts)
    right.set(
        title=f"Gini index {gini:.2f}", xlabel="share of items", ylabel=f"share of {unit}", xlim=(0, 1), ylim=(0, 1.02)
    )
    return fig


def resampled(drawn: Sequence[float], folds: Sequence[float], ends: pd.DataFrame, *, xlabel: str) -> Figure:
    """Return how two 95 % intervals come about: means `drawn` by the bootstrap, and the means of `folds`.

    `ends` has the rows 'users' and 'folds' with the columns 'low' and 'high'. Both panels share their axis.
    """
    fig, (left, right) = figure(1, 2, width=9, height=2.9, sharex=True)
    left.hist(drawn, bins=40, color=SKY)
    right.plot(folds, np.zeros(len(folds)), "o", color=SKY, ms=8)
    right.set_ylim(-1, 1)
    titles = {"users": f"users: means of {len(drawn):,} resamples", "folds": f"folds: {len(folds)} observations"}
    for ax, (unit, row) in zip((left, right), ends.iterrows()):
        height = 0.12 * left.get_ylim()[1] if ax is left else -0.35
        ax.plot([row["low"], row["high"]], [height, height], color=ORANGE, lw=3, solid_capstyle="butt")
        ax.annotate("95 %", (row["high"], height), (4, 0), textcoords="offset points", va="center", color=ORANGE)
        ax.set(title=titles[unit], xlabel=xlabel, yticks=[])
        ax.spines["left"].set_visible(False)
    return fig


def protocols(splits: Mapping[str, Split]) -> Figure:
    """Return one small matrix a protocol: known cells blue, revealed green, asked orange, empty white."""
    fig, axes = figure(1, len(splits), width=2.5 * len(splits), height=2.9)
    for ax, (name, split) in zip(np.atleast_1d(axes), splits.items()):
        code = np.zeros(split.train.shape)
        for value, matrix in ((1, split.train), (2, split.support), (3, split.test)):
            code[matrix.nonzero()] = value
        palette = matplotlib.colors.ListedColormap(["white", SKY, GREEN, ORANGE])
        ax.pcolormesh(code[::-1], cmap=palette, vmin=0, vmax=3, edgecolors=FAINT, lw=0.6)
        ax.set_aspect("equal")
        ax.set(title=name, xlabel="items", ylabel="users", xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)
    names = (("known", SKY), ("revealed", GREEN), ("asked", ORANGE))
    fig.legend(
        [matplotlib.patches.Patch(color=c) for _, c in names],
        [n for n, _ in names],
        loc="outside lower center",
        ncols=3,
    )
    return fig


def shades(values: Array) -> list[str]:
    """Return a colour for each of `values`, '#rrggbb', from dark for the least to bright for the most."""
    values = np.asarray(values, float)
    scaled = (values - values.min()) / max(np.ptp(values), 1e-12)
    return [matplotlib.colors.to_hex(colour) for colour in matplotlib.colormaps[SEQUENTIAL](scaled)]


def scatter_map(
    points: Array, groups: Sequence[str], labels: Mapping[int, str], *, title: str, xlabel: str, ylabel: str
) -> Figure:
    """Return a map of `points` [n, 2], coloured by group ('' is grey), and name some by `labels` (row → text)."""
    fig, ax = figure(height=5.2)
    group = np.asarray(groups)
    ax.scatter(*points[group == ""].T, s=7, color=FAINT, lw=0)
    for name, colour, marker in zip(sorted(set(groups) - {""}), COLOURS, "os^Dv"):
        ax.scatter(*points[group == name].T, s=18, color=colour, marker=marker, alpha=0.8, lw=0, label=name)
    ax.scatter(*points[[*labels]].T, s=16, color=INK, lw=0, zorder=4)
    for row, text in labels.items():
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
        ax.annotate(text, points[row], (5, 4), textcoords="offset points", fontsize=8, color=INK, bbox=box)
    if set(groups) - {""}:
        ax.legend(loc="best", markerscale=1.4, handletextpad=0.2)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel, xticks=[], yticks=[])
    return fig
