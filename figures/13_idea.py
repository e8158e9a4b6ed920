"""Draw figures/13_idea.png: one click moves a belief, and where it passes on the way to the next list."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Ellipse, FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure, png
from coldstart_utils.serving.belief import Belief

BEFORE = Belief(np.array([0.2, 0.2]), np.array([[0.5, 0.1], [0.1, 0.35]]), 0.1)
V, Y = np.array([1.0, 0.6]), 1.0


def ellipse(ax, belief, name, colour, at):
    values, axes = np.linalg.eigh(belief.covariance)
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    for size, alpha in ((2, 0.32), (4, 0.16)):
        width, height = size * np.sqrt(values[::-1])
        ax.add_patch(Ellipse(belief.mean, width, height, angle=angle, color=colour, alpha=alpha, lw=0))
    ax.plot(*belief.mean, "o", color=colour, ms=7)
    ax.annotate(name, belief.mean, at, textcoords="offset points", color=colour, fontsize=10)


def plane(ax):
    """Draw the belief before a click, the factors that the click allows, and the belief after."""
    after, x = BEFORE.after(V, Y), np.array([-1.4, 2.2])
    middle, half = (Y - V[0] * x) / V[1], np.sqrt(BEFORE.noise) / V[1]
    ax.fill_between(x, middle - half, middle + half, color=ORANGE, alpha=0.15, lw=0)
    ax.text(1.35, -1.02, "a yes to $v$", color=ORANGE, fontsize=10)
    ellipse(ax, BEFORE, "before", BLUE, (-52, -16))
    ellipse(ax, after, "after", GREEN, (10, 8))
    ax.add_patch(FancyArrowPatch(BEFORE.mean, after.mean, arrowstyle="-|>", mutation_scale=14, color=INK, lw=1.3))
    ax.set(xlim=(-1.4, 2.2), ylim=(-1.4, 1.9), xticks=[], yticks=[], title="One click moves a belief …")
    ax.set(xlabel="first number of the user's factor", ylabel="second number")


def box(ax, x, y, text, colour, width=3.1):
    ax.add_patch(Rectangle((x, y), width, 1.5, color=colour, alpha=0.18 if colour != FAINT else 0.7, lw=0))
    ax.text(x + width / 2, y + 0.75, text, ha="center", va="center", fontsize=9, color=INK)


def arrow(ax, begin, end, colour=INK, text="", at=(0, 0)):
    ax.add_patch(FancyArrowPatch(begin, end, arrowstyle="-|>", mutation_scale=12, color=colour, lw=1.4))
    ax.text(*at, text, fontsize=8.5, color=colour, ha="center", va="center")


def flow(ax):
    """Draw where a click passes, and learning beside it."""
    box(ax, 0, 7, "click, new film", ORANGE)
    box(ax, 4.4, 7, "on disk:\nthe log of events", ORANGE)
    box(ax, 8.8, 7, "acknowledged", ORANGE)
    arrow(ax, (3.15, 7.75), (4.35, 7.75))
    arrow(ax, (7.55, 7.75), (8.75, 7.75))
    box(ax, 4.4, 4.1, "beliefs of users,\nfactors of items", GREEN)
    arrow(ax, (5.95, 6.95), (5.95, 5.65), GREEN, "rank-one update", (7.45, 6.3))
    box(ax, 8.8, 4.1, "the next list", GREEN)
    arrow(ax, (7.55, 4.85), (8.75, 4.85), GREEN)
    box(ax, 0, 1.2, "learning, in a\nprocess of its own", FAINT)
    box(ax, 4.4, 1.2, "model, version n + 1", FAINT)
    arrow(ax, (4.35, 7.2), (1.6, 2.75), GREY, "all events", (1.75, 5.2))
    arrow(ax, (3.15, 1.95), (4.35, 1.95), GREY)
    arrow(ax, (5.95, 2.75), (5.95, 4.05), GREY, "swapped in whole", (7.55, 3.4))
    ax.set(xlim=(-0.2, 12.1), ylim=(0.7, 9), title="… on its way to the next list")
    ax.axis("off")


def draw():
    fig, (left, right) = figure(1, 2, width=9.8, height=4.0, width_ratios=[1, 1.5])
    plane(left)
    flow(right)
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
