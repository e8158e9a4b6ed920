"""Pictures and sentences about the rivals: quality against seconds, learning curves, who is ahead where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import Bbox

from ..measure import study
from ..palette import BLUE, COLOURS, GREY, INK, ORANGE, figure
from ..rivals.contest import PARTS, RECIPE
from .plotting import label_ends

OWN = (RECIPE, *PARTS.values())
# Where a name may stand, the nearest first: offset from its point in points, and which of its sides is there.
SHIFTS = [((dx, dy), "left" if dx > 0 else "right") for dy in (0, 9, -9, 18, -18, 27, -27) for dx in (7, -7)]
NAMES = {"SGD factors, bridged": "SGD, bridged", "BPR factors, bridged": "BPR, bridged"}


def against_baseline(table: pd.DataFrame, baseline: str = RECIPE, *, metric: str = "ndcg") -> pd.DataFrame:
    """Return the rows of `study.compare` against `baseline`, world by world, Holm's correction over all of them.

    A world without the baseline is left out.

    `table` has a row a world, model and fold (`rivals.recorded.table`). Further columns: `world`, `seconds`, the mean
    of processor seconds a fold, tuning included, and `times`, that number as a multiple of the baseline's.
    """
    parts = []
    with_it = table.groupby("world")["model"].transform(lambda models: (models == baseline).any())
    for world, rows in table[with_it].groupby("world", sort=False):
        compared = study.compare(rows, baseline, metric=metric).assign(world=world)
        compared["seconds"] = rows.groupby("model")["seconds"].mean()
        parts.append(compared.assign(times=compared["seconds"] / compared.loc[baseline, "seconds"]))
    return study.answered(pd.concat(parts, ignore_index=True))


def cost_and_quality(rows: pd.DataFrame, *, title: str, metric: str = "NDCG@20") -> Figure:
    """Return what each model reaches against its processor seconds a fold, tuning included; one panel a world.

    `rows` as `against_baseline` gives them. The bar is the interval over folds (95 %), cut at 0.
    """
    worlds = list(dict.fromkeys(rows["world"]))
    fig, axes = figure(len(worlds), 1, width=7.6, height=3.7 * len(worlds) + 0.6, squeeze=False, sharex=True)
    for ax, world in zip(axes[:, 0], worlds):
        part = rows[rows["world"] == world].sort_values("mean", ascending=False)
        for row in part.itertuples():
            colour = BLUE if row.model in OWN else ORANGE
            ax.plot([row.seconds] * 2, [max(row.low, 0), row.high], color=colour, lw=1.2, alpha=0.35)
            ax.plot(row.seconds, row.mean, "o", color=colour, ms=5)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(rows["seconds"].min() / 1.5, rows["seconds"].max() * 3)
        ax.set_title(world, fontsize=10)
        ax.set_ylabel(f"{metric} on new items")
    axes[-1, 0].set_xlabel(
        "processor seconds a fold, tuning included (bar: 95 % over folds; blue: the recipe and its parts)"
    )
    fig.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    fig.canvas.draw()
    for ax, world in zip(axes[:, 0], worlds):
        _named(ax, rows[rows["world"] == world].sort_values("mean", ascending=False))
    return fig


def _named(ax: Any, part: pd.DataFrame) -> None:
    """Write each name beside its point, where it covers neither a point nor another name."""
    points = ax.transData.transform(part[["seconds", "mean"]].to_numpy(float))
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in points]
    for row in part.itertuples():
        for shift, ha in SHIFTS:
            label = ax.annotate(
                NAMES.get(row.model, row.model), (row.seconds, row.mean), shift, textcoords="offset points", ha=ha,
                va="center", fontsize=8.5, color=BLUE if row.model in OWN else INK, zorder=4,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
            box = label.get_window_extent()
            if not any(box.overlaps(other) for other in taken) or (shift, ha) == SHIFTS[-1]:
                break
            label.remove()
        taken.append(box)


def learning(curves: pd.DataFrame, *, title: str, level: Mapping[str, float] | None = None) -> Figure:
    """Return NDCG@20 on new items against epochs, a line a model: the mean over folds, with the seconds of all epochs.

    `curves` as `rivals.recorded.curves` gives them, `level` are dashed lines with a name. A dot marks the best epoch.
    """
    means = curves.groupby(["model", "epoch"], sort=False)[["seconds", "ndcg"]].mean().reset_index()
    fig, ax = figure(width=7.6, height=4.6)
    ends = []
    for colour, (name, part) in zip((*COLOURS, INK, GREY), means.groupby("model", sort=False)):
        best = part.loc[part["ndcg"].idxmax()]
        ax.plot(part["epoch"], part["ndcg"], color=colour, lw=1.6)
        ax.plot(best["epoch"], best["ndcg"], "o", color=colour, ms=5)
        text = f"{NAMES.get(str(name), name)}, {part['seconds'].iloc[-1]:.1f} s"
        ends.append((float(part["ndcg"].iloc[-1]), float(best["ndcg"]), text, colour))
    for name, value in (level or {}).items():
        ax.axhline(value, color=GREY, lw=1, ls="--")
        style = {"textcoords": "offset points", "fontsize": 9, "color": GREY, "ha": "right"}
        ax.annotate(name, (1, value), (-2, 3), xycoords=("axes fraction", "data"), **style)
    ax.set(title=title, xlabel="epoch (dot: the best; seconds: all epochs of one fold)", ylabel="NDCG@20 on new items")
    label_ends(ax, ends)
    return fig


def live_told(means: pd.Series, seconds: pd.Series, solved: str, networks: Sequence[str]) -> str:
    """Return whether the best of the `networks` reaches more than the `solved` bridge on one fold, and at what time.

    `means` and `seconds` are NDCG and processor seconds by model.
    """
    best = means[list(networks)].idxmax()
    return (
        f"**{'Yes' if means[best] > means[solved] else 'No'}, on this fold:** the best network, *{best}*, reaches "
        f"{means[best]:.3f} against {means[solved]:.3f} of *{solved}*, at {seconds[best] / seconds[solved]:.2g} times "
        "the seconds."
    )


def verdict(rows: pd.DataFrame) -> str:
    """Return a list, an entry a world, of who is shown to be ahead of the baseline or behind it, and what is not shown.

    `rows` as `against_baseline` gives them; 'shown' is at 5 % after Holm's correction over all worlds and models.
    """
    lines = []
    for world, part in rows.groupby("world", sort=False):
        part = part[part["model"] != part["baseline"]]
        base = part["baseline"].iloc[0]
        ahead, behind = part[part["better"]], part[part["worse"]]
        between = part[~part["better"] & ~part["worse"]].sort_values("difference", ascending=False)
        best = part.loc[part["difference"].idxmax()]
        text = f"- On {world}, "
        text += f"shown ahead of {base}: {_list(ahead)}" if len(ahead) else f"no method is shown ahead of {base}"
        text += f". {len(behind)} of {len(part)} are shown behind it"
        text += f". Not shown either way: {'; '.join(between['model'])}" if len(between) else ""
        lines.append(
            f"{text}. The highest mean of them all: *{best['model']}* {best['told']}, at {best['times']:.2g} times the "
            f"seconds of {base}."
        )
    return "\n".join(lines)


def left_out(rows: pd.DataFrame) -> str:
    """Return in a sentence which models of which worlds have not all folds, for `rows` of them; no text for none."""
    named = [f"on {world} {', '.join(part['model'].unique())}" for world, part in rows.groupby("world", sort=False)]
    return f"Not recorded on all folds, and left out: {'; '.join(named)}." if named else ""


def _list(rows: pd.DataFrame) -> str:
    return "; ".join(f"{row.model} {row.told}" for row in rows.itertuples())
