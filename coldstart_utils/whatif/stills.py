"""Pictures of the panels where nothing moves: in exported notebooks and in the chapters' figures."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from ..palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, SKY, figure
from .atlas import Pole
from .item import NewItem
from .labels import reason, say
from .policy import PolicyResult
from .search import Answers
from .user import PARTS, NewUser
from .world import World

Array = np.ndarray

PART_COLOURS = {"popularity": GREY, "prior": SKY, "yes": BLUE, "no": ORANGE, "sentence": GREEN}
POLICY_MARKS = {"now": ("o", INK), "A": ("s", BLUE), "B": ("D", ORANGE)}
ENTRIES = 12
BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.06), "ncols": 4, "fontsize": 8}


def picture(
    world: World, result: NewItem | NewUser | PolicyResult | Answers, *, language: str = "en", reveal: bool = True
) -> Figure:
    """Return the figure of what a panel found. `reveal` shows the true audience of an item beside the predicted one."""
    with rc_context({"font.family": [_family(path) for path in _fonts()], "axes.titlesize": 10.5}):
        if isinstance(result, NewItem):
            return _item(world, result, _spoken(language), reveal)
        if isinstance(result, NewUser):
            return _user(result, _spoken(language))
        if isinstance(result, Answers):
            return answers(result, _spoken(language))
        return _policy(world, result, _spoken(language))


def answers(result: Answers, language: str = "en") -> Figure:
    """Return the lists side by side: places and names, and below each name the words in common.

    Above a list stands the place of the film that is meant, if there is one.
    """
    columns = dict(list(result.lists.groupby("list", sort=False)))
    length = max((int(rows["place"].max()) for rows in columns.values()), default=1)
    fig, axes = figure(1, max(len(columns), 1), width=11, height=0.47 * length + 1.35, squeeze=False)
    for ax, (name, rows) in zip(axes[0], columns.items()):
        place = result.meant.get(str(name), 0)
        ax.set_title(say(f"list {name}", language) + (f" (#{place})" if place else ""))
        for row in rows.itertuples():
            _entry(ax, row.place, row.name, row.words or say("no word", language), BLUE if row.words else GREY)
    for ax in axes[0]:
        ax.set(xlim=(-0.08, 1), ylim=(length + 0.4, 0.4))
        ax.axis("off")
    heading = [_drawable(f"“{result.question}”", 110)]
    heading += [_drawable(say(f"remark {key}", language, **numbers), 120) for key, numbers in result.unread.items()]
    fig.suptitle("\n".join(heading), x=0.01, ha="left", fontsize=11)
    return fig


def _entry(ax: Axes, place: int, name: str, words: str, colour: str) -> None:
    ax.text(-0.01, place - 0.12, f"{place}", ha="right", va="center", color=GREY, fontsize=9)
    ax.text(0.03, place - 0.12, _drawable(name, 31), va="center", color=INK, fontsize=9.5)
    ax.text(0.03, place + 0.27, _drawable(words, 40), va="center", color=colour, fontsize=8)


def pole_name(pole: Pole, language: str) -> str:
    """Return what an end of an axis of the map is called."""
    if pole.popular is None:
        return pole.tokens
    return say("many choose" if pole.popular else "few choose", language)


@cache
def _fonts() -> tuple[str, ...]:
    """Return the files of the fonts at hand, a Chinese one after the usual one.

    By file: matplotlib's own list does not know of a font that was installed after it was made.
    """
    # A Chinese font often has no bold letters, and its usual ones serve: that needs no warning in a chapter.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    chinese = [path for path in font_manager.findSystemFonts() if re.search("(?i)cjk|simhei|msyh|pingfang|wqy", path)]
    for path in chinese[:1]:
        font_manager.fontManager.addfont(path)
    return (font_manager.findfont("DejaVu Sans"), *chinese[:1])


def _family(path: str) -> str:
    return font_manager.get_font(path).family_name


def _spoken(language: str) -> str:
    return language if len(_fonts()) > 1 else "en"


@cache
def _letters() -> frozenset[str]:
    return frozenset().union(*(map(chr, font_manager.get_font(path).get_charmap()) for path in _fonts()))


def _drawable(text: str, length: int) -> str:
    """Return `text` on one line, cut to `length`, with a box for every letter that no font at hand has."""
    line = " ".join(text.split())
    return "".join(a if a in _letters() else "□" for a in (line if len(line) <= length else line[: length - 1] + "…"))


def _item(world: World, result: NewItem, language: str, reveal: bool) -> Figure:
    fig, (left, right) = figure(1, 2, width=9.6, height=5.2, width_ratios=(1.45, 1))
    _map(left, world, result, language)
    _bars(right, result, language, reveal)
    title = "plays new" if result.of else "typed"
    named = say(title, language, film=_drawable(result.film, 24), k=result.k, of=result.of)
    left.set_title(named, fontsize=9.5, parse_math=False)
    if not np.isnan(result.auc.both):
        right.set_title(say("auc still", language, text=result.auc.text, now=result.auc.both), fontsize=9.5)
    return fig


def _map(ax: Axes, world: World, result: NewItem, language: str) -> None:
    ax.plot(*world.points[world.points.any(axis=1)].T, "o", ms=2.5, mew=0, color="#C4C4C4")
    near = world.points[[world.row[film] for film in result.neighbours["film"]]].reshape(-1, 2)
    ax.plot(*near.T, "o", ms=6, color=SKY, mec="white", mew=0.8, label=say("near", language))
    at = result.path.iloc[-1]
    for place in _with_room(ax, near, result.path[["x", "y"]].to_numpy()[[0, -1]]):
        (x, y), film = near[place], result.neighbours["film"][place]
        _text(ax, x, y, _drawable(film, 30), fontsize=7.5, ha="left" if x < ax.get_xlim()[1] * 0.6 else "right")
    ax.add_patch(Ellipse((at.x, at.y), at.width, at.height, angle=at.angle, fc=BLUE, alpha=0.16, lw=0))
    ax.plot(result.path["x"], result.path["y"], "-", color=BLUE, lw=1.2)
    ax.plot(
        result.path["x"][:1], result.path["y"][:1], "s", color=BLUE, ms=8, mec="white", label=say("by text", language)
    )
    if result.k:
        ax.plot(at.x, at.y, "o", color=ORANGE, ms=9, mec="white", label=say("with choices", language))
    ax.set(xticks=[], yticks=[])
    x, y = ([pole_name(pole, language) for pole in poles] for poles in (world.x_poles, world.y_poles))
    ax.set_xlabel(f"← {x[0]}      {x[1]} →")
    ax.set_ylabel(f"← {y[0]}      {y[1]} →")
    ax.legend(loc="upper right", fontsize=8)


def _with_room(ax: Axes, points: Array, taken: Array) -> list[int]:
    """Return which of the `points` [n, 2], four at most, can carry a name that meets no other and no point `taken`."""
    room = np.array([0.6 * np.ptp(ax.get_xlim()), 0.045 * np.ptp(ax.get_ylim())])
    found: list[int] = []
    near = list(taken)
    for place, point in enumerate(points):
        if len(found) < 4 and not any((np.abs(point - other) < room).all() for other in near):
            found.append(place)
            near.append(point)
    return found


def _text(ax: Axes, x: float, y: float, said: str, **style: Any) -> None:
    # What somebody typed is no mathematics, dollar signs or not.
    ax.annotate(said, (x, y), xytext=(5 if style.get("ha") == "left" else -5, 4), textcoords="offset points",
                parse_math=False, color=INK, **style)  # fmt: skip


def _bars(ax: Axes, result: NewItem, language: str, reveal: bool) -> None:
    audience = result.audience
    rows = np.arange(len(audience)) + 0.8 * pd.factorize(audience["kind"])[0]
    ax.barh(rows, audience["predicted"], height=0.72, color=BLUE, label=say("predicted", language))
    ax.plot(audience["all"], rows, "|", color=INK, ms=8, mew=1.5, label=say("all choices", language))
    if reveal and result.of:
        ax.plot(audience["true"], rows, "D", color=ORANGE, ms=5, mec="white", mew=0.6, label=say("true", language))
    ax.set_yticks(rows, [_drawable(str(group), 24) for group in audience["group"]], fontsize=8)
    ax.set_ylim(rows[-1] + 0.7, -0.7)
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.tick_params(axis="y", length=0)
    ax.legend(**BELOW)


def _user(result: NewUser, language: str) -> Figure:
    fig, (left, right) = figure(1, 2, width=9.6, height=5.2, width_ratios=(1.9, 1))
    shown, liked = stacked(result).iloc[:ENTRIES], _liked(result)
    rows = np.arange(len(shown))
    ends = {True: np.zeros(len(shown)), False: np.zeros(len(shown))}
    for name, values in shown.items():
        for positive in (True, False):
            own = np.where((values > 0) == positive, values, 0)
            label = say(f"part {name}", language) if positive else None
            left.barh(rows, own, left=ends[positive], height=0.75, color=PART_COLOURS[name], label=label)
            ends[positive] += own
    entries = result.entries.iloc[:ENTRIES]
    for row, entry in enumerate(entries.itertuples()):
        said = reason(entry.reason, _drawable(entry.by, 24), liked=entry.by in liked, language=language)
        at = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
        left.annotate(said, (ends[True][row], row), **at, fontsize=7.5, color=INK, parse_math=False)
    left.set_yticks(rows, [_drawable(film, 34) for film in entries["film"]], fontsize=8.5, parse_math=False)
    left.axvline(0, color=INK, lw=0.8)
    left.set(ylim=(len(rows) - 0.4, -0.6), xlim=(None, 1.75 * max(ends[True].max(), 1e-9)), xticks=[])
    left.set_title(say("list", language))
    left.set_xlabel(say("score x", language))
    left.legend(**BELOW)
    _recall(right, result, language)
    return fig


def stacked(result: NewUser) -> pd.DataFrame:
    """Return what each entry's score is made of, above the mean of the catalogue: popularity, prior, yes, no, sentence.

    'yes' is the sum over the films that are liked, 'no' over those that are not; parts that are nothing are left out.
    """
    own = result.entries[PARTS].copy()
    liked = [name for name in result.answers if name in _liked(result)]
    own.insert(2, "yes", result.answers[liked].sum(axis=1))
    own.insert(3, "no", own.pop("films") - own["yes"])
    return own.loc[:, own.abs().max() > 1e-9]


def _liked(result: NewUser) -> set[str]:
    return set(result.answers.columns[: result.liked])


def _recall(ax: Axes, result: NewUser, language: str) -> None:
    curve, at = result.recall, np.arange(len(result.recall))
    ax.fill_between(at, curve["low"], curve["high"], color=BLUE, alpha=0.18, lw=0)
    ax.plot(at, curve["mean"], "o-", color=BLUE, ms=4)
    here = max(0, int(np.searchsorted(curve["k"], result.k, side="right")) - 1)
    ax.plot(here, curve["mean"].iloc[here], "o", color=ORANGE, ms=9, mec="white")
    ax.set_xticks(at, curve["k"])
    ax.set(ylim=(0, None), xlabel=say("shots", language))
    told = say("like these" if result.like else "everyone", language, like=result.like, n=curve["size"].max())
    ax.set_title(f"{say('recall', language)}\n{_drawable(told, 40)}", fontsize=8.5)


def _policy(world: World, result: PolicyResult, language: str) -> Figure:
    fig, ax = figure(width=7.6, height=4.6)
    ax.plot(world.grid["tail"], world.grid["ndcg"], "o", color="#C4C4C4", ms=4, mew=0, label=say("grid", language))
    ax.plot(world.front["tail"], world.front["ndcg"], "-", color=GREEN, label=say("front", language))
    for row in result.points.to_dict("records"):
        marker, colour = POLICY_MARKS[row["policy"]]
        name = say("now", language) if row["policy"] == "now" else row["policy"]
        told = say("place", language, **row | {"policy": name})
        ax.plot(row["tail"], row["ndcg"], marker, color=colour, ms=10, mec="white", label=told)
    ax.set(xlabel=say("tail x", language), ylabel=say("ndcg", language), ylim=(0, None), xlim=(-0.02, 1.02))
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.grid(axis="y", color=FAINT, lw=0.6)
    ax.legend(loc="upper right", fontsize=8)
    return fig
