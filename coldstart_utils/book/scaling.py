"""Figures and sentences of growth: what each step costs at which size, where a cluster overtakes, what a plan says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..palette import BLUE, COLOURS, FAINT, GREEN, GREY, INK, ORANGE, figure
from ..serving.growth import ML_1M, Size, Unit, crossover, plan, seconds
from .plotting import label_ends

ONE, MANY = "one process", "Spark"
STEPS = {
    "read": "read and number",
    "sweep": "a sweep of ALS",
    "bridge": "sum the bridge",
    "pair": "lists of 2,000 users",
}
CORES = 16  # of a machine in a plan
SHADES = (ORANGE, GREEN, "#CC79A7")


def grows(measured: pd.DataFrame) -> Figure:
    """Return processor seconds of each step against the size, one line an engine, both axes logarithmic."""
    fig, axes = figure(1, len(STEPS), width=10.4, height=3.5, sharey=True)
    for ax, (step, name) in zip(axes, STEPS.items()):
        for engine, colour in ((ONE, BLUE), (MANY, ORANGE)):
            rows = measured[(measured["engine"] == engine) & (measured["step"] == step)].sort_values("times")
            ax.plot(rows["times"], rows["cpu"], "o-", color=colour, label=engine)
        ax.set(xscale="log", yscale="log", title=name, xlim=(0.6, 170))
        ax.title.set_fontsize(10)
        ax.set_xticks([1, 10, 100], ["1×", "10×", "100×"])
        ax.set_yticks([0.01, 0.1, 1, 10, 100, 1_000], ["0.01", "0.1", "1", "10", "100", "1,000"])
        ax.minorticks_off()
    axes[0].set_ylabel("processor seconds (log scale)")
    axes[0].legend(loc="upper left")
    fig.supxlabel("size, times MovieLens-1M (log scale)", fontsize=10)
    return fig


def ratios(measured: pd.DataFrame) -> pd.DataFrame:
    """Return how many processor seconds Spark takes for one of one process: steps down, sizes across."""
    part = measured[measured["step"].isin([*STEPS])]
    cpu = part.pivot_table(index="step", columns=["engine", "times"], values="cpu")
    found = (cpu[MANY] / cpu[ONE]).reindex([*STEPS])  # NaN at a size that only one of them ran
    return found.rename(index=STEPS).rename(columns="{:g}×".format)


def grown_told(measured: pd.DataFrame) -> str:
    """Return in a sentence what Spark's work costs beside that of one process, at the sizes that both ran."""
    found = ratios(measured)
    last = found.ffill(axis=1).iloc[:, -1]
    low, high = (_short(x) for x in (found.min(axis=None), found.max(axis=None)))
    return (
        f"Where one process takes one processor second, Spark takes {low} to {high}, by step and size; at the largest "
        f"size that both ran, {_short(last.min())} to {_short(last.max())}, by step."
    )


def wall(unit: Unit, cores: int, times: Iterable[float]) -> list[float]:
    """Return seconds of the wall clock of ten sweeps, bridge and 10,000 lists, at each size."""
    return [seconds(ML_1M.times(x), unit, cores=cores) for x in times]


def crossing(one: Unit, many: Unit, clusters: Sequence[int], *, measured: float) -> Figure:
    """Return seconds against size: one core of one machine, and Spark on each number of cores, with their crossings.

    Past `measured` times MovieLens-1M a step of Spark was not measured: what lies there is marked as extrapolated.
    """
    fig, ax = figure(width=8.6, height=4.2)
    times = np.geomspace(0.1, 10_000, 61)
    ax.plot(times, wall(one, 1, times), color=BLUE, lw=2.4)
    ends = [(wall(one, 1, times)[-1], 0.0, "one process, 1 core", BLUE)]
    for cores, colour in zip(clusters, SHADES):
        ax.plot(times, wall(many, cores, times), color=colour)
        ends.append((wall(many, cores, times)[-1], 0.0, f"Spark, {cores} cores", colour))
        at = crossover(one, many, own=1, cores=cores)
        if at < times[-1]:
            ax.plot(at, seconds(ML_1M.times(at), one, cores=1), "o", color=colour, ms=8)
    for size, name in ((60, "a minute"), (3_600, "an hour"), (86_400, "a day")):
        ax.axhline(size, color=FAINT, lw=0.9, zorder=0)
        ax.annotate(name, (0.1, size), (0, 2), textcoords="offset points", color=GREY, fontsize=8)
    ax.axvline(measured, color=GREY, lw=0.9, ls=":", zorder=0)
    ax.annotate("extrapolated →", (measured, 0.97), (5, 0), xycoords=ax.get_xaxis_transform(),
                textcoords="offset points", va="top", color=GREY, fontsize=8)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="size, times MovieLens-1M (log scale)",
           ylabel="seconds (log scale)", title="When does a cluster overtake one machine?")  # fmt: skip
    ax.set_xticks([0.1, 1, 10, 100, 1_000, 10_000], ["0.1×", "1×", "10×", "100×", "1,000×", "10,000×"])
    ax.set_yticks([10**n for n in range(7)], [f"{10**n:,}" for n in range(7)])
    ax.set_ylim(*ax.get_ylim())
    ax.minorticks_off()
    label_ends(ax, ends)
    return fig


def crossing_table(one: Unit, many: Unit, clusters: Sequence[int], own: Sequence[int] = (1, 2, 16)) -> pd.DataFrame:
    """Return from how many times MovieLens-1M a cluster is faster: cores of the cluster down, of one machine across."""
    rows = {
        f"Spark, {cores} cores": [crossover(one, many, own=mine, cores=cores) for mine in own] for cores in clusters
    }
    names = [f"one machine, {mine} core{'s' * (mine > 1)}" for mine in own]
    return pd.DataFrame(rows, index=names).T.map(lambda x: "never" if np.isinf(x) else f"{float(f'{x:.2g}'):,g}×")


def crossing_told(one: Unit, many: Unit, clusters: Sequence[int]) -> str:
    """Return in a sentence what the start costs and where the lines cross."""
    found = {cores: crossover(one, many, own=1, cores=cores) for cores in clusters}
    never = [f"{cores}" for cores, at in found.items() if np.isinf(at)]
    parts = [f"with {cores} cores from {float(f'{at:.2g}'):,g} times MovieLens-1M on" for cores, at in found.items()
             if np.isfinite(at)]  # fmt: skip
    again = f", and {many.planning:.1f} a sweep" if many.planning >= 0.05 else ""
    text = f"Whatever the size, Spark spends {many.start:.0f} processor seconds on its start and on planning{again}; "
    text += "no further core makes them shorter here. It overtakes one process on one core "
    text += ", ".join(parts) if parts else "with no number of cores tried"
    return text + (f"; with {' or '.join(never)} cores it never does." if never else ".")


def in_words(size: float) -> str:
    """Return a number of bytes as text, 1.9 TB."""
    for name, unit in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= unit:
            return f"{float(f'{size / unit:.2g}'):g} {name}"
    return f"{size:.0f} B"


def paper_table(paper: pd.DataFrame) -> pd.DataFrame:
    """Return `growth.on_paper` in words."""
    return pd.DataFrame(
        {
            "held in memory": paper["bytes"].map(_or_none),
            "moves between machines": paper["moved"].map(_or_none),
            "operations": paper["operations"].map(lambda x: f"{x:.1e}" if x else "–"),
        }
    )


def _or_none(size: float) -> str:
    return in_words(size) if size else "–"


def plan_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a `growth.plan` in words."""
    size = rows["bytes"].map(in_words)
    size["all"] = ""  # what is held and what moves do not add up
    numbers = rows[["core-hours", "hours", "dollars"]].map(lambda x: _short(x) if x >= 0.001 else "< 0.001")
    return numbers.assign(**{"bytes held or moved": size})


def planned(size: Size, unit: Unit, *, machines: int, price: float, sweeps: int = 10) -> Figure:
    """Return core-hours of each step as bars, and the whole in the title: hours on so many machines, dollars."""
    rows = plan(size, unit, cores=machines * CORES, price=price, sweeps=sweeps)
    steps, total = rows.drop("all"), rows.loc["all"]
    fig, ax = figure(width=8.6, height=3.2)
    colours = [ORANGE if hours == steps["core-hours"].max() else COLOURS[4] for hours in steps["core-hours"]]
    ax.barh(range(len(steps)), steps["core-hours"], color=colours, height=0.7, lw=0)
    for y, row in enumerate(steps.itertuples()):
        text = f"{_short(row[1])} core-h, ${_short(row.dollars)}"
        ax.annotate(
            text, (max(row[1], 1e-4), y), (5, 0), textcoords="offset points", va="center", color=INK, fontsize=9
        )
    ax.set_yticks(range(len(steps)), steps.index)
    ax.set_ylim(len(steps) - 0.4, -0.6)
    high = max(steps["core-hours"].max(), 1e-2)
    ax.set(xscale="log", xlabel="core-hours (log scale)")
    powers = [10.0**n for n in range(-4, 10) if 10.0**n < high * 60]
    ax.set_xticks(powers, [f"{power:,.0f}" if power >= 1 else f"{power:g}" for power in powers])
    ax.minorticks_off()
    ax.set_xlim(1e-4, high * 60)
    ax.set_title(
        f"{_short(total['hours'])} hours on {machines:,} machines of {CORES} cores, ${_short(total['dollars'])}"
    )
    return fig


def _short(x: Any) -> str:
    return f"{float(f'{x:.2g}'):,.0f}" if x >= 10 else f"{float(f'{x:.2g}'):g}"


def plan_told(rows: pd.DataFrame) -> str:
    """Return in a sentence which step of a plan costs most, and what the others cost together."""
    steps = rows.drop("all")
    most = steps["core-hours"].idxmax()
    share = steps.loc[most, "core-hours"] / rows.loc["all", "core-hours"]
    rest = steps.drop(most)["dollars"].sum()
    return (
        f"*{most.capitalize()}* takes {100 * share:.0f} % of all core-hours, {_short(steps.loc[most, 'dollars'])} "
        f"dollars; everything else together costs {_short(rest)}."
    )
