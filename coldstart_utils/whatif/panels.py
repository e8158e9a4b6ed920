"""What-if panels: the pictures of what the pure functions say, and thin ipywidgets views."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import json
import operator
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib import font_manager, rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image, ImageDraw, ImageFont
from threadpoolctl import ThreadpoolController

from ..ground import ColdstartError, package_file
from ..palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, SKY, png, shown_width
from . import belief, item, policy, user
from .bench import DIALS
from .state import MOST, START, Frames, State, checked, own_fields
from .world import World

# --- Pictures --------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, DPI = 860, 460, 100
LABELS = json.loads(package_file("panels.json").read_text(encoding="utf-8"))
COLOUR_OF = {"popularity": GREY, "prior": SKY, "films": BLUE, "sentence": GREEN}
# By file: matplotlib's own list does not know of a font that was installed after it was made.
CHINESE = [path for path in font_manager.findSystemFonts() if re.search("(?i)cjk|simhei|msyh|pingfang|wqy", path)][:1]
FONTS = [font_manager.findfont("DejaVu Sans"), *CHINESE]


def say(key: str, language: str, **values: Any) -> str:
    """Return the label or sentence `key` in the `language` 'en' or 'zh', with its `values` filled in."""
    return LABELS[key][language == "zh"].format(**values)


@cache
def _letters(path: str) -> frozenset[str]:
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))


@cache
def _truetype(path: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size * DPI / 72)


def _drawable(text: str, length: int) -> str:
    """Return `text` on one line, cut to `length`, with a box for every letter that no font at hand has."""
    line = " ".join(text.split())
    known = frozenset().union(*map(_letters, FONTS))
    return "".join(a if a in known else "□" for a in (line if len(line) <= length else line[: length - 1] + "…"))


class Sheet:
    """A picture of a panel whose still part is drawn once: `draw(frames)` moves the rest, `png()` gives the bytes."""

    def __init__(self, world: World, kind: str, language: str = "en") -> None:
        self.world, self.kind, self.still, self.moving, self.texts = world, kind, None, [], []
        # Chinese only where a font has it.
        self.say = lambda key, **values: say(key, language if CHINESE else "en", **values)
        for path in CHINESE:
            font_manager.fontManager.addfont(path)
        names = ["DejaVu Sans", *(font_manager.get_font(path).family_name for path in CHINESE)]
        with rc_context({"font.size": 11.5, "axes.labelsize": 11.5, "legend.fontsize": 11, "xtick.labelsize": 11,
                         "ytick.labelsize": 11, "legend.handletextpad": 0.3, "font.family": names}):  # fmt: skip
            self.fig = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, layout="none")
            self.canvas = FigureCanvasAgg(self.fig)
            getattr(self, f"_set_up_{kind}")()
            self.canvas.draw()

    def _move(self, artist: Any) -> Any:
        artist.set_animated(True)
        self.moving.append(artist)
        return artist

    def _dots(self, ax: Any, marker: str, colour: str, size: float, label: str = "", **style: Any) -> Any:
        style = {"color": colour, "ms": size, "mec": "white", "mew": 0.8} | style
        return self._move(ax.plot([], [], marker, label=self.say(label) if label else None, **style)[0])

    def _text(self, x: float, y: float, ha: str = "left", **style: Any) -> Any:
        # What somebody typed is no mathematics, dollar signs or not.
        self.texts.append(self.fig.text(x, y, "", ha=ha, va="center", parse_math=False, **style))
        return self.texts[-1]

    def draw(self, frames: Frames) -> Figure:
        """Move what moves to where the frames say and return the figure."""
        getattr(self, f"_draw_{self.kind}")(frames)
        return self.fig

    def png(self) -> bytes:
        """Return the figure as PNG bytes, of the same size each time."""
        self.still = self.still or self.canvas.copy_from_bbox(self.fig.bbox)
        self.canvas.restore_region(self.still)
        for artist in self.moving:
            self.fig.draw_artist(artist)
        image = Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3])
        pen = ImageDraw.Draw(image)
        for text in self.texts:  # ten times as fast as the same letters by matplotlib
            (x, y), said = text.get_position(), text.get_text()
            path = font_manager.findfont(text.get_fontproperties())
            path = path if _letters(path).issuperset(said) else FONTS[-1]
            font, anchor = _truetype(path, text.get_fontsize()), text.get_ha()[0] + "m"
            pen.text((x * WIDTH, (1 - y) * HEIGHT), said, text.get_color(), font, anchor)
        image.save(buffer := io.BytesIO(), "png", compress_level=1)
        return buffer.getvalue()

    def _set_up_item(self) -> None:
        world = self.world
        left, right = self.fig.add_axes((0.03, 0.1, 0.47, 0.79)), self.fig.add_axes((0.755, 0.16, 0.23, 0.73))
        left.plot(*world.points[world.points.any(axis=1)].T, "o", ms=3, mew=0, color="#BBBBBB")
        left.set(xlabel=self.say("map x"), ylabel=self.say("map y"), xticks=[], yticks=[])
        self.near, self.path = self._dots(left, "o", SKY, 7, "near", mec=INK), self._dots(left, "-", BLUE, 0)
        self.ellipse = self._move(left.add_patch(Ellipse((0, 0), 0, 0, fc=BLUE, alpha=0.2)))
        self.start, self.end = self._dots(left, "s", BLUE, 9, "from text"), self._dots(left, "o", ORANGE, 10, "with k")
        left.legend(loc="upper right", borderaxespad=0)
        kinds, labels = zip(*world.members)
        self.rows = np.arange(len(kinds)) + 0.9 * np.cumsum([0, *map(operator.ne, kinds[1:], kinds[:-1])])
        base = np.bincount(world.dataset.interactions["user"], minlength=len(world.groups)) @ world.members.to_numpy()
        base = base / len(world.dataset.interactions)
        right.barh(self.rows, base, height=0.9, color=FAINT, label=self.say("all choices"))
        self.predicted = self._dots(right, "o", BLUE, 8, "predicted")
        self.true = self._dots(right, "D", ORANGE, 6, "true")
        right.set_yticks(self.rows, [_drawable(str(label), 24) for label in labels])
        right.set(ylim=(self.rows[-1] + 0.8, -0.8), xlim=(0, 1.15 * max(0.4, base.max())))
        right.xaxis.set_major_formatter("{x:.0%}")
        right.tick_params(axis="y", length=0)
        named = right.get_legend_handles_labels()
        self.fig.legend(*named, loc="lower right", borderaxespad=0.2, ncols=3, columnspacing=1)
        self.title, self.auc = self._text(0.03, 0.95, fontsize=13.5), self._text(0.99, 0.95, "right")

    def _draw_item(self, frames: Frames) -> None:
        now, at, audience = frames["summary"].iloc[0], frames["path"][["x", "y"]].to_numpy(), frames["audience"]
        for artist, points in ((self.path, at), (self.start, at[:1]), (self.end, at[1:][-1:])):
            artist.set_data(*points.T)
        self.near.set_data(*self.world.points[[self.world.row[film] for film in frames["neighbours"]["film"]]].T)
        self.ellipse.set(center=tuple(at[-1]), width=now["width"], height=now["height"], angle=now["angle"])
        self.predicted.set_data(audience["predicted"], self.rows)
        self.true.set_data(audience["true"], self.rows)
        self.title.set_text(self.say("revealed" if now["of"] else "typed", k=now["k"], of=now["of"]))
        self.auc.set_text("" if np.isnan(now["now"]) else self.say("auc", text=now["text"], now=now["now"]))

    def _set_up_user(self) -> None:
        bars, right = self.fig.add_axes((0.335, 0.02, 0.14, 0.88)), self.fig.add_axes((0.775, 0.14, 0.21, 0.66))
        bars.set(ylim=(belief.TOP_K - 0.5, -0.5), xlim=(0, 1))
        bars.set_axis_off()
        self.bars = self._move(bars.add_collection(PolyCollection([], lw=0)))
        self.title = self._text(0.01, 0.95, fontsize=13.5)
        heights = 0.9 - 0.88 * (np.arange(belief.TOP_K) + 0.5) / belief.TOP_K
        self.films, self.reasons = (
            [self._text(0.33, y, "right") for y in heights],
            [self._text(0.48, y) for y in heights],
        )
        top, shots = self.world.recall.groupby("k")["recall"].mean().max(), sorted(self.world.recall["k"].unique())
        right.set(xlim=(-0.3, len(shots) - 0.7), ylim=(0, 1.8 * top), xlabel=self.say("shots"))
        right.set_xticks(range(len(shots)), shots)
        self.band = self._move(right.add_collection(PolyCollection([], color=BLUE, alpha=0.2, lw=0)))
        self.line, self.here = self._dots(right, "o-", BLUE, 5), self._dots(right, "o", ORANGE, 10)
        self.fig.text(0.99, 0.95, self.say("recall", k=belief.TOP_K), ha="right", va="center", fontsize=13.5)
        self.like = self._text(0.99, 0.86, "right")

    def _draw_user(self, frames: Frames) -> None:
        entries, recall, now = frames["list"], frames["recall"], frames["summary"].iloc[0]
        width = (entries["score"] / max(entries["score"].max(), 1e-12)).clip(0.01, 1)
        self.bars.set_verts([[(0, y - 0.42), (w, y - 0.42), (w, y + 0.42), (0, y + 0.42)] for y, w in enumerate(width)])
        self.bars.set_facecolor([COLOUR_OF[reason] for reason in entries["reason"]])
        for film, why, row in zip(self.films, self.reasons, [*entries.itertuples(), *[None] * belief.TOP_K]):
            film.set_text(_drawable(row.film, 31) if row else "")
            why.set_text(_drawable(self.say(f"reason {row.reason}", by=row.by), 22) if row else "")
        self.title.set_text(self.say("measures", tail=now["tail"], variety=now["variety"]))
        like, at = recall["like"].iloc[0], np.arange(len(recall))
        told = self.say("like these" if like else "everyone", like=like, n=recall["size"].max())
        self.like.set_text(_drawable(told, 32))
        self.band.set_verts([[*zip(at, recall["low"]), *zip(at[::-1], recall["high"][::-1])]])
        self.line.set_data(at, recall["mean"])
        here = np.searchsorted(recall["k"], now["k"], side="right") - 1
        self.here.set_data([here], [recall["mean"].iloc[here]])

    def _set_up_policy(self) -> None:
        ax, bench = self.fig.add_axes((0.09, 0.12, 0.9, 0.68)), self.world.bench
        ax.plot(bench.grid["tail"], bench.grid["ndcg"], "o", color="#BBBBBB", ms=5, label=self.say("grid"))
        ax.plot(bench.front["tail"], bench.front["ndcg"], "-", color=GREEN, label=self.say("front"))
        ax.set(xlabel=self.say("tail x"), ylabel=self.say("ndcg", k=belief.TOP_K))
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 1.15 * bench.front["ndcg"].max()))
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.legend(loc="upper right")
        self.marks = {}
        for n, (name, marker, colour) in enumerate((("now", "o", INK), ("A", "s", BLUE), ("B", "D", ORANGE))):
            line = self._text(0.02, 0.965 - 0.055 * n, color=colour)
            self.marks[name] = self._dots(ax, marker, colour, 13), line

    def _draw_policy(self, frames: Frames) -> None:
        points = frames["points"].set_index("policy")
        for name, (dot, line) in self.marks.items():
            own = points[points.index == name]
            dot.set_data(own["tail"], own["ndcg"])
            called = self.say("now") if name == "now" else name
            line.set_text("".join(self.say("place", policy=called, **row) for row in own.to_dict("records")))


def picture(world: World, kind: str, frames: Frames, *, language: str = "en") -> Figure:
    """Return the figure of the `frames` of a panel: 'item', 'user' or 'policy'."""
    return Sheet(world, kind, language).draw(frames)


# --- Views -----------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., Frames]] = {
    "item": item.new_item,
    "user": user.new_user,
    "policy": policy.policy,
}
PAUSE, TYPED = 0.05, {"title", "year", "description", "k", "age", "sentence", *DIALS}
ROW = {"flex_flow": "row wrap", "align_items": "flex-start"}
CSS = """<style>.coldstart-table{font-size:14px;line-height:1.4}
.coldstart-table :is(td,th){padding:1px 12px 1px 0;text-align:left;line-height:inherit}
.coldstart-lists{display:flex;flex-wrap:wrap;gap:24px}</style>"""


@cache
def one_thread() -> ThreadpoolController:
    """Return what holds libraries to one thread: in sums as small as a panel's the others only wait for each other."""
    return ThreadpoolController()


class View(widgets.VBox):
    """One panel: controls, undo and reset, a line of status, picture and lists; `state` is all that it knows.

    The first change of a burst is drawn at once, the rest by one redraw after it. A fault appears as a sentence and
    stays until the next good draw.
    """

    def __init__(self, world: World, kind: str, state: State, language: str) -> None:
        self.world, self.kind, self.past, self.after = world, kind, [], lambda: None
        self.first = self.state = checked(world, kind, state)
        self.busy, self.pending, self.second, self.ready = False, None, None, 0.0
        self.controls = _controls(world, kind)
        for name, control in self.controls.items():
            control.layout, control.style.description_width = {"flex": "0 0 340px"}, "175px"
            if name in self.state:
                control.observe(lambda change, name=name: self.edit(name, change["new"]), names="value")
        actions = {"undo": self.undo, "reset": lambda: self.become(self.first)}
        if kind == "user":
            liking = {"like": lambda: self.add("liked"), "dislike": lambda: self.add("disliked")}
            actions = liking | {"remove": self.remove} | actions
        elif kind == "policy":
            actions = {"A": lambda: self.pin("A"), "B": lambda: self.pin("B")} | actions
        self.buttons = {name: widgets.Button(layout={"width": "auto"}) for name in actions}
        for name, button in self.buttons.items():
            button.on_click(lambda _, act=actions[name]: act())
        self.image = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
        self.status, self.fault, self.lists, self.words = (widgets.HTML() for _ in range(4))
        self.status.add_class("coldstart-status")
        self.fault.add_class("coldstart-fault")
        left = [*self.controls.values(), widgets.HBox([*self.buttons.values()], layout=ROW | {"flex": "0 0 340px"})]
        right = widgets.VBox([self.status, self.fault, self.image], layout={"flex": f"0 1 {WIDTH}px"})
        boxes = [widgets.HBox(left, layout=ROW | {"flex": "1 1 340px"}), right, self.lists, self.words]
        super().__init__([widgets.HBox(boxes, layout=ROW)])
        self.add_class(f"coldstart-{kind}")
        self.speak(language)

    def speak(self, language: str) -> None:
        """Say everything in the language 'en' or 'zh'."""
        self.language, self.sheet = language, Sheet(self.world, self.kind, language)
        for name, widget in (self.controls | self.buttons).items():
            widget.description = widget.tooltip = say(name, language)
        self.become(self.state, keep=True)

    def edit(self, name: str, value: Any) -> None:
        """Take over the `value` of a control."""
        if self.busy:
            return
        if name == "film" and value and value not in self.world.row:
            self.match(value)
            return
        film = own_fields(self.world, value) | {"k": 0} if name == "film" else {}
        self.become(self.state | film | {name: list(value) if isinstance(value, tuple) else value}, name)

    def match(self, text: str) -> None:
        """Say how many names of the catalogue hold `text`."""
        n = sum(text.lower() in name.lower() for name in self.world.names)
        told = say("matches" if n else "no match", self.language, n=n, text=text[:60])
        self.fault.value = _sentence(told, alert=not n)

    def become(self, state: State, name: str = "", *, keep: bool = False) -> None:
        """Go to another state, which undo takes back; what is typed into one field is one step."""
        if state != self.state and not keep and not (name in TYPED and self.past and self.past[-1][1] == name):
            self.past.append((self.state, name))
        self.state, self.busy = state, True
        for key, control in self.controls.items():
            if key in state:
                control.value = tuple(state[key]) if isinstance(state[key], list) else state[key]
        if self.kind == "user":
            marks = (("+", "liked"), ("−", "disliked"))
            self.controls["chosen"].options = [(f"{mark} {film}", film) for mark, key in marks for film in state[key]]
        self.busy = False
        self.redraw()

    def undo(self) -> None:
        """Go back one step."""
        if self.past:
            self.become(self.past.pop()[0], keep=True)

    def pin(self, name: str) -> None:
        """Pin the dials as policy A or B."""
        self.become(self.state | {name: {dial: self.state[dial] for dial in DIALS}})

    def add(self, key: str) -> None:
        """Add the film that was found to those liked or disliked."""
        if (film := self.controls["pick"].value) not in self.world.row:
            self.match(film)
            return
        left = self.without(film)
        self.become(left | {key: [*left[key], film]})
        self.controls["pick"].value = ""

    def remove(self) -> None:
        """Take the selected film out of those liked and disliked."""
        self.become(self.without(self.controls["chosen"].value))

    def without(self, film: str) -> State:
        """Return the state with the film neither liked nor disliked."""
        return self.state | {key: [one for one in self.state[key] if one != film] for key in ("liked", "disliked")}

    def redraw(self) -> None:
        """Draw now, or once after a burst."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.draw()
            return
        if self.pending is None and loop.time() >= self.ready:
            self.draw()
        elif self.pending is None:
            self.pending = loop.call_later(PAUSE, self.draw)
        self.ready = loop.time() + PAUSE
        if self.kind == "item":
            if self.second:
                self.second.cancel()
            self.second = loop.call_later(8 * PAUSE, self.draw_words)

    def draw(self) -> None:
        """Draw the state: picture, lists and status."""
        self.pending, begun = None, time.perf_counter()
        try:
            with one_thread().limit(limits=1):
                frames = FUNCTIONS[self.kind](self.world, self.state)
            self.sheet.draw(frames)
            self.image.value, self.lists.value = self.sheet.png(), _lists(self.kind, frames, self.language)
            now = frames["points" if self.kind == "policy" else "summary"].iloc[0].to_dict()
            ms = round(1000 * (time.perf_counter() - begun))
            self.status.value = _sentence(say(f"drawn {self.kind}", self.language, ms=ms, **now))
            self.fault.value = ""
        except Exception as error:  # in a callback any other would vanish
            self.fault.value = _sentence(_told(error), alert=True)
        self.after()

    def draw_words(self) -> None:
        """Show the words that carried the prediction, when there is time."""
        try:
            with one_thread().limit(limits=1):
                table = item.words(self.world, self.state).head(8)
            table["share"] = table["share"].map("{:.1%}".format)
            self.words.value = _table("words", table, self.language) if len(table) else ""
        except Exception as error:
            self.fault.value = _sentence(_told(error), alert=True)


def _controls(world: World, kind: str) -> dict[str, widgets.Widget]:
    """Return the controls of a panel that this catalogue has a use for; those named as a key of the state set it."""
    if kind == "policy":
        return {dial: widgets.FloatSlider(max=1, step=0.05) for dial in DIALS}
    names, known = widgets.Combobox(options=world.names), {"year": [], "genres": []} | world.vocabulary
    jobs = ["", *sorted(set(world.dataset.users.get("occupation", [])) - {""})]
    made = {
        "item": {
            "film": names, "title": widgets.Text(), "year": widgets.Combobox(options=known["year"]),
            "genres": widgets.SelectMultiple(options=known["genres"], rows=4),
            "description": widgets.Textarea(rows=3), "k": widgets.IntSlider(max=MOST["k"]),
        },
        "user": {
            "pick": names, "chosen": widgets.Select(rows=4), "age": widgets.BoundedIntText(max=MOST["age"]),
            "occupation": widgets.Dropdown(options=jobs), "sentence": widgets.Text(),
        },
    }  # fmt: skip
    return {name: control for name, control in made[kind].items() if name not in world.absent}


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"


def _sentence(text: str, *, alert: bool = False) -> str:
    role = 'role="alert" style="font-weight:bold"' if alert else 'role="status" aria-live="polite"'
    return f"<span {role}>{html.escape(text)}</span>"


def _table(key: str, frame: pd.DataFrame, language: str) -> str:
    named = frame.rename(columns={c: say(f"column {c}", language) for c in frame})
    cells = named.to_html(index=False, border=0, classes="coldstart-table", float_format="{:.2f}".format)
    return f"<div><b>{html.escape(say(key, language))}</b>{cells}</div>"


def _lists(kind: str, frames: Frames, language: str) -> str:
    if kind == "policy":
        head, tables = say("difference", language, **frames["difference"].iloc[0]), {"changes": frames["changes"]}
    elif kind == "user":
        head, entries = say("ask", language, films=" · ".join(frames["ask"]["film"])), frames["list"]
        why = [say(f"reason {row.reason}", language, by=row.by) for row in entries.itertuples()]
        tables = {"list": entries[["film", "score"]].assign(reason=why)}
    else:
        shown = frames["shown"].replace({True: "✓", False: ""})
        head, tables = "", {"neighbours": frames["neighbours"], "shown": shown}
    parts = "".join(_table(key, frame, language) for key, frame in tables.items())
    return f'{CSS}<div>{html.escape(head)}</div><div class="coldstart-lists">{parts}</div>'


class Panels(widgets.VBox):
    """The three panels of `world` under tabs, a switch of language, and the scene as JSON and as an address.

    They start in the state that the JSON `scene` describes; one that cannot be read is told in a sentence above them.
    Where no kernel listens the picture and a line of text stand in their place.
    """

    def __init__(self, world: World, *, scene: str = "", language: str = "en") -> None:
        self.world, (states, told) = world, read_scene(world, scene)
        kinds = [kind for kind in FUNCTIONS if kind != "policy" or world.bench]
        self.views = {kind: View(world, kind, states.get(kind, {}), language) for kind in kinds}
        self.fault = widgets.HTML(_sentence(told or world.notes, alert=bool(told)))
        self.tab = widgets.Tab(list(self.views.values()), selected_index=0)
        self.language = widgets.ToggleButtons(options=[("English", "en"), ("中文", "zh")], value=language)
        self.scene, self.address = widgets.Textarea(rows=2, layout={"flex": "1 1 340px"}), widgets.HTML()
        self.scene.style.description_width, self.read, self.write = "140px", widgets.Button(), widgets.Button()
        self.read.on_click(lambda _: self.take(self.scene.value))
        self.write.on_click(lambda _: setattr(self.scene, "value", self.written()))
        self.language.observe(lambda change: self.speak(change["new"]), names="value")
        foot = widgets.HBox([self.scene, self.read, self.write, self.address], layout=ROW)
        super().__init__([self.language, self.fault, self.tab, foot])
        self.label(language)
        for view in self.views.values():
            view.after = self.show_address
        self.show_address()

    def label(self, language: str) -> None:
        """Name the tabs and what stands around them in the language 'en' or 'zh'."""
        self.tab.titles = [say(kind, language) for kind in self.views]
        for key in ("scene", "read", "write", "language"):
            getattr(self, key).description = getattr(self, key).tooltip = say(key, language)

    def speak(self, language: str) -> None:
        """Say everything in the language 'en' or 'zh'."""
        self.label(language)
        for view in self.views.values():
            view.speak(language)

    def written(self) -> str:
        """Return the states of the panels as JSON, without what goes without saying."""
        scene = {}
        for kind, view in self.views.items():
            plain = START[kind] | own_fields(self.world, view.state.get("film", ""))
            scene[kind] = {key: value for key, value in view.state.items() if value != plain[key]}
        return json.dumps({kind: state for kind, state in scene.items() if state}, ensure_ascii=False)

    def show_address(self) -> None:
        """Show the scene as a link to this page."""
        link, said = quote(self.written()), html.escape(say("address", self.language.value))
        self.address.value = f'<a class="coldstart-address" target="_blank" href="?scene={link}">{said}</a>'

    def take(self, text: str) -> None:
        """Set the panels to the scene in `text`, or say what is wrong with it."""
        states, told = read_scene(self.world, text)
        for kind in states.keys() & self.views.keys():
            self.views[kind].become(states[kind])
        self.fault.value = _sentence(told or say("scene read", self.language.value), alert=bool(told))

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = [*self.views.values()][self.tab.selected_index or 0]
        bundle, caption = super()._repr_mimebundle_(**options), say("caption", self.language.value)
        return _still(bundle, bytes(shown.image.value), caption, WIDTH)


def read_scene(world: World, text: str) -> tuple[dict[str, State], str]:
    """Return the state of each panel that the JSON `text` (or its percent-encoding) has, or what is wrong with it."""
    text = text.strip() if text.lstrip().startswith("{") else unquote(text).strip() or "{}"
    try:
        scene = json.loads(text)
        if isinstance(scene, dict) and set(scene) <= set(FUNCTIONS):
            return {kind: checked(world, kind, state) for kind, state in scene.items()}, ""
        return {}, f"scene: expected an object with {', '.join(FUNCTIONS)}, got {text[:60]}"
    except json.JSONDecodeError as error:
        return {}, f"scene: expected JSON, found a fault at character {error.pos + 1}, {error.msg}"
    except ColdstartError as error:
        return {}, str(error)


def scene_from_address() -> str:
    """Return the scene in the address of a page that Voila serves, `?scene=…`, or ''."""
    return parse_qs(os.environ.get("QUERY_STRING", "")).get("scene", [""])[0]


def _still(bundle: Any, picture: bytes, caption: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    still = {"image/png": base64.b64encode(picture).decode(), "text/plain": caption}
    return (bundle or {}) | still, {"image/png": {"width": width}}


class Panel(widgets.VBox):
    """Controls above the picture that `draw(**values)` makes of their values; `caption` is what a screen reader says.

    Where no kernel listens (an exported page, a code host) the last picture and the caption are shown instead. An
    error while drawing appears below the controls as one sentence, and the old picture stays.
    """

    def __init__(self, draw: Callable[..., Figure], controls: Mapping[str, widgets.Widget], *, caption: str) -> None:
        self._draw, self._controls, self._caption = draw, dict(controls), caption
        self.image = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
        self.status = widgets.HTML()
        for control in self._controls.values():
            control.style.description_width = "initial"
            control.layout.flex = "0 0 340px"
            control.observe(self._redraw, names="value")
        row = widgets.HBox(list(self._controls.values()), layout={"flex_flow": "row wrap"})
        super().__init__([row, self.status, self.image])
        self.image.value = png(self._draw(**self.values))

    @property
    def values(self) -> dict[str, Any]:
        """Return the value of every control by name."""
        return {name: control.value for name, control in self._controls.items()}

    def _redraw(self, _: object) -> None:
        try:
            self.image.value = png(self._draw(**self.values))
            self.status.value = ""
        except Exception as error:  # in a callback any other would vanish, and the cell stay green
            self.status.value = f"<b>{html.escape(_told(error))}</b>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = bytes(self.image.value)
        return _still(super()._repr_mimebundle_(**options), picture, self._caption, shown_width(picture))


class Pictured(widgets.VBox):
    """Widgets of any kind in a column, such as a menu above a bqplot figure; `caption` is what a screen reader says.

    Where no kernel listens (an exported page, a code host) the picture `still` is shown instead.
    """

    def __init__(self, children: Sequence[widgets.Widget], still: Figure, *, caption: str) -> None:
        self._picture, self._caption = png(still), caption
        super().__init__(list(children))

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return _still(super()._repr_mimebundle_(**options), self._picture, self._caption, shown_width(self._picture))
