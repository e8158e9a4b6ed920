"""Draw figures/14_idea.png: what each machine sums and what travels, and the job from rows to lists."""

from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from coldstart_utils.models.summed import moments, ridge_from
from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure, png

# The example of section 1 of the chapter.
PARTS = [("machine 1", [(0, 1), (1, 2)]), ("machine 2", [(2, 6)])]


def box(ax, x, y, width, height, text, colour, size=9):
    ax.add_patch(Rectangle((x, y), width, height, color=colour, alpha=0.18 if colour != FAINT else 0.7, lw=0))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, color=INK)


def arrow(ax, begin, end, colour=INK):
    ax.add_patch(FancyArrowPatch(begin, end, arrowstyle="-|>", mutation_scale=12, color=colour, lw=1.4))


def matrix(ax, x, y, numbers, colour):
    """Draw a 3 × 3 matrix with its lower left corner at (x, y)."""
    ax.add_patch(Rectangle((x, y), 1.8, 1.5, facecolor=colour, alpha=0.16, lw=0))
    for row in range(3):
        for column in range(3):
            text = f"{numbers[row, column]:.0f}"
            ax.text(x + 0.3 + 0.6 * column, y + 1.25 - 0.5 * row, text, ha="center", va="center", fontsize=9, color=INK)


def sums(ax):
    """Draw rows on two machines, the matrix of each, their sum, and the bridge."""
    total = 0
    for (name, pairs), y in zip(PARTS, (2.45, 0.25)):
        z, v = np.array(pairs, float).T[:, :, None]
        own = moments(z, v)
        total = total + own
        rows = "   ".join(f"({a:.0f}, {b:.0f})" for a, b in pairs)
        box(ax, 0, y, 2.5, 1.5, f"{name}\n{rows}", BLUE)
        arrow(ax, (2.55, y + 0.75), (3.35, y + 0.75))
        matrix(ax, 3.4, y, own, BLUE)
        arrow(ax, (5.3, y + 0.75), (6.55, 2.1 + (y - 1.35) * 0.2), ORANGE)
    matrix(ax, 6.6, 1.35, total, GREEN)
    arrow(ax, (8.5, 2.1), (9.3, 2.1))
    learnt = ridge_from(total, 1, 0.5)
    text = f"$v = {learnt.intercept.item():.0f} + {learnt.weights.item():.0f}\\,z$"
    box(ax, 9.4, 1.35, 2.5, 1.5, f"the bridge\n{text}", GREEN)
    ax.text(4.3, 4.2, "products of $(1, z, v)$", fontsize=8.5, color=GREY, ha="center")
    ax.text(7.5, 3.1, "their sum", fontsize=8.5, color=GREY, ha="center")
    ax.set(xlim=(-0.1, 12.1), ylim=(0, 4.5), title="Rows stay where they are; one matrix of each machine travels")
    ax.axis("off")


def job(ax):
    """Draw the steps of the job, from rows to lists."""
    box(ax, 0, 2.2, 2.1, 1.1, "choices", BLUE)
    box(ax, 0, 0.3, 2.1, 1.1, "texts", BLUE)
    box(ax, 3.1, 2.2, 2.1, 1.1, "factors\n(ALS)", BLUE)
    box(ax, 3.1, 0.3, 2.1, 1.1, "text vectors", BLUE)
    box(ax, 6.2, 1.25, 2.1, 1.1, "the bridge", GREEN)
    box(ax, 6.2, 0.0, 2.1, 0.8, "new items", GREEN)
    box(ax, 9.6, 1.25, 2.3, 1.1, "everybody's\nlist", GREEN)
    arrow(ax, (2.15, 2.75), (3.05, 2.75), ORANGE)
    arrow(ax, (2.15, 0.85), (3.05, 0.85))
    arrow(ax, (5.25, 2.6), (6.15, 2.0), ORANGE)
    arrow(ax, (5.25, 0.95), (6.15, 1.6), ORANGE)
    arrow(ax, (7.25, 1.2), (7.25, 0.85), GREEN)
    arrow(ax, (8.35, 0.4), (9.55, 1.45), ORANGE)
    arrow(ax, (5.25, 2.95), (9.9, 2.4), ORANGE)
    box(ax, 0, 4.0, 2.1, 0.7, "bad rows: quarantine", FAINT, 8)
    arrow(ax, (1.05, 3.35), (1.05, 3.95), GREY)
    ax.set(xlim=(-0.1, 12.1), ylim=(-0.2, 4.9), title="The job")
    ax.axis("off")


def draw():
    fig, (top, bottom) = figure(2, 1, width=8.6, height=6.2, height_ratios=[1, 1.05])
    sums(top)
    job(bottom)
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
