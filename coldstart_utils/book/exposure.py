"""Figures of who is shown and who pays: Lorenz curves, and what a method gives to each band of popularity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..measure import metrics
from ..measure.phrases import signed
from ..palette import BLUE, COLOURS, GREY, INK, ORANGE, STYLE, figure
from .plotting import lines

Array = np.ndarray


def lorenz_points(counts: Mapping[str, Array]) -> pd.DataFrame:
    """Return points of the Lorenz curves of `counts` (name → [n]), least first: `items`, `share`, `model`, `gini`."""
    parts = []
    for name, own in counts.items():
        own = np.sort(np.asarray(own, float))
        at = np.unique(np.round(np.concatenate([np.linspace(0, 1, 51), np.linspace(0.9, 1, 51)]), 6))
        share = np.interp(at * len(own), np.arange(len(own) + 1), np.concatenate([[0], np.cumsum(own) / own.sum()]))
        parts.append(pd.DataFrame({"items": at, "share": share, "model": name, "gini": metrics.gini(own)}))
    return pd.concat(parts, ignore_index=True)


def lorenz(points: pd.DataFrame, *, title: str, ylabel: str) -> Figure:
    """Return the Lorenz curves of `lorenz_points` with the line of equality; each is labelled with its Gini index."""
    fig, ax = figure(height=4.2, width=6.6)
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    ax.annotate("if all were equal", (0.5, 0.52), color=GREY, fontsize=9, rotation=38, ha="center", va="bottom")
    for colour, (name, part) in zip(COLOURS, points.groupby("model", sort=False)):
        ax.plot(part["items"], part["share"], color=colour, label=f"{name}, Gini {part['gini'].iloc[0]:.2f}")
    ax.legend(loc="upper left", bbox_to_anchor=(0.02, 0.98))
    ax.set(title=title, xlabel="share of items, least shown first", ylabel=ylabel, xlim=(0, 1), ylim=(0, 1.01))
    return fig


def bill(table: pd.DataFrame, *, title: str, order: str = "tail") -> Figure:
    """Return the differences of a `fronts.by_band` table, a panel for each band, on one scale.

    Methods are sorted by their difference in the band `order`. Colours say whether a gain or a loss is shown (Holm);
    each dot carries its value.
    """
    parts = dict(list(table[table["model"] != table["baseline"]].groupby("band", sort=False)))
    models = list(parts[order].sort_values("difference", ascending=False, kind="stable").index)
    height = 0.42 * len(models) + 1.6
    fig, axes = figure(1, len(parts), width=10, height=height, sharey=True, sharex=True, squeeze=False)
    for ax, (name, part) in zip(axes[0], parts.items()):
        ax.axvline(0, color=GREY, lw=1, zorder=0)
        for y, row in enumerate(part.loc[models].itertuples()):
            _difference(ax, y, row)
        ax.set(title=name)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    low, high = axes[0, 0].get_xlim()
    # Room for the values, which stand beside their intervals.
    axes[0, 0].set_xlim(low - 0.24 * (high - low), high + 0.18 * (high - low))
    axes[0, 0].set_yticks(range(len(models)), models)
    axes[0, 0].set_ylim(len(models) - 0.5, -0.8)
    against, n = table["baseline"].iloc[0], table["n"].max()
    label = f"difference in recall to “{against}”, by band of popularity (95 % interval, {n} folds)"
    fig.supxlabel(label, fontsize=STYLE["font.size"], color=INK)
    fig.suptitle(title, x=0.01, ha="left", fontsize=STYLE["axes.titlesize"], fontweight="bold")
    keys = {"gain": BLUE, "loss": ORANGE, "not shown to differ": GREY}
    dots = [Line2D([], [], marker="o", color=colour, lw=2) for colour in keys.values()]
    fig.legend(dots, list(keys), loc="upper right", ncols=3, fontsize=9)
    return fig


def bill_told(table: pd.DataFrame, *, price: str, quota: str) -> str:
    """Return in sentences what a `fronts.by_band` table of head, middle and tail says of the two ways to buy places.

    Which method gives the tail most, who is shown to pay for the `quota`, and which method gives the middle most. The
    number before a name, as in '1 · quota', is left out.
    """
    head, middle, tail = (table[table["band"] == band] for band in ("head", "middle", "tail"))
    others = tail.drop([tail["baseline"].iloc[0], price, quota])["difference"]
    pay = [f"the {part['band'].iloc[0]}" for part in (head, middle) if part["worse"][quota]]
    for_middle = middle["difference"].idxmax()
    return (
        f"**Best for the tail: {_plain(tail['difference'].idxmax())}.** A quota changes its recall by "
        f"{tail['told'][quota]}, one price by {tail['told'][price]}, any other method by at most "
        f"{signed(others.max())}. **Shown to pay for the quota: {' and '.join(pay) or 'neither'}.** It changes recall "
        f"of the head by {_of_what_it_had(head, quota)}, of the middle by {_of_what_it_had(middle, quota)}. **Best for "
        f"the middle: {_plain(for_middle)}**, {middle['told'][for_middle]}."
    )


def _of_what_it_had(part: pd.DataFrame, model: str) -> str:
    row = part.loc[model]
    before = row["mean"] - row["difference"]
    return f"{row['told']}, {abs(row['difference']) / before:.0%} of what it had" if before else row["told"]


def _plain(name: str) -> str:
    return name.split(" · ")[-1]


def _difference(ax: Any, y: int, row: Any) -> None:
    colour = BLUE if row.better else ORANGE if row.worse else GREY
    if np.isfinite(row.diff_low):
        ax.plot([row.diff_low, row.diff_high], [y, y], color=colour, lw=2, solid_capstyle="round")
    ax.plot(row.difference, y, "o", color=colour)
    # Away from zero, so that no number stands on its line.
    end, shift, ha = (row.diff_low, -5, "right") if row.difference < 0 else (row.diff_high, 5, "left")
    beside = {"textcoords": "offset points", "ha": ha, "va": "center", "fontsize": 8.5}
    at = end if np.isfinite(end) else row.difference
    ax.annotate(signed(row.difference), (at, y), (shift, 0), color=colour, **beside)


def front(points: pd.DataFrame, *, x: str, loss: float, note: str, point: pd.DataFrame | None = None) -> Figure:
    """Return the NDCG that each model loses (`difference`, `diff_low`, `diff_high`) against the places it gives (`x`).

    The dashed line with a `note` is `loss`; `point`, a row of `points`, is marked.
    """
    fig = lines(
        points, x=x, y="difference", by="model", low="diff_low", high="diff_high", zero=False,
        title="What a place for a rare film costs", xlabel="share of all places that the tail gets",
        ylabel="difference in NDCG to the lists as they were",
    )  # fmt: skip
    (ax,) = fig.axes
    ax.axhline(-loss, color=GREY, lw=1, ls="--")
    place: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "ha": "right"}
    ax.annotate(note, (1, -loss), (0, 3), fontsize=9, color=GREY, **place)
    if point is not None:
        ax.plot(point[x], point["difference"], "o", color=INK, ms=11)
    return fig


def audiences(points: pd.DataFrame) -> Figure:
    """Return one line per `model` (`mean`, `low`, `high`) over the visits (`dial`), from `exploration.audiences`.

    What shows at random is grey.
    """
    fig = lines(
        points, x="dial", y="mean", by="model", low="low", high="high", title="Which new films find an audience?",
        xlabel="visits of every user, five places each", ylabel="share of films with enough takers",
        faded=[model for model in dict.fromkeys(points["model"]) if "random" in model],
    )  # fmt: skip
    fig.axes[0].set_xticks(np.unique(points["dial"]))
    return fig


def offsets(points: pd.DataFrame, chosen: float) -> Figure:
    """Return one line per `metric` (`mean`, `low`, `high`) over the offset (`dial`) of new items, `chosen` marked."""
    names = {"ndcg": "NDCG of the list", "places new": "share of places, new"}
    named = points.replace({"metric": names})
    fig = lines(
        named, x="dial", y="mean", by="metric", low="low", high="high", title="New and known items in one list",
        xlabel="offset added to the scores of new items", ylabel="NDCG, recall, or share of places",
    )  # fmt: skip
    (ax,) = fig.axes
    ax.axvline(chosen, color=GREY, lw=1, ls="--")
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
    ax.annotate("chosen on\nnested splits", (chosen, 0.99), (5, 0), fontsize=9, color=GREY, **place)
    return fig
