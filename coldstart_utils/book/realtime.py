"""Figures of a service: what one click does to a belief, what stale knowledge costs, how long answers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def one_click(before: Belief, v: Array, y: float, items: Mapping[str, Array]) -> Figure:
    """Return what an answer y about v [2] makes of a belief about two numbers, and the scores of `items` with it."""
    after = before.after(v, y)
    fig, (left, right) = figure(1, 2, width=9.8, height=3.9, width_ratios=[1, 1.1])
    _ellipse(left, before, "before", BLUE, (-44, -12))
    _ellipse(left, after, "after", GREEN, (8, 6))
    x = np.array([-2.5, 2.5])
    if abs(v[1]) > 1e-9:
        left.plot(x, (y - v[0] * x) / v[1], color=ORANGE, lw=1.3)
    left.annotate("", 0.8 * v, (0, 0), arrowprops={"arrowstyle": "-|>", "color": ORANGE, "lw": 1.6})
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
    title = "What is real time worth?"
    label = f"chance that the next choice stands among the {k} best (95 % interval over users)"
    fig = intervals(table, title=title, xlabel="", panels="panel", highlight=["every choice"], signs=False)
    fig.supxlabel(label, fontsize=10)
    return fig


def worth_told(table: pd.DataFrame) -> str:
    """Return in sentences what `staleness` shows, a panel each: every choice, and never, compared with every hour."""
    rows = table.set_index(["panel", "model"])
    told = rows["told"].where(rows["answer"] == "Not shown", phrases.marked(rows))
    return " ".join(
        f"**{phrases.capital(panel)}**: {rows.loc[(panel, 'every choice'), 'mean']:.3f} with every choice known; "
        f"compared with every hour {told[panel, 'every choice']}. Never renewing compared with every hour: "
        f"{told[panel, 'never']}."
        for panel in rows.index.unique("panel")
    )


def sittings_told(user: Array, time: Array) -> str:
    """Return in sentences how close together the choices of a `user` stand in `time` [n], in seconds."""
    gap = pd.Series(time).groupby(user).diff().dropna()
    return (
        f"Why so: {(gap < 1).mean():.0%} of all choices carry the same second as the one before, and only "
        f"{(gap > 3_600).mean():.1%} come more than an hour later. In MovieLens these are the times at which ratings "
        "were entered, several on a page, not those at which films were seen, and within a second the order is that of "
        "the file. Where sittings are longer, the minute is less urgent: measure it on your own times."
    )


def takers(curves: Mapping[str, Array], *, of: int, title: str) -> Figure:
    """Return how many takers new items were shown to, by the number of visitors, one line for each policy [visitors].

    `of` is how many takers there are.
    """
    fig, ax = figure(height=3.7)
    for reached, colour in zip(curves.values(), COLOURS):
        ax.plot(np.arange(1, len(reached) + 1), reached, color=colour)
    ax.set(xlabel="visitors, in the order in which they came", ylabel=f"takers shown theirs, of {of}", title=title)
    ax.set_xlim(0, max(len(reached) for reached in curves.values()))
    named = zip(curves.items(), COLOURS)
    label_ends(ax, [(r[-1], r.mean(), f"{name}  {r[-1]:.0f}", colour) for (name, r), colour in named])
    return fig


def opening_told(title: str, film: int, plain: Opening, kept: Mapping[str, Sequence[Opening]], places: int) -> str:
    """Return in sentences to whom one of the new items, `film`, was shown, and what learning adds to a fixed guess."""
    per_film = {rule: np.mean([o.reached[-1] for o in runs], axis=0) for rule, runs in kept.items()}
    more = per_film["greedy"] - per_film["fixed"]
    mean, low, high, p = estimate(more, resampled=True)
    rules = ", ".join(f"{name} {values[film]:.0f}" for name, values in per_film.items())
    return (
        f"*{title}* had {plain.took[:, film].sum()} takers among {len(plain.took)} visitors. By its text alone it "
        f"stood in {plain.shown[:, film].sum()} lists, all {len(more)} new films together in {plain.shown.sum()}. With "
        f"{places} places kept, its takers that were shown it: {rules}. Learning from answers instead of keeping the "
        f"guess finds {phrases.told(mean, low, high, 2)} takers more a film, over films "
        f"({'shown' if p < 0.05 and low > 0 else 'not shown'}); of all that it finds more, {more.max():.0f} are takers "
        "of one film."
    )


def by_load(loads: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Return percentiles by path and `rate` of what `load.offered` returned for each rate, paths in words."""
    parts = [percentiles(rows).rename_axis("path").reset_index().assign(rate=rate) for rate, rows in loads.items()]
    names = {"/events": "a click, on disk", "/recommend": "the next list"}
    return pd.concat(parts).assign(path=lambda t: t["path"].map(names)).sort_values(["path", "rate"])


def knee(times: pd.DataFrame, most: float = 15.0) -> tuple[float, str]:
    """Return the highest rate at which 99 % of the lists come within so many ms, and sentences about a `by_load` table.

    Where no rate does it, the lowest.
    """
    lists, clicks = (part.set_index("rate") for _, part in sorted(times.groupby("path"), reverse=True))
    inside = lists.index[(lists["p99"] <= most) & (lists["refused"] == 0)]
    rate = float(max(inside, default=lists.index[0]))
    first, click = lists.iloc[0], clicks.iloc[0]
    return rate, (
        f"At {lists.index[0]} requests a second a list takes {first['p50']:.1f} ms in the median and "
        f"{first['p99']:.1f} at p99, a click, which waits for the disk, {click['p50']:.1f} and {click['p99']:.1f}. "
        f"The highest of these rates at which 99 % of the lists come within {most:g} ms is {rate:.0f} a "
        "second, with client and service on the same machine. Past the knee requests wait for each other; past a bound "
        "the service says 503 and when to come again, in place of letting all wait."
    )


def watched(meters: Mapping[str, float]) -> pd.DataFrame:
    """Return what to watch of a service, in words, from its `load.meters`."""
    cold, known = (meters.get(f'coldstart_answers_total{{user="{kind}"}}', 0.0) for kind in ("cold", "known"))
    new, places = meters["coldstart_new_items_shown_total"], meters["coldstart_items_shown_total"]
    best = meters["coldstart_best_score_sum"] / max(meters["coldstart_best_score_count"], 1)
    rows = {
        "lists for people nobody knows": f"{cold:.0f} of {cold + known:.0f}",
        "places with a new item": f"{new:.0f} of {places:.0f}",
        "mean of the best scores": f"{best:.2f}",
        "events that the model has not learnt from": f"{meters['coldstart_events_since_model']:.0f}",
    }
    return pd.Series(rows, name="after the future was sent").to_frame()


def latencies(frame: pd.DataFrame) -> Figure:
    """Return milliseconds against the load (`rate`, `path`, p50, p95, p99), a panel for each path."""
    parts = dict(list(frame.groupby("path", sort=False)))
    fig, axes = figure(1, len(parts), width=9.8, height=3.7, sharey=True, squeeze=False)
    for ax, (path, part) in zip(axes[0], parts.items()):
        for name, colour in zip(("p50", "p95", "p99"), COLOURS):
            ax.plot(part["rate"], part[name], "o-", color=colour, label=name)
        ax.set(yscale="log", xlabel="requests a second", title=path)
        ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
        ax.set_yticks(ticks, [f"{tick}" for tick in ticks])
        ax.minorticks_off()
        ax.set_ylim(0.8, max(20, 1.3 * frame["p99"].max()))
    axes[0, 0].set_ylabel("milliseconds")
    axes[0, 0].legend(loc="upper left")
    return fig
