"""Published tables beside what the same protocol gives here: figures, and sentences with their numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..measure import published, study
from ..measure.phrases import marked, signed
from ..palette import BLUE, GREY, INK, ORANGE, SKY, figure

METRICS = {"precision": "P@5", "ndcg": "nDCG@5"}
MODES = {"rating": "rating mode: five of ten ratings", "click": "click mode: ratings of 4 or more"}
RESTATED = {"SAR, re-stated": "SAR, published", "explicit ALS, by rating": "ALS (Spark), published"}
# What a table has to beat before it says anything.
MARKS = ("chance", "a constant", "item means")
NAMED = {"on any users": "shown, whoever was tested", "if on the same users": "shown if all met the same users",
         "no": "not shown"}  # fmt: skip


def spreads(rows: pd.DataFrame, mode: str, metric: str) -> tuple[float, float]:
    """Return the standard deviations of one user's `metric` in a mode: of a difference of two methods, and of one."""
    part = rows[rows["mode"] == mode]
    return published.spread(part, metric, paired=True), published.spread(part, metric, paired=False)


def beside(rows: pd.DataFrame, metric: str, n: int) -> pd.DataFrame:
    """Return published values beside ours, each mode best first: model, mode, mean, low, high and `whose`.

    The 95 % interval of a published value is that of a mean over `n` users, with the spread of our methods; ours
    resample the users in `rows`.
    """
    parts = []
    for mode in MODES:
        ours = study.compare(rows[rows["mode"] == mode], "a constant", metric=metric, unit="user")
        parts.append(ours[["model", "mean", "low", "high"]].assign(mode=mode, whose="ours"))
        theirs = _values(mode, metric)
        half = 1.96 * spreads(rows, mode, metric)[1] / np.sqrt(n)
        told = {"model": theirs.index, "mean": theirs.to_numpy(), "low": theirs - half, "high": theirs + half}
        parts.append(pd.DataFrame(told).assign(mode=mode, whose="published"))
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(["mode", "mean"], ascending=False, kind="stable", ignore_index=True)


def _values(mode: str, metric: str) -> pd.Series:
    table = published.published("meta-learners")
    return table[table["mode"] == mode].set_index("model")[metric]


def draw_beside(table: pd.DataFrame, *, metric: str, n: int) -> Figure:
    """Return the table of `beside` as dots with intervals, one panel a mode, published values in orange."""
    fig, axes = figure(1, len(MODES), width=10.4, height=4.5)
    for ax, (mode, title) in zip(axes, MODES.items()):
        part = table[table["mode"] == mode]
        for y, row in enumerate(part.itertuples()):
            colour = ORANGE if row.whose == "published" else GREY if row.model in MARKS else BLUE
            ax.plot([row.low, row.high], [y, y], color=colour, lw=2, solid_capstyle="round")
            ax.plot(row.mean, y, "o", color=colour)
            style = {"textcoords": "offset points", "va": "center", "fontsize": 8.5, "color": colour}
            digits = 4 if row.whose == "published" else 3
            ax.annotate(f"{row.mean:.{digits}f}", (row.high, y), (5, 0), **style)
        ax.set_yticks(range(len(part)), part["model"])
        ax.tick_params(axis="y", length=0)
        low, high = part["low"].min(), part["high"].max()
        ax.set(xlim=(low - 0.01, high + 0.24 * (high - low)), ylim=(len(part) - 0.5, -0.5), xlabel=METRICS[metric])
        ax.set_title(title, fontsize=10)
        ax.spines["left"].set_visible(False)
    shown = {
        f"published, 95 % of {n} users": ORANGE, "ours, all qualifying users": BLUE, "ours, says nothing of taste": GREY
    }  # fmt: skip
    handles = [Line2D([], [], color=colour, marker="o", label=text) for text, colour in shown.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)
    fig.suptitle("New users: published values beside simple methods", x=0.01, ha="left", fontsize=11, fontweight="bold")
    return fig


def surviving(rows: pd.DataFrame, few: pd.DataFrame, mode: str, metric: str, n: int) -> pd.DataFrame:
    """Return `published.survivors` of a mode and metric for n tested users, with the spread of our methods in `rows`.

    The marks are those of people chosen as the published code does, `few` (`task_methods.run_published`).
    """
    same, other = spreads(rows, mode, metric)
    marks = few[few["mode"] == mode].groupby("model", sort=False)[metric].mean()[list(MARKS)]
    return published.survivors(_values(mode, metric), marks, n, same=same, other=other)


def draw_surviving(tables: Mapping[str, pd.DataFrame], *, title: str, metric: str) -> Figure:
    """Return the differences of `surviving` tables, one panel each, with the 95 % half-width that the users permit.

    Blue is shown on any users, sky if both were tested on the same ones, grey not. The wide bar is what chance does
    between methods tested on other users, the narrow one between methods tested on the same.
    """
    fig, axes = figure(1, len(tables), width=10.4, height=5.2)
    colours = {"on any users": BLUE, "if on the same users": SKY, "no": GREY}
    for ax, (name, table) in zip(np.atleast_1d(axes), tables.items()):
        for y, row in enumerate(table.to_dict("records")):
            ax.barh(y, 2 * 1.96 * row["error any"], left=-1.96 * row["error any"], height=0.72, color="#E8E8E8", lw=0)
            ax.barh(y, 2 * 1.96 * row["error same"], left=-1.96 * row["error same"], height=0.4, color="#CFCFCF", lw=0)
            ax.plot([0, row["difference"]], [y, y], color=colours[row["shown"]], lw=2)
            ax.plot(row["difference"], y, "o", color=colours[row["shown"]])
        ax.set_yticks(range(len(table)), [f"{row.one} − {row.against}" for row in table.itertuples()])
        ax.tick_params(axis="y", length=0, labelsize=8.5)
        ax.axvline(0, color=INK, lw=0.8)
        ax.set(ylim=(len(table) - 0.5, -0.5), xlim=(-0.19, 0.19), xlabel=f"difference in {METRICS[metric]}")
        ax.set_title(MODES.get(name, name), fontsize=10)
        ax.spines["left"].set_visible(False)
    handles = [Line2D([], [], color=colour, marker="o", label=NAMED[text]) for text, colour in colours.items()]
    handles += [
        Line2D([], [], color="#E8E8E8", lw=9, label="95 % by luck, on other users"),
        Line2D([], [], color="#CFCFCF", lw=5, label="on the same users"),
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8.5)
    fig.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return fig


def told_few(rows: pd.DataFrame, few: pd.DataFrame) -> str:
    """Return what the marks reach on people chosen as the published code does, compared with all who qualify."""
    parts = []
    for mode in MODES:
        means = [part[part["mode"] == mode].groupby("model")["precision"].mean() for part in (few, rows)]
        told = ", ".join(f"{mark} {means[0][mark]:.3f} ({means[1][mark]:.3f})" for mark in MARKS)
        parts.append(f"{mode} mode {told}")
    return f"On people whom the published code would test, and in brackets on all, P@5 is: {'; '.join(parts)}."


def told_users() -> str:
    """Return how many test users the printed digits allow, by precision and hit rate."""
    table, parts = published.published("meta-learners"), []
    for row in table.itertuples():
        by_precision = set(published.users_behind(row.precision, 5, most=80))
        allowed = sorted(n for n in by_precision & set(published.users_behind(row.hit, most=80)) if n >= 40)
        parts.append(f"{row.model} {' or '.join(map(str, allowed)) or 'none'}")
    return f"Between 40 and 80, the printed digits allow these numbers of test users: {'; '.join(parts)}."


def told_beside(table: pd.DataFrame, metric: str) -> str:
    """Return which published methods have a higher value than a constant and than item means, mode by mode, in words.

    `table` as `beside` gives it for that metric.
    """
    parts = []
    for mode in MODES:
        part = table[table["mode"] == mode].set_index("model")
        theirs, ours = (part[part["whose"] == whose]["mean"] for whose in ("published", "ours"))
        above = [
            f"above {mark} ({ours[mark]:.3f}) {', '.join(theirs.index[theirs > ours[mark]]) or 'none'}"
            for mark in MARKS[1:]
        ]
        best = ours.idxmax()
        parts.append(f"In {mode} mode, {'; '.join(above)}; best of ours: {best} ({ours[best]:.3f}).")
    return f"By printed {METRICS[metric]}, whatever the intervals. {' '.join(parts)}"


def counts(rows: pd.DataFrame, few: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return what n users can show, a row for each mode and metric, for readers.

    The standard deviation of a mean over n users; of the pairs of published methods, how many differ whoever was
    tested, and if all met the same users; of the methods, how many are shown above each mark.
    """
    found = {}
    for mode in MODES:
        for metric, name in METRICS.items():
            table = surviving(rows, few, mode, metric, n)
            pairs, marks = table[table["kind"] == "published"], table[table["kind"] == "mark"]
            firm = pairs["shown"] == "on any users"
            above = marks[(marks["shown"] == "on any users") & (marks["difference"] > 0)]["against"]
            same = firm | (pairs["shown"] == "if on the same users")
            row = {f"sd of a mean of {n}": f"{marks['error any'].iloc[0]:.3f}"}
            row |= {
                "pairs shown to differ": f"{firm.sum()} of {len(pairs)}",
                "if tested on the same": f"{same.sum()} of {len(pairs)}",
            }
            methods = marks["one"].nunique()
            row |= {f"shown above {mark}": f"{(above == mark).sum()} of {methods}" for mark in MARKS}
            found[f"{mode}, {name}"] = row
    return pd.DataFrame(found).T


def shifts(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of `study.compare` against our posterior without text, over users, with a column `mode`."""
    parts = []
    for mode in MODES:
        found = study.compare(rows[rows["mode"] == mode], "posterior", metric=metric, unit="user")
        parts.append(found.assign(mode=mode))
    return pd.concat(parts)


def told_shift(rows: pd.DataFrame, metric: str) -> str:
    """Return what damping alone, text and generated words change of our posterior, in each mode."""
    table = shifts(rows, metric)
    table = table[table["model"].str.startswith(("damped", "posterior with"))]
    parts = [f"{row.model} {text} ({row.mode})" for row, text in zip(table.itertuples(), marked(table))]
    return f"Compared with our posterior without text, {METRICS[metric]} over users: {'; '.join(parts)}."


def warm_beside(rows: pd.DataFrame) -> pd.DataFrame:
    """Return our `ndcg` of the warm table beside the published values: model, mean, low, high, whose; best first."""
    ours = study.compare(rows, "popularity", metric="ndcg", unit="user")[["model", "mean", "low", "high"]]
    theirs = published.published("recommenders")
    printed = pd.DataFrame({"model": theirs["model"] + ", published", "mean": theirs["ndcg"]})
    printed = printed.assign(low=printed["mean"], high=printed["mean"], whose="published")
    table = pd.concat([ours.assign(whose="ours"), printed], ignore_index=True)
    return table.sort_values("mean", ascending=False, ignore_index=True)


def told_warm(table: pd.DataFrame, listed: pd.Series) -> str:
    """Return which re-stated methods come near their published value, and why explicit ALS does not rank."""
    value = table.set_index("model")["mean"]
    near = "; ".join(f"{ours} {value[ours]:.3f} (published {value[theirs]:.3f})" for ours, theirs in RESTATED.items())
    best, own = table[table["whose"] == "published"].iloc[0], table.set_index("model").loc["EASE"]
    inside = "inside" if own["low"] <= best["mean"] <= own["high"] else "outside"
    rare, usual = listed["explicit ALS, by rating"], listed["EASE"]
    return (
        f"Re-stated here and published: {near}. EASE reaches {value['EASE']:.3f}; the best published value is "
        f"{best['mean']:.3f} ({best.model.removesuffix(', published')}), {inside} the interval of EASE. "
        f"The items in a list of explicit ALS had a "
        f"median of {rare:.0f} ratings in the training part, those in a list of EASE {usual:.0f}."
    )


def marks_of(rows: pd.DataFrame, few: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return how published values stand to our marks with n users: rows of `surviving`, with `mode` and `metric`."""
    parts = []
    for mode in MODES:
        for metric in METRICS:
            found = surviving(rows, few, mode, metric, n)
            parts.append(found[found["kind"] == "mark"].assign(mode=mode, metric=metric))
    return pd.concat(parts, ignore_index=True)


def none_above(marks: pd.DataFrame, against: str) -> tuple[bool, str]:
    """Return whether no row of `marks_of` is shown above `against`, and the largest lead of each metric as text."""
    rows = marks[marks["against"] == against]
    parts = []
    for metric, part in rows.groupby("metric", sort=False):
        top = part.loc[part["difference"].idxmax()]
        parts.append(
            f"{top['one']} {signed(top['difference'])} {METRICS[metric]}, standard error {top['error any']:.3f}"
        )
    return not ((rows["shown"] == "on any users") & (rows["difference"] > 0)).any(), "; ".join(parts)


def gaps_of(table: pd.DataFrame) -> tuple[float, str]:
    """Return the largest distance of a re-stated method from its published nDCG in the warm table, and all as text."""
    value = table.set_index("model")["mean"]
    gaps = {ours: value[ours] - value[theirs] for ours, theirs in RESTATED.items()}
    return max(map(abs, gaps.values())), "; ".join(f"{name} {signed(gap)}" for name, gap in gaps.items())


def told_learning(curves: pd.DataFrame, fall: float = 0.01) -> str:
    """Return which models are best at the last epoch, and which rank new items worse there, by more than `fall`.

    `curves` have a row a model, fold and epoch (`rivals.recorded.curves`).
    """
    path = curves.groupby(["epoch", "model"])["ndcg"].mean().unstack()
    fell = ", ".join(path.columns[path.iloc[-1] < path.max() - fall]) or "none"
    last = ", ".join(path.columns[path.idxmax() == path.index[-1]]) or "none"
    return (
        f"At their best at the last epoch allowed, so that more might help: {last}. After a best epoch these rank new "
        f"items worse, so that more epochs with this setting do not help: {fell}."
    )
