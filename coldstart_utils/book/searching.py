"""Figures of search: fields switched on, words that questions share with texts, clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from scipy.stats import ttest_ind

from ..measure.known_items import compare, value
from ..measure.phrases import capital, told
from ..palette import BLUE, GREEN, GREY, ORANGE, STYLE, figure
from .plotting import intervals

Array = np.ndarray
WAY = {"words": BLUE, "meaning": ORANGE}


def by_level(tables: Mapping[str, pd.DataFrame], both: str, *, title: str, xlabel: str) -> Figure:
    """Return one panel a table of `known_items.compare`: the rows 'level | way' as two dots a level, `both` below them.

    Bars are the 95 % intervals of the tables.
    """
    fig, axes = figure(1, len(tables), width=10, height=3.9, sharey=True, squeeze=False)
    levels = list(
        dict.fromkeys(name.split(" | ")[0] for table in tables.values() for name in table.index if "|" in name)
    )
    for ax, (name, table) in zip(axes[0], tables.items()):
        for y, level in enumerate(levels):
            for shift, (way, colour) in zip((-0.17, 0.17), WAY.items()):
                _dot(ax, table.loc[f"{level} | {way}"], y + shift, colour)
        if both in table.index:
            _dot(ax, table.loc[both], len(levels), GREEN)
        ax.set(title=name, xlabel=xlabel, xlim=(0, 1.12))
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color="#EEEEEE", zorder=0)
    axes[0, 0].set_yticks(range(len(levels) + 1), [*levels, "words and meaning"])
    axes[0, 0].set_ylim(len(levels) + 0.5, -0.6)
    handles = [
        axes[0, 0].plot([], [], "o", color=c, label=n)[0] for n, c in (*WAY.items(), ("words and meaning", GREEN))
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left", fontsize=STYLE["axes.titlesize"], fontweight="bold")
    return fig


def _dot(ax: Any, row: pd.Series, y: float, colour: str) -> None:
    ax.plot([row["low"], row["high"]], [y, y], color=colour, lw=2, solid_capstyle="round")
    ax.plot(row["mean"], y, "o", color=colour)
    ax.annotate(f"{row['mean']:.0%}", (row["high"], y), (5, 0), textcoords="offset points", va="center",
                fontsize=8.5, color=colour)  # fmt: skip


def shared_words(facts: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
    """Return what questions share with the text of their item (left), and how often it is found by that (right).

    Each frame has `shared`, the share of a question's words that stand in the text, the `rank` of its item, and
    `item_id`. Bars are Wilson's 95 % intervals, each item counted once; small numbers count the questions.
    """
    fig, (left, right) = figure(1, 2, width=10, height=3.7)
    edges = np.linspace(0, 1, 11)
    for (name, frame), colour in zip(facts.items(), (ORANGE, BLUE)):
        share = np.histogram(frame["shared"], edges)[0] / len(frame)
        left.stairs(share, edges, color=colour, fill=True, alpha=0.35)
        left.stairs(share, edges, color=colour, lw=2, label=f"{name}, median {frame['shared'].median():.0%}")
        rows = _found_by_share(frame)
        right.errorbar(rows["x"], rows["mean"], [rows["mean"] - rows["low"], rows["high"] - rows["mean"]],
                       fmt="o-", color=colour, label=name, elinewidth=1.5)  # fmt: skip
        for row in rows.itertuples():
            style = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": colour}
            right.annotate(str(row.n), (row.x, row.low), (0, -11), **style)
    left.set(title=title, xlabel="share of a question's words in the text of its item", ylabel="share of questions")
    right.set(
        title="Found, by share of shared words",
        xlabel="share of a question's words in the text (numbers: questions)",
        ylabel="share found among the first ten",
    )
    for ax in (left, right):
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.yaxis.set_major_formatter("{x:.0%}")
    right.set(ylim=(0, 1.05), xlim=(0, None))
    right.xaxis.set_major_locator(MultipleLocator(0.1))
    left.legend()
    right.legend(loc="lower right")
    return fig


def _found_by_share(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the share found in bins of shared words (mean `x`) of 8 questions at least, with Wilson's interval.

    Questions about one item are alike, so that items count. Where all are found, resampling would give no width.
    """
    bins = pd.cut(frame["shared"], [-0.01, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0])
    found = frame.assign(found=value(frame["rank"], "first ten")).groupby(bins, observed=True)
    rows = found.agg(x=("shared", "mean"), mean=("found", "mean"), n=("found", "size"), items=("item_id", "nunique"))
    rows = rows[rows["n"] >= 8]
    spread = 1.96**2 / rows["items"]
    centre = (rows["mean"] + spread / 2) / (1 + spread)
    half = np.sqrt(spread * rows["mean"] * (1 - rows["mean"]) + spread**2 / 4) / (1 + spread)
    return rows.assign(low=centre - half, high=np.maximum(centre + half, rows["mean"]))


def chosen_among(table: pd.DataFrame, *, title: str) -> Figure:
    """Return the AUC of a `study.compare` table over users as dots with intervals, with a line at chance."""
    label = f"AUC within a person and a need (95 % intervals over {table['n'].max()} users)"
    fig = intervals(table, title=title, xlabel=label, highlight=["taste"])
    ax = fig.axes[0]
    ax.set_xlim(min(0.45, table["low"].min() - 0.05), max(1.0, table["high"].max() + 0.06))
    ax.axvline(0.5, color=GREY, lw=1, ls="--", zorder=0)
    ax.annotate("chance", (0.5, -0.55), (4, 0), textcoords="offset points", va="top", fontsize=9, color=GREY)
    return fig


# --- In words --------------------------------------------------------------------------------------------------------


def told_levels(name: str, table: pd.DataFrame, best: str) -> str:
    """Return what the first and the last level of a `known_items.compare` table find, and `best`, in a sentence."""
    of, row = _levels(table), table.loc[best]
    (first, (words, meaning)), (all_words, all_meaning) = next(iter(of.items())), list(of.values())[-1]
    return (
        f"**Asked by {name}.** {capital(first)} alone: words {words:.3f}, meaning {meaning:.3f}. All text: "
        f"words {all_words:.3f}, one vector {all_meaning:.3f}. Words and meaning added, each field with a centred "
        f"vector of its own: **{row['mean']:.3f}** ({row['low']:.3f} to {row['high']:.3f})."
    )


def _levels(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    names = [row.split(" | ")[0] for row in table.index if row.endswith("| words")]
    return {name: (table["mean"][f"{name} | words"], table["mean"][f"{name} | meaning"]) for name in names}


def told_steps(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return which field adds most by meaning, for each `known_items.compare` table; empty where there is one level."""
    parts = []
    for name, table in tables.items():
        means = pd.Series({level: meaning for level, (_, meaning) in _levels(table).items()})
        if len(means) > 1:
            most = means.diff().idxmax()
            before = means.iloc[means.index.get_loc(most) - 1]
            parts.append(f"for {name} *{most}*, from {before:.3f} to {means[most]:.3f}")
    return f"By meaning, what adds most is {'; '.join(parts)}." if parts else ""


def told_clicks(curve: pd.DataFrame, weight: float) -> str:
    """Return what the `weight` of clicks changes for known and for new items, from the table of `clicks_curve`."""
    rows = curve[curve["weight"] == weight].itertuples()
    parts = "; ".join(f"a {row.way.replace('new, clicks guessed', 'new item with guessed clicks')}"
                      f"{'' if 'guessed' in row.way else ' item'} {row.told}" for row in rows)  # fmt: skip
    return f"At weight {weight:g} the share that is found changes, compared with no clicks: {parts}."


WAYS = {"": "known", ", item new": "new", ", item new, guessed": "new, clicks guessed"}


def clicks_curve(ranks: pd.DataFrame, base: str, weights: Sequence[float]) -> pd.DataFrame:
    """Return `compare` of `base` with each weight of clicks; columns `weight`, and `way`: how known it is."""
    parts = []
    for ending, way in WAYS.items():
        columns = [base, *(f"clicks {weight:g}{ending}" for weight in weights)]
        table = compare(ranks[columns], ranks["item_id"], base)
        parts.append(table.assign(weight=[0.0, *weights], way=way))
    return pd.concat(parts)


def found_by_people(
    people: pd.DataFrame, written: pd.DataFrame, base: str, curve: pd.DataFrame
) -> dict[str, tuple[bool, pd.DataFrame | str]]:
    """Return what holds of the ranks for people's questions, beside those for questions that a model wrote, and what it
    rests on.

    `people` and `written` are tables of ranks, `curve` is that of `clicks_curve` for people.
    """
    methods = people.drop(
        columns=[name for name in people if name in ("asked", "query_id", "item_id", "half", "words", "shared")]
    )
    table = compare(methods, people["item_id"], base)
    mean, catalogue, plain = table["mean"], "+ year, genres | meaning", NOT_CENTRED
    made = {name: value(written[name], "first ten").mean() for name in (base, catalogue)}
    beside = {name: f"first ten {share:.3f} (written), {mean[name]:.3f} (people)" for name, share in made.items()}
    text_of = table.loc[[catalogue, "+ keywords | meaning"]]
    alone = table.loc[["+ people, origin | words", "+ people, origin | meaning"]]
    half = curve[curve["weight"] == 0.5].set_index("way", drop=False)
    lost = half["mean"]["known"] - half["mean"]["new"]
    return {
        "the same search finds far more of what a language model asks for than of what people ask for":
            (made[base] > table["high"][base] + 0.2, beside[base]),
        "by meaning, on catalogue text alone, the two sets of questions are alike":
            (abs(mean[catalogue] - made[catalogue]) < 0.05, beside[catalogue]),
        "for people, generated text finds more films than the catalogue's own":
            (text_of["high"].iloc[0] < text_of["low"].iloc[1], text_of),
        "for people, words and meaning together find more than words or one vector": (alone["worse"].all(), alone),
        "for people, taking off the means helps": (table["worse"][plain], table.loc[[plain]]),
        "clicks at half weight bury a film that is new": (half["worse"]["new"], half.loc[["new"]]),
        "guessed clicks bring it most of the way back":
            (half["mean"]["new, clicks guessed"] > half["mean"]["new"] + lost / 2, half.loc[["new, clicks guessed"]]),
    }  # fmt: skip


NOT_CENTRED = "words and meaning, not centred"
BETS = ("+ best sentence", "+ feedback", "+ questions like it", "weights learnt")


def told_found(table: pd.DataFrame) -> str:
    """Return whether taking off the means helps, and which of the other `BETS` of a `known_items.compare` table do."""
    plain, others = table.loc[NOT_CENTRED], table[table["model"].isin(BETS)]
    helps = "helps" if plain["worse"] else "is not shown to help"
    gain = told(-plain["difference"], -plain["diff_high"], -plain["diff_low"])
    better = "; ".join(f"*{row.model}* {row.told}" for row in others[others["better"]].itertuples())
    rest = f"Shown to help too: {better}" if better else f"None of the other {len(others)} is shown to help"
    return f"Taking off the means {helps}, {gain}. {rest}."


def ways_table(table: pd.DataFrame, first: pd.DataFrame) -> pd.DataFrame:
    """Return what each way finds in the first ten and at the first place, the best first, to be read.

    `table` and `first` are `known_items.compare` of the two metrics.
    """
    own = table["model"] == table["baseline"]
    answer = table["answer"].map({"Yes": "more", "No, the reverse": "less", "Not shown": "not shown"})
    columns = {
        "first ten": table["mean"].round(3),
        "difference": table["told"].mask(own, "–"),
        "finds": answer.mask(own, "–"),
        "first": first["mean"].round(3),
    }
    return pd.DataFrame(columns).sort_values("first ten", ascending=False, kind="stable")


def told_shared(facts: Mapping[str, pd.DataFrame]) -> str:
    """Return the median share of shared words, and how many are found, of the frames that `shared_words` draws."""
    return capital(
        "; ".join(
            f"{name}: {frame['shared'].median():.0%} of a question's words stand in its item's text (median), "
            f"{value(frame['rank'], 'first ten').mean():.1%} found"
            for name, frame in facts.items()
        )
    )


def told_by_fame(ranks: pd.DataFrame, clicks: Array, base: str, other: str) -> str:
    """Return what `other` changes against `base` for the better and the less known half of the items asked for.

    `clicks` [questions] says how often the item of each question was chosen.
    """
    better = np.argsort(np.argsort(clicks, kind="stable")) >= len(clicks) / 2
    halves = {"better known": ranks[better], "less known": ranks[~better]}
    parts = [
        f"the {name} half {compare(half[[base, other]], half['item_id'], base)['told'][other]}"
        for name, half in halves.items()
        if len(half)
    ]
    return f"By fame of the item that is asked for: {', '.join(parts)}."


def shop_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `known_items.compare` table to be read: what each way finds, and its difference to the baseline."""
    shown = table[["mean", "low", "high"]].round(3).set_axis(["found", "low", "high"], axis=1)
    return shown.assign(**{f"difference to {table['baseline'].iloc[0]}": table["told"].mask(
        table["model"] == table["baseline"], "–"
    )})  # fmt: skip


def told_shop(shop: pd.DataFrame) -> str:
    """Return what meaning, and both, change against words in the table `shop_ranks.read`, with and without a number."""
    parts = {
        "All": shop,
        "Where title and description share a number": shop[shop["number"] == 1],
        "Where they share none": shop[shop["number"] == 0],
    }
    ways, lines = ["words", "meaning, centred", "words and meaning"], []
    for name, part in parts.items():
        row = compare(part[ways], part["item_id"], "words")
        changes = "; ".join(f"*{way}* {row['told'][way]}" for way in ways[1:])
        lines.append(f"- {name} ({len(part):,} products): words {row['mean']['words']:.3f}, {changes}")
    return "\n".join(lines)


def with_intervals(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the means of `compare` tables with their intervals as text: tables down, models across."""
    rows = {
        name: {row.model: f"{row.mean:.3f} ({row.low:.3f} to {row.high:.3f})" for row in table.itertuples()}
        for name, table in tables.items()
    }
    return pd.DataFrame(rows).T


def told_apart(values: Array, of: Array) -> str:
    """Return how far the mean of `values` [n] where `of` [n] is true lies from that of the others (Welch's interval).

    Empty where a side has fewer than two.
    """
    own, others = values[of], values[~of]
    if min(len(own), len(others)) < 2:
        return ""
    gap = ttest_ind(own, others, equal_var=False).confidence_interval()
    change = told(own.mean() - others.mean(), gap.low, gap.high)
    return f"{own.mean():.3f}, against {others.mean():.3f} of the other {len(others)}, a difference of {change}"
