"""The lists, bars and marked texts of the panels as HTML; whatever was typed or stands in a catalogue is escaped."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .item import NewItem
from .labels import reason
from .policy import PolicyResult
from .search import Answers
from .state import ItemState
from .user import NewUser

Say = Callable[..., str]

PARTS_FIRST = ("popularity", "prior")
WIDEST = 0.52  # of the row, which leaves room for the reason


def escaped(text: object) -> str:
    """Return a text that HTML shows as it is."""
    return html.escape(str(text))


def percent(value: float) -> str:
    """Return a share in per cent of a width."""
    return f"{100 * value:.2f}%"


def legend(keys: Sequence[tuple[str, str]]) -> str:
    """Return what marks mean, from pairs of a class and a name."""
    items = "".join(f'<span class="cs-key"><i class="{style}"></i>{escaped(name)}</span>' for style, name in keys)
    return f'<div class="cs-legend">{items}</div>'


# --- A new item


def audience_html(result: NewItem, reveal: bool, say: Say) -> str:
    """Return the audience by group: bars of the prediction, a tick for all choices, and, if revealed, the truth."""
    top = max(float(result.audience[["predicted", "true", "all"]].max().max()), 1e-9) * 1.08
    keys = [("cs-bar", "predicted"), ("cs-tick", "all choices"), *([("cs-true", "true")] if reveal else [])]
    named = legend([(style, say(key)) for style, key in keys])
    parts = []
    for kind, rows in result.audience.groupby("kind", sort=False):
        parts.append(f"<h4>{escaped(say(f'column {kind}'))}</h4>")
        parts += [_audience_row(row, top, reveal, say) for row in rows.to_dict("records")]
    verdict = ""
    if reveal and not np.isnan(result.auc.both):
        verdict = escaped(say("auc", text=result.auc.text, now=result.auc.both))
    return f'{named}{"".join(parts)}<p class="cs-verdict">{verdict}</p>'


def _audience_row(row: Mapping[Hashable, Any], top: float, reveal: bool, say: Say) -> str:
    said = f"{row['group']}: {say('predicted')} {row['predicted']:.1%}, {say('all choices')} {row['all']:.1%}"
    marks = f'<i class="cs-bar" style="width:{percent(row["predicted"] / top)}"></i>'
    marks += f'<i class="cs-tick" style="left:{percent(row["all"] / top)}"></i>'
    if reveal:
        said += f", {say('true')} {row['true']:.1%}"
        marks += f'<i class="cs-true" style="left:{percent(row["true"] / top)}"></i>'
    name = f'<span class="cs-name">{escaped(row["group"])}</span>'
    return f'<div class="cs-row" title="{escaped(said)}">{name}<span class="cs-track">{marks}</span></div>'


def shown_html(result: NewItem, reveal: bool, say: Say) -> str:
    """Return the first users who would see the item, and, if revealed, who of them chose it."""
    columns = [name for name in result.shown if name not in ("score", "chose")]
    head = "".join(f"<th>{escaped(say(f'column {name}'))}</th>" for name in columns)
    known = reveal and "chose" in result.shown
    rows = []
    for row in result.shown.head(5).to_dict("records"):
        cells = "".join(f"<td>{escaped(row[name])}</td>" for name in columns)
        rows.append(f"<tr>{cells}<td>{('✓' if row['chose'] else '·') if known else ''}</td></tr>")
    head += f"<th>{escaped(say('column chose')) if known else ''}</th>"
    return f"<h4>{escaped(say('shown'))}</h4><table class='cs-table'><tr>{head}</tr>{''.join(rows)}</table>"


def marked_html(state: ItemState, carried: pd.DataFrame, say: Say) -> str:
    """Return title and description with the words marked that carry the prediction, the darker the more."""
    most = max(float(carried["share"].max()), 1e-9) if len(carried) else 1.0
    parts = [_marked(state.read(name), carried[carried["field"] == name], most)
             for name in ("title", "description")]  # fmt: skip
    text = "<br>".join(part for part in parts if part)
    return f"<h4>{escaped(say('words'))}</h4><p>{text}</p>" if text else ""


def _marked(text: str, carried: pd.DataFrame, most: float) -> str:
    parts, at = [], 0
    for word in carried.sort_values("start").itertuples():
        parts.append(escaped(text[at : word.start]))
        at = word.start + len(word.word)
        weight = max(word.share, 0) / most
        style = f"--weight:{weight:.2f}" if weight > 0.05 else ""
        parts.append(f'<mark style="{style}" title="{word.share:+.1%}">{escaped(word.word)}</mark>' if style
                     else escaped(word.word))  # fmt: skip
    return "".join(parts) + escaped(text[at:])


# --- A new user


def list_html(result: NewUser, before: Mapping[str, int] | None, say: Say, language: str) -> str:
    """Return the list: place, what the last answer changed, film, what its score is made of, and the main reason.

    `before` has the places of the films one step ago, or is None at the start.
    """
    parts = _parts(result, say)
    top = max(sum(max(part[row], 0) for *_, part in parts) for row in range(len(result.entries))) if parts else 1
    low = max(sum(max(-part[row], 0) for *_, part in parts) for row in range(len(result.entries))) if parts else 0
    scale = WIDEST / max(top + low, 1e-9)
    named = legend([(style, name) for style, name, _ in parts])
    liked = set(result.answers.columns[: result.liked])
    rows = []
    for row, entry in enumerate(result.entries.itertuples()):
        why = _why(reason(entry.reason, entry.by, liked=entry.by in liked, language=language), say("lead"))
        stack = _stack([(style, name, float(part[row])) for style, name, part in parts], low, scale)
        film = f'<span class="cs-film" title="{escaped(entry.film)}">{escaped(entry.film)}</span>'
        place = f"{_arrow(row, (before or {}).get(entry.film), before is not None, say)}<b>{row + 1}</b>"
        rows.append(f'<li>{place}{film}<span class="cs-stack">{stack}<span class="cs-why">{why}</span></span></li>')
    return f'{named}<ol class="cs-list">{"".join(rows)}</ol>'


def _why(said: str, lead: str) -> str:
    """Return a reason, whose first words 'lifted most by' are left out where there is little room."""
    rest = said.removeprefix(lead)
    return f'<span class="cs-long">{escaped(lead)}</span>{escaped(rest)}' if rest != said else escaped(said)


def _parts(result: NewUser, say: Say) -> list[tuple[str, str, np.ndarray]]:
    """Return (class, name, values [entries]) of every part of the scores that is not nothing."""
    found = [(f"cs-{part}", say(f"part {part}"), result.entries[part].to_numpy()) for part in PARTS_FIRST]
    for n, (film, values) in enumerate(result.answers.items()):
        liked = n < result.liked
        shade = n if liked else n - result.liked
        sign = "+" if liked else "−"
        found.append((f"cs-{'yes' if liked else 'no'} cs-shade-{shade % 4}", f"{sign} {film}", values.to_numpy()))
    found.append(("cs-sentence", say("part sentence"), result.entries["sentence"].to_numpy()))
    return [part for part in found if np.abs(part[2]).max(initial=0) > 1e-9]


def _stack(parts: Sequence[tuple[str, str, float]], low: float, scale: float) -> str:
    """Return the parts of one score side by side, what pulls it down to the left of what lifts it."""
    down = [part for part in parts if part[2] < 0]
    up = [part for part in parts if part[2] >= 0]
    empty = (low + sum(value for *_, value in down)) * scale
    marks = "".join(_piece(style, f"{name}: {value:+.3f}", abs(value) * scale) for style, name, value in (*down, *up))
    gap = f'<i class="cs-gap" style="width:{percent(empty)}"></i>' if empty > 1e-9 else ""
    return gap + marks


def _piece(style: str, said: str, width: float) -> str:
    return f'<i class="{style}" style="width:{percent(width)}" title="{escaped(said)}"></i>'


def _arrow(row: int, before: int | None, any_before: bool, say: Say) -> str:
    if not any_before or before == row:
        return '<em class="cs-same"></em>'
    if before is None:
        return f'<em class="cs-up" title="{escaped(say("new here"))}">★</em>'
    moved = before - row
    return f'<em class="cs-{"up" if moved > 0 else "down"}">{"▲" if moved > 0 else "▼"}{abs(moved)}</em>'


# --- A question

ORIGINS = {"by words": "cs-from-words", "by meaning": "cs-from-meaning"}


def origins_html(result: Answers, say: Say) -> str:
    """Return what the marks beside the names mean: which other list an item is in as well."""
    keys = [(style, say(f"also {name}")) for name, style in ORIGINS.items()]
    return legend([*keys, ("cs-shared", say("shared words"))]) if len(result.lists) else ""


def answers_html(result: Answers, film: str, person: str, say: Say) -> str:
    """Return the lists side by side: place, name, words in common, marks of other lists; the film that is meant stands
    out, and its place is above each list.
    """
    names = ["by words", "by meaning", "by both", *(["by both, for this person"] if person else [])]
    within = {name: set(result.lists["item"][result.lists["list"] == name]) for name in ORIGINS}
    columns = []
    for name in names if result.question else []:
        rows = result.lists[result.lists["list"] == name]
        head = f"<h3>{escaped(say(f'list {name}'))}</h3><p>{escaped(say(f'how {name}'))}</p>"
        head += f'<p class="cs-place">{escaped(_meant(result.meant.get(name), film, say))}</p>' if film else ""
        items = "".join(_answer(row, film, within, say) for row in rows.to_dict("records"))
        items = f'<ol class="cs-answers">{items}</ol>' if items else f"<p>{escaped(say('no word shared'))}</p>"
        columns.append(f'<section class="cs-answer">{head}{items}</section>')
    return f'<div class="cs-four">{"".join(columns)}</div>'


def _meant(place: int | None, film: str, say: Say) -> str:
    return say("place of", film=film, place=place) if place else say("no place of", film=film)


def _answer(row: Mapping[Hashable, Any], film: str, within: Mapping[str, set[int]], say: Say) -> str:
    others = [name for name in ORIGINS if name != row["list"] and row["item"] in within[name]]
    marks = "".join(f'<i class="{ORIGINS[name]}" title="{escaped(say(f"also {name}"))}"></i>' for name in others)
    shared = "".join(f"<mark>{escaped(word)}</mark>" for word in row["words"].split(", ") if word)
    style = ' class="cs-is-meant"' if row["name"] == film else ""
    name = f'<span class="cs-film" title="{escaped(row["name"])}">{escaped(row["name"])}</span>'
    shared = f"<small>{shared or escaped(say('no word'))}</small>"
    return f'<li{style}><b>{row["place"]}</b>{name}<span class="cs-marks">{marks}</span>{shared}</li>'


# --- A policy


def places_html(result: PolicyResult, say: Say) -> str:
    """Return the measures of the policies side by side."""
    measures = {"ndcg": "{:.3f}", "tail": "{:.0%}", "variety": "{:.2f}", "coverage": "{:.0%}"}
    head = "".join(f"<th>{escaped(say(f'measure {name}'))}</th>" for name in measures)
    rows = ""
    for row in result.points.to_dict("records"):
        name = say("now") if row["policy"] == "now" else row["policy"]
        cells = "".join(f"<td>{form.format(row[measure])}</td>" for measure, form in measures.items())
        rows += f'<tr><td><i class="cs-dot cs-dot-{row["policy"]}"></i>{escaped(name)}</td>{cells}</tr>'
    return f"<table class='cs-table cs-measures'><tr><th></th>{head}</tr>{rows}</table>"


def changes_html(result: PolicyResult, names: tuple[str, str], say: Say) -> str:
    """Return the films that gain and that lose places from the first to the second of two policies."""
    gap = result.difference
    told = say("difference", a=names[0], b=names[1], mean=gap.mean, low=gap.low, high=gap.high, n=gap.n)
    gained = result.changes[result.changes["B"] > result.changes["A"]]
    lost = result.changes[result.changes["B"] < result.changes["A"]].iloc[::-1]
    if result.changes.empty:
        return f"<p>{escaped(say('nothing changes'))}</p>"
    most = max(int(result.changes[["A", "B"]].max().max()), 1)
    # What is not pinned is played by the dials as they stand, which have a mark of their own.
    styles = _dot(names[0]), _dot(names[1])
    parts = [
        _hands(say(key), rows, most, names, styles) for key, rows in (("gain", gained), ("lose", lost)) if len(rows)
    ]
    return f'<p>{escaped(told)}</p>{legend([*zip(styles, names)])}<div class="cs-hands">{"".join(parts)}</div>'


def _dot(name: str) -> str:
    return f"cs-dot-{name if name in 'AB' else 'now'}"


def _hands(title: str, rows: pd.DataFrame, most: int, names: tuple[str, str], styles: tuple[str, str]) -> str:
    lines = "".join(
        f'<div class="cs-row" title="{escaped(f"{row.film}: {names[0]} {row.A}, {names[1]} {row.B}")}">'
        f'<span class="cs-name">{escaped(row.film)}</span><span class="cs-track">'
        f'<i class="{styles[0]}" style="width:{percent(row.A / most)}"></i>'
        f'<i class="{styles[1]}" style="width:{percent(row.B / most)}"></i></span>'
        f"<small>{row.A} → {row.B}</small></div>"
        for row in rows.itertuples()
    )
    return f"<div><h4>{escaped(title)}</h4>{lines}</div>"
