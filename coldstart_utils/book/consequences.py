"""Figures of what a score does: estimates beside the truth, groups, fronts, probes, attacks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..catalogue.decisions import open_bandit
from ..language import attacks
from ..language.storefront import Storefront
from ..measure.logged import ESTIMATORS, LEANING, Verdict, judged, shares, uniform
from ..measure.phrases import signed
from ..palette import BLUE, COLOURS, FAINT, GREY, INK, ORANGE, STYLE, figure
from .plotting import intervals, label_ends

Array = np.ndarray


def verdicts(found: Mapping[str, Verdict]) -> Figure:
    """Return the six estimates beside the truth, one panel a pair of logs, in clicks per 1,000.

    The band is the 95 % interval of what the asked policy really got. Grey intervals do not hold what ridge has wrong;
    ends beyond the picture are arrow heads, and a value beyond it is written.
    """
    rows = (len(found) + 2) // 3 if len(found) > 3 else 1
    fig, axes = figure(rows, -(-len(found) // rows), width=10, height=2.5 * rows + 0.5, sharey=True, squeeze=False)
    right = 1000 * max(np.percentile(np.concatenate([v.table["high"] for v in found.values()]), 80), 0.001)
    for ax, (name, verdict) in zip(axes.T.ravel(), found.items()):
        table = verdict.table
        half = 1000 * 1.96 * np.sqrt(table["truth"].iloc[0] / verdict.asked)
        truth = 1000 * table["truth"].iloc[0]
        ax.axvspan(truth - half, truth + half, color=FAINT, zorder=0)
        ax.axvline(truth, color=GREY, lw=1, zorder=0)
        for y, row in enumerate(table.itertuples()):
            colour = GREY if row.estimator in LEANING else BLUE
            ax.plot([max(1000 * row.low, 0), min(1000 * row.high, right)], [y, y], color=colour, lw=2)
            _dot_and_clipped_ends(ax, 1000 * row.value, 1000 * row.low, 1000 * row.high, y, right, colour)
        ax.set_xlim(0, 1.02 * right)
        ax.set_title(f"{name}\neffective size {verdict.size:,.0f}", fontsize=9.5)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(ESTIMATORS)), ESTIMATORS)
    axes[0, 0].set_ylim(len(ESTIMATORS) - 0.5, -0.5)
    fig.supxlabel("clicks per 1,000 shown (dot and 95 % interval; band: what the policy really got)", fontsize=10)
    return fig


def _dot_and_clipped_ends(ax: Axes, value: float, low: float, high: float, y: float, right: float, colour: str) -> None:
    """Draw a dot, its value beside it where it leaves 0 … `right`, and a sign where an end of the interval does."""
    if low < 0:
        ax.plot(0, y, "<", color=colour, ms=5, clip_on=False)
    if high > right:
        ax.plot(right, y, ">", color=colour, ms=6, clip_on=False)
    if 0 <= value <= right:
        ax.plot(value, y, "o", color=colour, ms=5)
    else:
        at, shift, side = (0, 9, "left") if value < 0 else (right, -9, "right")
        text = f"{value:.1f}".replace("-", "−")
        ax.annotate(
            text, (at, y), (shift, 1), textcoords="offset points", ha=side, va="bottom", fontsize=9, color=colour
        )


def offline(table: pd.DataFrame, order: tuple[str, ...]) -> Figure:
    """Return the recall of each ranking (`mean`, `low`, `high`) by each rule, joined by a line."""
    fig, ax = figure(height=3.8)
    ends = []
    for (name, own), colour in zip(table.groupby("model", sort=False), COLOURS):
        own = own.set_index("rule").loc[list(order)]
        at = np.arange(len(order))
        ax.plot(at, own["mean"], "o-", color=colour)
        ax.vlines(at, own["low"], own["high"], color=colour, lw=2)
        ends.append((own["mean"].iloc[-1], own["mean"].mean(), name, colour))
    ax.set_xticks(range(len(order)), order)
    ax.set(title="The same four rankings, judged three ways", ylabel="recall", xlim=(-0.2, len(order) - 0.9))
    ax.set_ylim(bottom=0)
    label_ends(ax, ends)
    return fig


def by_group(table: pd.DataFrame) -> Figure:
    """Return how far each group of a `groups.by_group` table lies from all others, a panel a metric."""
    rows = table.assign(
        model=[f"{row.kind}: {row.model}" for row in table.itertuples()],
        mean=table["difference"], low=table["diff_low"], high=table["diff_high"],
        unclear=~table["better"] & ~table["worse"],
    )  # fmt: skip
    title = "Whom do the lists of new films serve?"
    fig = intervals(rows, title=title, xlabel="", panels="metric", signs=True)
    below = "difference to all other users (95 % interval: the wider of users and folds)"
    fig.supxlabel(f"{below}\ngrey: not shown to differ after Holm's correction over both panels", fontsize=10)
    return fig


def fair_front(points: pd.DataFrame) -> Figure:
    """Return NDCG against the two gaps, a panel each, one line an aim; the weight stands at its dots."""
    fig, axes = figure(1, 2, width=10, height=3.9, sharey=True)
    for ax, gap in zip(axes, ("score gap", "error gap")):
        for (aim, own), colour in zip(points.groupby("model", sort=False), (BLUE, ORANGE)):
            ax.plot(own[gap], own["ndcg"], "o-", color=colour, label=f"aim: {aim}")
            ax.hlines(own["ndcg"], own[f"{gap} low"], own[f"{gap} high"], color=colour, lw=1.5, alpha=0.6)
            for row in own.iloc[1:].to_dict("records"):
                # The line runs to one side; at the left end there is no room for a label on its left.
                at_end = row[gap] < 0.05 * own[gap].max()
                away = 1 if at_end or own[gap].iloc[-1] > own[gap].iloc[0] else -1
                style = {
                    "textcoords": "offset points",
                    "fontsize": 8.5,
                    "color": colour,
                    "va": "top" if at_end else "bottom",
                }
                side = "left" if away > 0 else "right"
                ax.annotate(f"{row['dial']:g}", (row[gap], row["ndcg"]), (6 * away, 2), ha=side, **style)
        start = points.iloc[0]
        ax.plot(start[gap], start["ndcg"], "o", color=INK, ms=9, zorder=4)
        ax.set(title=gap, xlabel=f"{gap} of the two groups (95 % interval over folds)", xlim=(0, None))
    axes[0].set_ylabel("NDCG")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def probes(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Return the AUC of probes before and after erasure, a panel for each kind of vectors (`probes.summary` tables)."""
    fig, axes = figure(1, len(tables), width=10, height=3.6, sharey=True, squeeze=False)
    for ax, (name, table) in zip(axes[0], tables.items()):
        labels = list(dict.fromkeys(f"{row.asked}: {row.probe}" for row in table.itertuples()))
        for row in table.itertuples():
            erased = row.vectors == "erased"
            y = labels.index(f"{row.asked}: {row.probe}") + (0.16 if erased else -0.16)
            colour = ORANGE if erased else BLUE
            ax.plot([row.low, min(row.high, 1.0)], [y, y], color=colour, lw=2)
            ax.plot(row.mean, y, "o", color=colour, ms=5)
        ax.axvline(0.5, color=GREY, lw=1, ls="--")
        ax.set(title=name, xlim=(0.35, 1.03), xlabel="AUC on people not seen (0.5: a guess)")
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(labels)), labels)
    axes[0, 0].set_ylim(len(labels) - 0.5, -0.6)
    keys = [axes[0, 0].plot([], [], "o", color=c, label=n)[0] for n, c in (("as they are", BLUE), ("erased", ORANGE))]
    fig.legend(handles=keys, loc="outside lower center", ncols=2)
    return fig


def standing(shop: Storefront, film: int, text: str, defence: str, clean: bool) -> Figure:
    """Return what a text would bring a new film, beside its honest text: share of lists by four ways to rank.

    `defence` is 'none' or a defence of `Storefront.way`, `clean` strips what people do not see. Below stands what a
    detector would note. Raises ColdstartError for a text that no owner could hand in.
    """
    typed = attacks.as_people_see_it(text) if clean else attacks.owners_text(text)
    ways = {"words": "words", "encoder": "encoder", "text and tags": "text and tags"}
    if defence != "none":
        ways[f"text and tags, {defence}"] = defence
    fig, ax = figure(height=0.7 * len(ways) + 1.5)
    for y, way in enumerate(ways.values()):
        honest, now = shop.exposure(film, [shop.texts[film], typed], way)
        for shift, share, colour in ((-0.19, honest, GREY), (0.19, now, ORANGE)):
            ax.barh(y + shift, share, height=0.36, color=colour)
            ax.annotate(f"{share:.1%}", (share, y + shift), (4, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(range(len(ways)), ways)
    signs = _signs(*attacks.suspicion(shop, film, [shop.texts[film], typed]))
    ax.set(ylim=(len(ways) - 0.4, -0.6), xlim=(0, 1.12))
    ax.set_xlabel("share of users in whose list the film stands")
    fig.supxlabel(f"Signs that a detector reads, honest to typed text: {signs}", fontsize=9)
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.tick_params(axis="y", length=0)
    ax.set_title("grey: honest text, orange: typed text", fontsize=STYLE["axes.titlesize"] - 1)
    return fig


def _signs(honest: Array, typed: Array) -> str:
    """Return what a detector notes of an honest and of a typed text, from two rows of `attacks.suspicion`."""
    copied, pushing, above = (f"{signed(a)} to {signed(b)}" for a, b in zip(honest, typed))
    return (
        f"likeness to another film's words {copied},\n"
        f"mean push of a word {pushing}, score by words less score by tags {above}"
    )


def from_first_rows(rows: int, pair: str) -> Figure:
    """Return the six estimates from the first rows of an Open Bandit log; a pair is named as by `logged.both_ways`."""
    campaign, policies = pair.split(", ")
    known, asked = (open_bandit(policy, campaign) for policy in policies.split(" to "))
    target = shares(asked) if policies.endswith("bts") else uniform(known)
    verdict = judged(known.rows(slice(rows)), target, asked.reward, draws=100)
    return estimates(verdict, title=f"{pair}: {rows:,} rows, effective size {verdict.size:,.0f}")


def estimates(verdict: Verdict, *, title: str) -> Figure:
    """Return the six estimates of one `Verdict` with the truth, in clicks per 1,000."""
    rows = verdict.table.rename(columns={"estimator": "model"})
    scaled = rows.assign(mean=1000 * rows["value"], low=1000 * rows["low"], high=1000 * rows["high"])
    fig = intervals(
        scaled,
        title=title,
        xlabel="clicks per 1,000 shown; line: what the policy really got",
        faded=LEANING,
        signs=False,
    )
    fig.axes[0].axvline(1000 * rows["truth"].iloc[0], color=GREY, ls="--", lw=1)
    return fig


def answers(table: pd.DataFrame) -> Figure:
    """Return exposure (`mean`, `low`, `high`) by the `dial`, a panel for each value of `what`, a line a `model`."""
    parts = dict(list(table.groupby("what", sort=False)))
    fig, axes = figure(1, len(parts), width=10, height=3.7, squeeze=False)
    for ax, (what, part) in zip(axes[0], parts.items()):
        dials = np.unique(part["dial"])
        for (model, own), colour in zip(part.groupby("model", sort=False), (BLUE, ORANGE)):
            at = np.searchsorted(dials, own["dial"])
            ax.plot(at, own["mean"], "o-", color=colour, ms=4, label=model)
            ax.fill_between(at, own["low"], own["high"], color=colour, alpha=0.15, lw=0)
        ax.axhline(0.1, color=GREY, lw=1, ls="--")
        ax.set_xticks(range(len(dials)), [f"{dial:g}" for dial in dials])
        ax.yaxis.set_major_formatter("{x:.0%}")
        ax.set(title=f"after {what}", xlabel=what.split(" (")[0], ylim=(0, None))
        ax.legend(loc="best")
    axes[0, 0].set_ylabel("share of lists (95 % over films)")
    return fig
