"""One function a kind of figure: data in, a matplotlib `Figure` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from scipy.optimize import isotonic_regression

from ..measure.phrases import signed
from ..palette import BLUE, COLOURS, FAINT, GREY, INK, ORANGE, SEQUENTIAL, SKY, STYLE, figure

Array = np.ndarray
DASHES = (("--", "dashed"), (":", "dotted"), ("-.", "dash-dotted"))


def intervals(
    frame: pd.DataFrame, *, title: str, xlabel: str, highlight: Sequence[str] = (), faded: Sequence[str] = (),
    panels: str | None = None, signs: bool | None = None, stacked: bool = False,
) -> Figure:  # fmt: skip
    """Return dots with 95 % intervals, one row per model in the order of the frame (`model`, `mean`, `low`, `high`).

    `highlight` is drawn in orange, `faded` (a ceiling that cheats, a floor) in grey; each dot carries its value. Each
    value of the column `panels` gets axes of its own, with the same models down; `stacked` sets them below each other
    on one scale. `signs` draws the line of zero and writes plus signs, as differences need (None: where an interval
    goes below zero).
    """
    parts = dict(list(frame.groupby(panels, sort=False))) if panels else {"": frame}
    models = list(dict.fromkeys(frame["model"]) if panels else frame["model"])
    shape = (len(parts), 1) if stacked else (1, len(parts))
    beside = bool(panels) and not stacked
    width, height = 10 if beside else 7.6, (0.36 * len(models) + 0.4) * shape[0] + 0.7
    fig, axes = figure(*shape, width=width, height=height, sharey=True, sharex=stacked, squeeze=False)
    for ax, (name, part) in zip(axes.flat, parts.items()):
        rows = part["model"].map(models.index) if panels else range(len(part))
        _dots(ax, part, rows, highlight, faded, min(frame["low"]) < 0 if signs is None else signs)
        ends = frame if stacked else part
        low, high = min(0, *ends["low"]), max(0, *ends["high"])
        # Room for the values beside the dots, of which narrow axes need more.
        room = (0.42 if beside else 0.14) * (high - low)
        ax.set_xlim(low - (room if part["mean"].min() < 0 else 0.03 * (high - low) * (low < 0)), high + room)
        ax.set(title=name, xlabel="" if stacked and ax is not axes[-1, 0] else xlabel)
    axes[0, 0].set_yticks(range(len(models)), models)
    axes[0, 0].set_ylim(len(models) - 0.4, -0.6)
    fig.suptitle(title, x=0.01, ha="left", fontsize=STYLE["axes.titlesize"], fontweight="bold")
    return fig


def gains(
    table: pd.DataFrame, *, title: str, metric: str, highlight: Sequence[str] = (), sort: bool = True,
    panels: str | None = None, reach: float = 0.0,
) -> Figure:  # fmt: skip
    """Return the differences of a `study.compare` table as dots with intervals, the largest first; no baseline row.

    Orange marks the `highlight`; grey, also of these, what Holm's correction does not show to differ. `metric` labels
    the axis, which goes at least from −`reach` to +`reach`, so that figures with the same reach can be compared by
    eye. Each value of the column `panels` gets axes of its own, on one scale, with the models in the order of the
    first.
    """
    rows = table[table["model"] != table["baseline"]]
    if np.isfinite(rows["diff_low"]).any():
        rows = rows[np.isfinite(rows["diff_low"])]
    else:  # one unit alone has no interval: its differences stand as dots
        rows = rows.assign(diff_low=rows["difference"], diff_high=rows["difference"])
    rows = rows.sort_values("difference", ascending=False, kind="stable") if sort else rows
    if panels:
        rows = pd.concat([rows[rows[panels] == part] for part in dict.fromkeys(table[panels])])
    drawn = rows.assign(mean=rows["difference"], low=rows["diff_low"], high=rows["diff_high"])
    drawn["unclear"] = ~rows["better"] & ~rows["worse"]
    against, unit, least, most = table["baseline"].iloc[0], table["unit"].iloc[0], rows["n"].min(), rows["n"].max()
    n = f"{least}" if least == most else f"{least} to {most}"
    xlabel = f"difference in {metric} to “{against}” (95 % interval, {n} {unit}s)"
    xlabel += "\ngrey: not shown to differ after Holm's correction over all rows"
    fig = intervals(drawn, title=title, xlabel="" if panels else xlabel, highlight=highlight, panels=panels, signs=True)
    if panels:
        fig.supxlabel(xlabel, fontsize=10)
    ends = np.array([(-reach, reach), *(ax.get_xlim() for ax in fig.axes)])
    for ax in fig.axes:
        ax.set_xlim(ends[:, 0].min(), ends[:, 1].max())
    return fig


def bars(frame: pd.DataFrame, *, title: str, xlabel: str = "", highlight: Sequence[str] = ()) -> Figure:
    """Return one bar per row (`model`, `mean`), from the top in the order of the frame, `highlight` in orange."""
    fig, ax = figure(height=0.32 * len(frame) + 1.0)
    colours = [ORANGE if model in highlight else SKY for model in frame["model"]]
    ax.barh(range(len(frame)), frame["mean"], color=colours, height=0.7, lw=0)
    ax.set_yticks(range(len(frame)), frame["model"])
    ax.set_ylim(len(frame) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set(title=title, xlabel=xlabel)
    return fig


def predicted_against_true(
    frame: pd.DataFrame, *, title: str, label: str, predicted: str = "predicted", true: str = "true", name: str = "name"
) -> Figure:
    """Return a scatter of predicted against true values (natural logarithms of 1 + count), the extremes named.

    `label` says what is counted. The line is where prediction and truth agree.
    """
    fig, ax = figure(height=4.6)
    x, y = np.expm1(frame[predicted].to_numpy()), np.expm1(frame[true].to_numpy())
    ax.plot(x, y, "o", color=BLUE, ms=4, alpha=0.5, mew=0)
    ends = np.array([max(1.0, min(x.min(), y.min())), max(x.max(), y.max())])
    ax.plot(ends, ends, color=GREY, lw=1, ls="--")
    ax.annotate("as predicted", ends[[1, 1]], (-16, -26), textcoords="offset points", color=GREY, fontsize=9)
    order = np.argsort(frame[true].to_numpy() - frame[predicted].to_numpy(), kind="stable")
    for place, row in enumerate([*order[:3], *order[-3:]]):
        # The lowest lie side by side on one count: their names climb.
        shift = (5, 4 + 10 * place) if place < 3 else (-5, 3)
        ha = "left" if place < 3 else "right"
        style = {"textcoords": "offset points", "fontsize": 8, "color": INK, "ha": ha}
        ax.annotate(frame[name].iloc[row], (x[row], y[row]), shift, **style)
    ax.set(xscale="log", yscale="log", title=title, xlabel=f"predicted: {label}", ylabel=f"true: {label}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter())
    return fig


def _dots(ax: Any, frame: pd.DataFrame, rows: Any, highlight: Sequence[str], faded: Sequence[str], below: bool) -> None:
    for y, row in zip(rows, frame.itertuples()):
        grey = row.model in faded or getattr(row, "unclear", False)
        colour = GREY if grey else ORANGE if row.model in highlight else BLUE
        ax.plot([row.low, row.high], [y, y], color=colour, lw=2, solid_capstyle="round")
        ax.plot(row.mean, y, "o", color=colour)
        # Away from zero, so that no number stands on its line.
        end, shift, ha = (row.low, -6, "right") if row.mean < 0 else (row.high, 6, "left")
        style = {"textcoords": "offset points", "va": "center", "ha": ha, "fontsize": 9, "color": colour}
        text = signed(row.mean) if below else f"{row.mean:.3f}"
        ax.annotate(text, (end, y), (shift, 0), **style)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if below:
        ax.axvline(0, color=GREY, lw=1, zorder=0)


def waterfall(frame: pd.DataFrame, marks: Mapping[str, float], *, title: str, xlabel: str) -> Figure:
    """Return a waterfall: each row (`model`, `mean`) is a bar from the mean of the row before to its own.

    A dot with its interval (`alone`, `low`, `high`, NaN for none) says what the step reaches without the others before
    it; `marks` are dashed lines with a name.
    """
    fig, ax = figure(height=0.46 * len(frame) + 1.5)
    for y, (start, row) in enumerate(zip([0.0, *frame["mean"]], frame.itertuples())):
        ax.barh(y, row.mean - start, left=start, height=0.62, color=SKY if y and row.mean >= start else FAINT, lw=0)
        text = f"{row.mean:.3f}" + (f" ({signed(row.mean - start)})" if y else "")
        ax.text(1.01, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9, color=INK)
        ax.plot([row.low, row.high], [y, y], color=ORANGE, lw=2, solid_capstyle="round")
        ax.plot(row.alone, y, "o", color=ORANGE, ms=5)
    for name, value in marks.items():
        ax.axvline(value, color=GREY, lw=1, ls="--")
        # The farthest name goes right, the others left, so that near ones do not meet.
        ha = "left" if value == max(marks.values()) else "right"
        ax.annotate(name, (value, -0.6), (0, 3), textcoords="offset points", ha=ha, fontsize=9, color=GREY)
    farthest = np.nanmax([*frame[["mean", "high"]].to_numpy().ravel(), *marks.values()])
    ax.set(ylim=(len(frame) - 0.5, -0.6), xlim=(0, 1.04 * farthest))
    ax.set_yticks(range(len(frame)), frame["model"])
    ax.set_title(title, pad=18)
    ax.set_xlabel(xlabel)
    ax.tick_params(axis="y", length=0)
    return fig


def lines(
    frame: pd.DataFrame, *, x: str, y: str, by: str, title: str, xlabel: str, ylabel: str,
    low: str | None = None, high: str | None = None, logx: bool = False, zero: bool = True, faded: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Return one line per value of `by`, labelled at its right end, with the band `low` … `high` where given."""
    fig, ax = figure(height=3.9)
    ends = []
    colours = iter(COLOURS * 3)
    for name, part in frame.groupby(by, sort=False):
        colour = GREY if name in faded else next(colours)
        # On a long line markers would run together, and dashes with them.
        dashes, style = DASHES[list(faded).index(name) % 3] if name in faded else ("-", "solid")
        ax.plot(part[x], part[y], marker="o" if len(part) <= 30 else "", color=colour, ms=4, ls=dashes)
        if low and high:
            ax.fill_between(part[x], part[low], part[high], color=colour, alpha=0.15, lw=0)
        # Greys are told apart by their dashes.
        label = f"{name} ({style})" if name in faded and len(faded) > 1 else name
        ends.append((part[y].iloc[-1], part[y].mean(), label, colour))
    if logx:
        ax.set_xscale("log")
        ticks = sorted(frame[x].unique())
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
    if zero:
        ax.set_ylim(bottom=0)
    label_ends(ax, ends)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return fig


def trade_off(
    frame: pd.DataFrame, *, x: str, title: str, xlabel: str, ylabel: str, logx: bool = False,
    highlight: Sequence[str] = (), faded: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Return what each model reaches (`mean`, `low`, `high`) against what it costs (`x`), each dot labelled beside it.

    The label is `model` and, where the frame has one, its `note`. `faded` is grey (a teacher), `highlight` orange.
    """
    fig, ax = figure(height=4.2)
    if logx:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(LogFormatter())
    rows, labels = frame.to_dict("records"), []
    for row in rows:
        colour = GREY if row["model"] in faded else ORANGE if row["model"] in highlight else BLUE
        ax.plot([row[x]] * 2, [row["low"], row["high"]], color=colour, lw=2, solid_capstyle="round")
        ax.plot(row[x], row["mean"], "o", color=colour)
        text = row["model"] + (f"\n{row['note']}" if row.get("note") else "")
        labels.append(ax.annotate(
            text, (row[x], row["mean"]), (8, 0), textcoords="offset points", va="center", fontsize=8.5, color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        ))  # fmt: skip
    low, high = frame[x].min(), frame[x].max()
    # Room for the labels, which stand right of their dots.
    ax.set_xlim(*((low / 1.5, high * (high / low) ** 0.45 * 1.5) if logx else (-0.03 * high, 1.45 * high)))
    if frame["low"].min() < 0:
        ax.axhline(0, color=GREY, lw=1, zorder=0)
    else:
        ax.set_ylim(bottom=0)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    fig.canvas.draw()
    for row, label in zip(rows, labels):
        box = label.get_window_extent()
        for other in rows:
            (at, bottom), (_, top) = ax.transData.transform([(other[x], other["low"]), (other[x], other["high"])])
            if other is not row and box.x0 < at < box.x1 and box.y0 < top and bottom < box.y1:
                # It would lie over the other's interval: above its own it does not.
                label.xy, label.xyann = (row[x], row["high"]), (-4, 5)
                label.set_va("bottom")
    return fig


def ranked(frame: pd.DataFrame, *, title: str) -> Figure:
    """Return lists side by side: one column of names each, the best at the top, names that several have in colour.

    The names that stand in every list are written in the first colour, all others in ink.
    """
    fig, axes = figure(1, frame.shape[1], width=10, height=0.3 * len(frame) + 0.9, squeeze=False)
    shared = set.intersection(*(set(frame[name].dropna()) for name in frame))
    for ax, name in zip(axes[0], frame):
        for place, text in enumerate(frame[name].dropna()):
            ax.text(0, place, f"{place + 1}", ha="right", va="center", color=GREY, fontsize=9)
            ax.text(0.03, place, text, va="center", color=BLUE if text in shared else INK, fontsize=9.5)
        ax.set(xlim=(-0.08, 1), ylim=(len(frame) - 0.4, -0.6))
        ax.axis("off")
        ax.set_title(name)
    fig.suptitle(f"{title} (blue: in every list)", x=0.01, ha="left", fontsize=STYLE["axes.titlesize"])
    return fig


def label_ends(ax: Any, ends: Sequence[tuple[float, float, str, str]], gap: float = 0.062) -> None:
    """Write (end, mean, text, colour) labels right of the axes at the end of their line, pushed apart and inside.

    Lines that end together are labelled in the order of their means.
    """
    scale = np.log if ax.get_yscale() == "log" else np.asarray
    low, high = scale(ax.get_ylim())
    ends = sorted(ends, key=lambda end: (round(end[0], 3), end[1]))
    steps = gap * np.arange(len(ends))
    wanted = np.array([(scale(end[0]) - low) / (high - low) for end in ends])
    # The nearest places to the ends, in squared distance, that keep the gap.
    places = np.clip(isotonic_regression(wanted - steps).x, 0, max(0, 0.97 - steps[-1])) + steps
    for (*_, text, colour), place in zip(ends, places):
        ax.annotate(
            text, (1.01, place), xycoords="axes fraction", va="center", color=colour, fontsize=9, annotation_clip=False
        )


def table(frame: pd.DataFrame, *, title: str, label: str, digits: int = 3) -> Figure:
    """Return a shaded table of numbers: index down, columns across, lighter is larger."""
    fig, ax = figure(height=0.42 * len(frame) + 1.2)
    sns.heatmap(
        frame, ax=ax, annot=True, fmt=f".{digits}f", cmap=SEQUENTIAL, cbar_kws={"label": label}, linewidths=1.5, vmin=0,
        annot_kws={"fontsize": 9},
    )  # fmt: skip
    values = frame.to_numpy(float)
    for text, value in zip(ax.texts, values[np.isfinite(values)]):
        text.set_color(INK if value > 0.6 * np.nanmax(values) else "white")
    ax.set(xlabel="", ylabel="", title=title)
    ax.tick_params(length=0, rotation=0)
    return fig
