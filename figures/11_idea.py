"""Draw figures/11_idea.png: an index of words, a space of meanings, and the same with what all have in common gone."""

from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, figure, png

LISTS = {"alien": "A", "boy": "A  C", "creature": "", "lawyer": "C", "shark": "B", "space": ""}
FILMS = {"A": 38.0, "C": 60.0, "B": 78.0}
QUESTION, MEAN_FILM, MEAN_QUESTION = 17.0, 51.0, 10.0


def words(ax):
    """Draw the lists of an inverted index; those of the question's words are marked."""
    for row, (word, films) in enumerate(LISTS.items()):
        y, asked = 5.2 - row, word in ("boy", "creature", "space")
        colour = BLUE if asked else FAINT
        ax.add_patch(Rectangle((0, y), 3.4, 0.8, color=colour, alpha=0.25 if asked else 0.6, lw=0))
        ax.text(1.7, y + 0.4, word, ha="center", va="center", color=INK, fontsize=12)
        text = films or "no text has it"
        ax.add_patch(FancyArrowPatch((3.5, y + 0.4), (4.6, y + 0.4), arrowstyle="-|>", mutation_scale=10, color=GREY))
        ax.text(4.8, y + 0.4, text, va="center", color=INK if films else GREY, fontsize=12 if films else 10,
                weight="bold" if films and asked else "normal")  # fmt: skip
    told = "blue: words of the question\n“a boy finds a creature from space”"
    ax.text(0, -0.75, told, fontsize=10.5, color=BLUE, va="top")
    ax.set(xlim=(-0.2, 8.2), ylim=(-2.2, 6.4), title="An index of words …")
    ax.axis("off")


def arrow(ax, end, colour, name, *, dotted=False):
    """Draw an arrow from the origin; a dotted one has a solid head."""
    ax.plot([0, 0.94 * end[0]], [0, 0.94 * end[1]], color=colour, lw=1.8, ls=":" if dotted else "-")
    ax.add_patch(FancyArrowPatch(tuple(0.9 * np.asarray(end)), tuple(end), arrowstyle="-|>", mutation_scale=15,
                                 color=colour, lw=0.5, shrinkA=0, shrinkB=0))  # fmt: skip
    ha = "left" if name == "question" else "center"
    ax.text(
        *((1.06 if name == "question" else 1.13) * np.asarray(end)), name, color=colour, ha=ha, va="center", fontsize=12
    )


def direction(angle):
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])


def meanings(ax):
    """Draw question and films as directions close to one another, and the two means."""
    for name, angle in FILMS.items():
        arrow(ax, direction(angle), ORANGE, name)
    arrow(ax, direction(QUESTION), BLUE, "question")
    for angle, colour in ((MEAN_FILM, ORANGE), (MEAN_QUESTION, BLUE)):
        arrow(ax, 0.72 * direction(angle), colour, "", dotted=True)
    ax.text(
        0.02, -0.22, "dotted: what all films, and all questions,\nhave in common", color=GREY, fontsize=10.5, va="top"
    )
    ax.set(xlim=(-0.25, 1.75), ylim=(-0.62, 1.25), aspect="equal", title="… a space of meanings …")
    ax.axis("off")
    ax.set_anchor("N")


def centred(ax):
    """Sketch the same directions less their means, scaled to one length."""
    # A sketch: the plane has too few directions to subtract in; the angles show what is near to what.
    rest = {"question": direction(-18.0), "A": direction(-38.0), "C": direction(95.0), "B": direction(150.0)}
    for name, end in rest.items():
        arrow(ax, end, BLUE if name == "question" else ORANGE, name)
    ax.set(xlim=(-1.3, 1.9), ylim=(-1.1, 1.35), aspect="equal", title="… and without what all share")
    ax.axis("off")
    ax.set_anchor("N")


def draw():
    fig, (left, middle, right) = figure(1, 3, width=10.5, height=3.9, width_ratios=[1.15, 1, 1])
    words(left)
    meanings(middle)
    centred(right)
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
