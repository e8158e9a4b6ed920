"""Figures of search: fields switched on, words that questions share with texts, clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from ..measure.known_items import compare, value
from ..palette import BLUE, GREEN, ORANGE, STYLE, figure

Array = np.ndarray
WAY = {"words": ("BM25", BLUE), "meaning": ("MiniLM", ORANGE)}


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
            for shift, (way, (_, colour)) in zip((-0.17, 0.17), WAY.items()):
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
    handles = [axes[0, 0].plot([], [], "o", color=c, label=n)[0] for n, c in (*WAY.values(), ("together", GREEN))]
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

    Each frame has `shared`, the share of a question's words that stand in the text, and `found`, 0 or 1.
    """
    fig, (left, right) = figure(1, 2, width=10, height=3.5)
    edges = np.linspace(0, 1, 11)
    for (name, frame), colour in zip(facts.items(), (ORANGE, BLUE)):
        share = np.histogram(frame["shared"], edges)[0] / len(frame)
        left.stairs(share, edges, color=colour, fill=True, alpha=0.35)
        left.stairs(share, edges, color=colour, lw=2, label=f"{name}, median {frame['shared'].median():.0%}")
        bins = pd.cut(frame["shared"], [-0.01, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0])
        rows = frame.groupby(bins, observed=True).agg(x=("shared", "mean"), y=("found", "mean"), n=("found", "size"))
        rows = rows[rows["n"] >= 8]
        right.plot(rows["x"], rows["y"], "o-", color=colour, label=name)
    left.set(title=title, xlabel="share of a question's words in the text of its item", ylabel="share of questions")
    right.set(
        title="Found, by share of shared words",
        xlabel="share of a question's words in the text",
        ylabel="among the first ten",
    )
    for ax in (left, right):
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.yaxis.set_major_formatter("{x:.0%}")
    right.set(ylim=(0, 1.05), xlim=(0, None))
    right.xaxis.set_major_locator(MultipleLocator(0.1))
    left.legend()
    right.legend(loc="lower right")
    return fig


# --- In words --------------------------------------------------------------------------------------------------------


def told_levels(name: str, table: pd.DataFrame, best: str) -> str:
    """Return what the first and the last level of a `known_items.compare` table find, and `best`, in a sentence."""
    levels = [row.split(" | ")[0] for row in table.index if row.endswith("| words")]
    of = {level: [table["mean"][f"{level} | {way}"] for way in ("words", "meaning")] for level in levels}
    (first, one), (words, meaning) = of[levels[0]], of[levels[-1]]
    row = table.loc[best]
    return (
        f"**{name}.** {levels[0][0].upper()}{levels[0][1:]} alone: words {first:.3f}, meaning {one:.3f}. All text: "
        f"words {words:.3f}, meaning {meaning:.3f}. Words, and fields apart and centred, added: **{row['mean']:.3f}** "
        f"({row['low']:.3f} to {row['high']:.3f})."
    )


def told_clicks(curve: pd.DataFrame, weight: float) -> str:
    """Return what the `weight` of clicks changes for known and for new items, from the table of `clicks_curve`."""
    rows = curve[curve["weight"] == weight].itertuples()
    told = "; ".join(f"an item that is {row.way} {row.told}" for row in rows)
    return f"At weight {weight:g} the share that is found changes, compared with no clicks: {told}."


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
    mean, catalogue, plain = table["mean"], "+ year, genres | meaning", "words and meaning, not centred"
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


def told_found(table: pd.DataFrame, first: pd.DataFrame) -> str:
    """Return what differs from the baseline, and each method's share in the first ten and at the first place.

    `table` compares the first ten, `first` the first place; methods stand in ascending order.
    """
    rows = table.sort_values("mean", kind="stable").itertuples()
    shares = "; ".join(f"{row.model} {row.mean:.3f} ({first['mean'][row.model]:.3f})" for row in rows)
    others = table[table["model"] != table["baseline"]]
    parts = [
        f"{told}: {', '.join(others['model'][others[sign]])}"
        for sign, told in (("worse", "shown to find less"), ("better", "shown to find more"))
        if others[sign].any()
    ]
    unclear = others["model"][~others["worse"] & ~others["better"]]
    parts += [f"not shown to differ: {', '.join(unclear)}"] if len(unclear) else []
    answer = f"In the first ten, compared with *{table['baseline'].iloc[0]}*: {'; '.join(parts)}."
    return f"{answer}\n\nFirst ten (first): {shares}."


def told_shared(facts: Mapping[str, pd.DataFrame]) -> str:
    """Return the median share of shared words, and how many are found, of the frames that `shared_words` draws."""
    return "; ".join(
        f"{name}: {frame['shared'].median():.0%} of a question's words (median), {frame['found'].mean():.1%} found"
        for name, frame in facts.items()
    )


def told_by_fame(ranks: pd.DataFrame, clicks: Array, base: str, other: str) -> str:
    """Return what `base` and `other` find of the better and of the less known half of the items that are asked for.

    `clicks` [questions] says how often the item of each question was chosen.
    """
    better = np.argsort(np.argsort(clicks, kind="stable")) >= len(clicks) / 2
    parts = []
    for name, half in (("less known", ~better), ("better known", better)):
        if half.any():
            before, after = (value(ranks[method][half], "first ten").mean() for method in (base, other))
            parts.append(f"{name} half {before:.3f} → {after:.3f}")
    return f"By fame of the item that is asked for: {', '.join(parts)}."
