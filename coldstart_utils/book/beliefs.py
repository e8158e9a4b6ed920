"""Figures of a guess that meets evidence: beliefs before and after, and what a posterior gains over its rivals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..measure.phrases import capital
from ..palette import BLUE, GREY, INK, ORANGE, figure
from .plotting import intervals, lines


def leads(table: pd.DataFrame, *, by: str, title: str, metric: str, ahead: bool = True) -> Figure:
    """Return the differences of a `study.compare_by` table as dots: a panel for each model, a row for each value of
    `by`.

    What the baseline is ahead of each model; with ahead=False what each model is ahead of the baseline, with a panel
    for each value of `by` and a row for each model. Grey is what is not shown to differ.
    """
    rows = table[table["model"] != table["baseline"]]
    rows = rows.assign(unclear=~rows["better"] & ~rows["worse"])
    if ahead:
        drawn = rows.assign(mean=-rows["difference"], low=-rows["diff_high"], high=-rows["diff_low"])
        drawn = drawn.assign(panel=("over " + rows["model"]).map(_wrapped), model=[_counted(n, by) for n in rows[by]])
    else:
        drawn = rows.assign(mean=rows["difference"], low=rows["diff_low"], high=rows["diff_high"])
        drawn = drawn.assign(panel=[_counted(n, by) for n in rows[by]])
    fig = intervals(drawn, title=title, xlabel="", panels="panel")
    fig.supxlabel(f"difference in {metric} (95 % interval); grey: not shown to differ", fontsize=10)
    return fig


def _counted(n: int, what: str) -> str:
    return f"after {n} {what[:-1] if n == 1 else what}" if n else f"without {what}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 16)


def beliefs(mean: float, miss: float, share: float, answers: int, noise: float) -> Figure:
    """Return the densities of a guess N(mean, miss²), of `answers` with a `share` of yes and deviation `noise` each,
    and of their posterior.
    """
    x, worth = np.linspace(-0.5, 1.5, 101), noise**2 / miss**2
    both = (worth * mean + answers * share) / (worth + answers)
    parts = {"guess": (mean, miss), "answers": (share, noise / answers**0.5)}
    parts |= {"posterior": (both, noise / (worth + answers) ** 0.5)}
    curves = {name: np.exp(-(((x - m) / s) ** 2) / 2) / s for name, (m, s) in parts.items()}
    frame = pd.DataFrame(curves | {"x": x}).melt("x", var_name="by")
    title = f"A guess worth {worth:.3g} ratings and {answers} answers: {both:.2f}"
    return lines(frame, x="x", y="value", by="by", title=title, xlabel="share of yes", ylabel="density")


def curve(table: pd.DataFrame, *, by: str, title: str, metric: str, faded: Sequence[str], zero: bool = True) -> Figure:
    """Return the means of a `study.compare_by` table as one line per model over the values of `by`; `zero` starts the
    axis there.
    """
    xlabel = f"{by} revealed of each (the test is the same throughout)"
    drawn = table.astype({by: str})
    return lines(drawn, x=by, y="mean", by="model", title=title, xlabel=xlabel, ylabel=metric, faded=faded, zero=zero)


def parts_and_effects(frame: pd.DataFrame, *, title: str) -> Figure:
    """Return what answers add to a score (`part`) against what the score loses without them (`effect`).

    Orange marks the largest part of each score (`named`); on the diagonal both would be the same.
    """
    fig, ax = figure(width=6.4, height=4.6)
    named = frame["named"].to_numpy(bool)
    for rows, colour, label in ((~named, BLUE, "another answer"), (named, ORANGE, "the largest part of its score")):
        ax.plot(frame["part"][rows], frame["effect"][rows], "o", color=colour, ms=3, alpha=0.4, mew=0, label=label)
    low, high = frame[["part", "effect"]].to_numpy().min(), frame[["part", "effect"]].to_numpy().max()
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--")
    style = {"textcoords": "offset points", "color": GREY, "fontsize": 9, "ha": "right", "va": "center"}
    ax.annotate("if both were equal", (high, high), (-24, -6), **style)
    for line in (ax.axhline, ax.axvline):
        line(0, color=GREY, lw=0.6, zorder=0)
    legend = fig.legend(loc="outside lower center", ncols=2, markerscale=2)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
    ax.set(title=title, xlabel="part: what the answer adds to the score", ylabel="effect: what is lost without it")
    ax.tick_params(colors=INK)
    return fig


def worth(reached: Sequence[float], tried: Sequence[int]) -> str:
    """Return in words at which of the numbers `tried` a goal is `reached` in each fold: their median and range.

    What lies at the least number tried is 'at most' that, infinity 'over' the largest.
    """
    low, high = min(tried), max(tried)
    inside = [f"at most {low}" if n < low + 0.5 else f"{n:.0f}" for n in sorted(reached)]
    words = [f"over {high}" if n > high else told for n, told in zip(sorted(reached), inside)]
    if words[0] == words[-1]:
        return f"{words[0]} in every fold (tried from {low} to {high})"
    return f"{words[len(words) // 2]} (median of the folds; {words[0]} to {words[-1]})"


def verdict(table: pd.DataFrame, by: str, parts: tuple[str, str], race: pd.DataFrame) -> str:
    """Return in sentences what a `compare_by` table says of its baseline and of the two `parts` that it joins.

    Where the second part is ahead of the first (`race` compares the two), whether the baseline is ever shown to be
    worse than a part, what the three reach at the end, whom the baseline is shown to beat, and who is ahead of it.
    """
    first, second = parts
    means, last, ours = table.set_index(["model", by])["mean"].unstack(), table[by].iloc[-1], table["baseline"].iloc[0]
    leads = race[(race["model"] == second) & (race["difference"] > 0)]
    shown = ", ".join(map(str, leads[leads["better"]][by])) or "none of them"
    passed = f"on average ahead of {first} at {', '.join(map(str, leads[by]))} {by}, shown at {shown}"
    harm = sorted(table[table["better"] & table["model"].isin(parts)][by].unique())
    worse = f"shown to be worse than one of them at {', '.join(map(str, harm))}" if harm else "never shown to be worse"
    level = ", ".join(f"{name} {means.loc[name, last]:.3f}" for name in (*parts, ours))
    higher = table[table["difference"] > 0]
    clear, unclear = _listed(higher[higher["better"]], by), _listed(higher[~higher["better"]], by)
    others = [f"Shown to be ahead of it: {clear}."] if clear else []
    others += [f"Higher on average, not shown: {unclear}."] if unclear else []
    told = [
        f"**{capital(second)} is {passed if len(leads) else f'never ahead of {first}'}.** **Knowing both is {worse}.**",
        f"At {last} {by}: {level}.",
        f"The {ours} is shown to be ahead of {_listed(table[table['worse']], by) or 'none'}.",
    ]
    return " ".join(told + others)


def _listed(rows: pd.DataFrame, by: str) -> str:
    """Return models with their values of `by` as text, 'name at 1, 3; other at 5'."""
    places = rows.groupby("model", sort=False)[by].apply(lambda values: ", ".join(map(str, values)))
    return "; ".join(f"{name} at {where}" for name, where in places.items())
