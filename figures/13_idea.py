"""Draw figures/13_idea.png: one click moves a belief, and where it passes on the way to the next list."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Ellipse, FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure, png
from coldstart_utils.serving.belief import Belief

# The example of section 1 of the chapter.
BEFORE = Belief(np.zeros(2), np.eye(2), 1.0)
V, Y = np.array([1.0, 0.0]), 1.0


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
    after, half = BEFORE.after(V, Y), np.sqrt(BEFORE.noise)
    ax.axvspan(Y - half, Y + half, color=ORANGE, alpha=0.13, lw=0)
    ax.text(1.0, -2.68, "score within\n$\\sigma$ of the yes", color=ORANGE, fontsize=10, ha="center", va="center")
    ellipse(ax, BEFORE, "before", BLUE, (-48, -4))
    ellipse(ax, after, "after", GREEN, (-2, 12))
    ax.add_patch(FancyArrowPatch((0, 0), V, arrowstyle="-|>", mutation_scale=14, color=ORANGE, lw=1.6, shrinkB=0))
    ax.text(1.12, -0.05, "$v$, the film", color=ORANGE, fontsize=10, va="center")
    turn = {"arrowstyle": "-|>", "mutation_scale": 14, "connectionstyle": "arc3,rad=0.6"}
    ax.add_patch(FancyArrowPatch(BEFORE.mean, after.mean, color=INK, lw=1.3, **turn))
    ax.set(xlim=(-2.4, 2.4), ylim=(-3.0, 2.3), xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2], aspect="equal")
    ax.set(title="One click moves a belief …", xlabel="first number, space", ylabel="second number, romance")


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
    arrow(ax, (5.95, 6.95), (5.95, 5.65), GREEN, "rank-one update", (7.35, 6.3))
    box(ax, 8.8, 4.1, "the next list", GREEN)
    arrow(ax, (7.55, 4.85), (8.75, 4.85), GREEN)
    box(ax, 0, 1.2, "learning, in a\nprocess of its own", FAINT)
    box(ax, 4.4, 1.2, "model, version n + 1", FAINT)
    arrow(ax, (4.35, 7.2), (1.6, 2.75), GREY, "all events", (2.1, 5.2))
    arrow(ax, (3.15, 1.95), (4.35, 1.95), GREY)
    arrow(ax, (5.95, 2.75), (5.95, 4.05), GREY, "swapped in whole", (7.4, 3.4))
    ax.set(xlim=(-0.2, 12.1), ylim=(0.7, 9), title="… on its way to the next list")
    ax.axis("off")


def draw():
    fig, (left, right) = figure(1, 2, width=9.8, height=4.0, width_ratios=[1, 1.5])
    plane(left)
    flow(right)
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
