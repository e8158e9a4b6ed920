"""Figures of a service: what one click does to a belief, what stale knowledge costs, how long answers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from ..measure import phrases
from ..measure.intervals import estimate
from ..palette import BLUE, COLOURS, GREEN, GREY, ORANGE, figure
from ..serving.belief import Belief
from ..serving.load import percentiles
from ..serving.replay import Opening
from .plotting import intervals, label_ends

Array = np.ndarray
RULES = {
    "greedy": "learning, greedy", "fixed": "text only", "thompson": "learning, a draw (Thompson)", "random": "random",
}  # fmt: skip


def one_click(before: Belief, v: Array, y: float, items: Mapping[str, Array]) -> Figure:
    """Return what an answer y about v [2] makes of a belief about two numbers, and the scores of `items` with it."""
    after = before.after(v, y)
    fig, (left, right) = figure(1, 2, width=9.8, height=3.9, width_ratios=[1, 1.1])
    _ellipse(left, before, "before", BLUE, (-44, -12))
    _ellipse(left, after, "after", GREEN, (8, 6))
    x = np.array([-2.5, 2.5])
    if abs(v[1]) > 1e-9:
        left.plot(x, (y - v[0] * x) / v[1], color=ORANGE, lw=1.3, ls="--", label="factors with exactly this answer")
    else:
        left.axvline(y / v[0], color=ORANGE, lw=1.3, ls="--", label="factors with exactly this answer")
    left.annotate("", v, (0, 0), arrowprops={"arrowstyle": "-|>", "color": ORANGE, "lw": 1.6})
    aside = {"textcoords": "offset points", "ha": "center", "va": "center"}
    left.annotate("film", v / 2, (14 * v[1], -10 * v[0]), color=ORANGE, **aside)
    left.legend(loc="lower left")
    left.set(xlim=(-2, 2.5), ylim=(-2, 2.5), xlabel="first number of the factor", ylabel="second number",
             title=f"An answer of {y:g}")  # fmt: skip
    names, V = list(items), np.array(list(items.values()))
    rows = np.arange(len(names))
    for offset, belief, name, colour in ((-0.17, before, "before", BLUE), (0.17, after, "after", GREEN)):
        spread = np.sqrt(np.einsum("nk,kl,nl->n", V, belief.covariance, V))
        right.errorbar(V @ belief.mean, rows + offset, xerr=spread, fmt="o", color=colour, lw=1.6, label=name)
    right.set_yticks(rows, names)
    right.invert_yaxis()
    right.axvline(0, color=GREY, lw=0.8)
    right.set(xlabel="score, with one standard deviation", title="The scores of all items move at once")
    right.legend(loc="lower right")
    return fig


def playground(angle: float, value: float, noise: float) -> Figure:
    """Return `one_click` for an answer about a film in a direction, in degrees, with four films to watch."""
    films = {"space": [1.2, 0], "space and romance": [0.8, 0.8], "romance": [0, 1.2], "anything but space": [-1.0, 0.3]}
    before = Belief(np.array([0.1, 0.3]), np.array([[0.8, 0.2], [0.2, 0.5]]), noise)
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    return one_click(before, direction, value, {name: np.array(film) for name, film in films.items()})


def _ellipse(ax: Any, belief: Belief, name: str, colour: str, at: tuple[int, int]) -> None:
    values, axes = np.linalg.eigh(belief.covariance)
    width, height = 2 * np.sqrt(values[::-1])
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    ax.add_patch(Ellipse((belief.mean[0], belief.mean[1]), width, height, angle=angle, color=colour, alpha=0.22, lw=0))
    ax.plot(*belief.mean, "o", color=colour)
    ax.annotate(name, belief.mean, at, textcoords="offset points", color=colour)


def staleness(table: pd.DataFrame, *, k: int) -> Figure:
    """Return hits by how stale knowledge is, a panel for new and one for known users, from `study.compare` rows."""
    return intervals(
        table,
        title="What is real time worth? By when knowledge is renewed",
        xlabel=f"chance that the next choice stands among the {k} best\n(95 % interval over users)",
        panels="panel",
        highlight=["every choice"],
        signs=False,
        stacked=True,
    )


def worth_told(table: pd.DataFrame) -> str:
    """Return in sentences what `staleness` shows, a panel each: every choice, and never, compared with every hour."""
    rows = table.set_index(["panel", "model"])
    told = rows["told"].where(rows["answer"] == "Not shown", phrases.marked(rows))
    apart = (rows["answer"] == "Not shown") & (rows["diff_low"] * rows["diff_high"] > 0)
    told = told + np.where(apart, " after Holm's correction for several comparisons", "")
    panels = rows.index.unique("panel")
    gains = [f"{phrases.signed(rows.loc[(panel, 'every choice'), 'difference'])} for {panel}" for panel in panels]
    return f"**The bet:** every choice instead of every hour is worth {', '.join(gains)}. " + " ".join(
        f"**{phrases.capital(panel)}**: {rows.loc[(panel, 'every choice'), 'mean']:.3f} with every choice known; "
        f"compared with every hour {told[panel, 'every choice']}. Never renewing compared with every hour: "
        f"{told[panel, 'never']}."
        for panel in panels
    )


def sittings_told(user: Array, time: Array) -> str:
    """Return in sentences how close together the choices of a `user` stand in `time` [n], in seconds."""
    gap = pd.Series(time).groupby(user).diff().dropna()
    return (
        f"Why so: {(gap < 1).mean():.0%} of all choices carry the same second as the one before, and only "
        f"{(gap > 3_600).mean():.1%} come more than an hour later. In MovieLens these are the times at which ratings "
        "were entered, not those at which films were seen, and within a second the order is that of the file. A "
        "newcomer to MovieLens rates the pages of films shown at sign-up: part of the gain may be that the list "
        "guesses the page."
    )


def takers(curves: Mapping[str, Array], *, of: int, title: str) -> Figure:
    """Return how many takers new items were shown to, by the number of visitors, one line for each policy [visitors].

    `of` is how many takers there are.
    """
    fig, ax = figure(height=3.7)
    for reached, colour in zip(curves.values(), COLOURS):
        ax.plot(np.arange(1, len(reached) + 1), reached, color=colour)
    ax.set(xlabel="visitors, in the order in which they came", title=title)
    ax.set_ylabel(f"takers who were shown\nthe film ({of} in all)")
    ax.set_xlim(0, max(len(reached) for reached in curves.values()))
    named = zip(curves.items(), COLOURS)
    label_ends(ax, [(r[-1], r.mean(), f"{RULES[name]}  {r[-1]:.0f}", colour) for (name, r), colour in named])
    return fig


def opening_told(title: str, film: int, plain: Opening, kept: Mapping[str, Sequence[Opening]], places: int) -> str:
    """Return in sentences to whom one of the new items, `film`, was shown, and what learning adds to a fixed guess."""
    per_film = {rule: np.mean([o.reached[-1] for o in runs], axis=0) for rule, runs in kept.items()}
    more = per_film["greedy"] - per_film["fixed"]
    mean, low, high, p = estimate(more, resampled=True)
    rules = ", ".join(f"*{RULES[name]}* {values[film]:.0f}" for name, values in per_film.items())
    total = {rule: values.sum() for rule, values in per_film.items()}
    most, lists = max(total, key=total.__getitem__), plain.shown[:, film].sum()
    alone = f"by its text alone the film enters {f'{lists} lists' if lists else 'no list'}"
    return (
        f"*{title}* had {plain.took[:, film].sum()} takers among {len(plain.took)} visitors; we picked it because no "
        f"new film had more. **The bet:** {alone}, and all {len(more)} new films together have {plain.shown.sum()} of "
        f"the places; *{RULES[most]}* finds most takers. With {places} places kept, so many takers of this film were "
        f"shown it: {rules}. *{RULES['greedy']}* finds {abs(more.sum()):.0f} takers "
        f"{'more' if more.sum() >= 0 else 'fewer'} than *{RULES['fixed']}* over all new films, {more.max():.0f} "
        f"more for one of them. The difference is {phrases.told(mean, low, high, 2)} a film, "
        f"{'shown' if p < 0.05 and low > 0 else 'not shown'} over films."
    )


def by_load(loads: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Return percentiles by path and `rate` of what `load.offered` returned for each rate, paths in words."""
    parts = [percentiles(rows).rename_axis("path").reset_index().assign(rate=rate) for rate, rows in loads.items()]
    names = {"/events": "a click, on disk", "/recommend": "the next list"}
    return pd.concat(parts).assign(path=lambda t: t["path"].map(names)).sort_values(["path", "rate"])


@dataclass(frozen=True)
class Knee:
    """The highest of the rates that were tried at which answers come in time: `rate`, requests a second.

    `words` says it with 'at least' where the highest rate was no limit, and 'below' where the lowest was one already;
    `told` says more in sentences.
    """

    rate: float
    words: str
    told: str


def knee(times: pd.DataFrame, late: float) -> Knee:
    """Return the highest rate of a `by_load` table at which 99 % of clicks and of lists come within `late` ms.

    None may be refused. Where no rate does it, the lowest.
    """
    lists, clicks = (part.set_index("rate") for _, part in sorted(times.groupby("path"), reverse=True))
    worst = np.maximum(lists[["p99", "refused"]], clicks[["p99", "refused"]])
    inside = worst.index[(worst["p99"] <= late) & (worst["refused"] == 0)]
    rate, highest = max(inside, default=worst.index[0]), worst.index[-1]
    at, share = f"{worst.loc[highest, 'p99']:,.0f} ms", worst.loc[highest, "refused"]
    refused = f"{share:.1%} are refused (503, with the time to come again)" if share else "none is refused yet"
    words = f"{rate:,}"
    if highest in inside:
        words = f"at least {words}"
        told = (
            f"No limit was reached up to {highest:,} a second; the true one is higher. There the slower p99 is {at}, "
            "and the curves do not turn up yet; at a limit they would, since requests then wait for each other."
        )
    elif len(inside):
        told = (
            f"The highest rate tried at which 99 % of both come within {late:g} ms is {words} requests a second. At "
            f"{highest:,} the slower p99 is {at}, and {refused}: near the limit requests wait for "
            "each other, and the curves turn up."
        )
    else:
        words = f"below {words}"
        told = (
            f"At no rate tried did 99 % of both come within {late:g} ms; other work on the machine may be the reason. "
            f"At {highest:,} a second the slower p99 is {at}, and {refused}."
        )
    return Knee(float(rate), words, f"{_longer(lists, clicks)} {told}")


def _longer(lists: pd.DataFrame, clicks: pd.DataFrame) -> str:
    """Return in sentences how long a click and a list take, and how both change with the rate."""
    list_first, click_first = lists.iloc[0], clicks.iloc[0]
    ratio = float((clicks["p50"] / lists["p50"]).median())
    text = (
        f"**Which takes longer?** At {lists.index[0]} requests a second a click takes {click_first['p50']:.1f} ms in "
        f"the median ({click_first['p99']:.1f} at p99), a list {list_first['p50']:.1f} ({list_first['p99']:.1f}). Over "
        f"all rates a click takes {ratio:.2g} times as long as a list."
    )
    if lists["p50"].min() < 0.9 * list_first["p50"]:
        text += " Medians fall at first as the load rises: a likely cause, not tested, is that idle cores wake slowly."
    return text


def watched(meters: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return what to watch of a service, in words, in the first and the second half of its `load.meters`."""
    names = [*(f'coldstart_answers_total{{user="{kind}"}}' for kind in ("cold", "known"))]
    names += ["coldstart_new_items_shown_total", "coldstart_items_shown_total"]
    names += ["coldstart_best_score_sum", "coldstart_best_score_count"]
    counts = np.array([[meter.get(name, 0.0) for name in names] for meter in meters])
    halves = np.diff(counts[[len(counts) // 2 - 1, -1]], axis=0, prepend=0 * counts[:1])
    rows = [
        {
            "lists for people nobody knows": f"{cold:,.0f} of {cold + known:,.0f}",
            "places with a film newer than the model": f"{new:,.0f} of {places:,.0f}",
            "best score of a list, mean": f"{best / max(lists, 1):.2f}",
        }
        for cold, known, new, places, best, lists in halves
    ]
    return pd.DataFrame(rows, index=["first half of the stream", "second half"]).T


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers as text with two significant digits, thousands apart."""
    return frame.map(lambda x: f"{float(f'{x:.2g}'):,.0f}" if x >= 10 else f"{float(f'{x:.2g}'):g}")


def latencies(frame: pd.DataFrame, late: float) -> Figure:
    """Return milliseconds against the load (`rate`, `path`, p50, p95, p99), a panel for each path, and what is late."""
    parts = dict(list(frame.groupby("path", sort=False)))
    fig, axes = figure(1, len(parts), width=8.6, height=3.7, sharey=True, squeeze=False)
    top, rates = 1.3 * max(late, frame["p99"].max()), sorted(frame["rate"].unique())
    for ax, (path, part) in zip(axes[0], parts.items()):
        for name, colour in zip(("p50", "p95", "p99"), COLOURS):
            ax.plot(part["rate"], part[name], "o-", color=colour)
        ax.axhline(late, color=GREY, lw=0.8, ls="--")
        at = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points"}
        ax.annotate(f"{late:g} ms", (0.01, late), (0, 3), color=GREY, fontsize=9, **at)
        ax.set(xscale="log", yscale="log", ylim=(0.5, top), xlabel="requests a second (log scale)", title=path)
        ax.set_xticks(rates, [f"{rate:,}" for rate in rates])
        ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000) if tick < top]
        ax.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
        ends = zip(("p50", "p95", "p99"), COLOURS)
        label_ends(ax, [(part[name].iloc[-1], part[name].mean(), name, colour) for name, colour in ends])
    axes[0, 0].set_ylabel("milliseconds (log scale)")
    return fig
