"""Draw figures/02_idea.png: the bridge from content to scores, read for one new film."""

from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, SKY, figure, png

WARM, COLD, USERS = 5, 2, 4


def block(ax, x, y, columns, rows, colour, seed, *, traced=None):
    """Draw a block of cells, shaded at random; `traced` is the column that the picture follows."""
    rng = np.random.default_rng(seed)
    for column in range(columns):
        for row in range(rows):
            shade = colour if rng.random() < 0.55 else FAINT
            ax.add_patch(Rectangle((x + column, y - row - 1), 0.92, 0.92, color=shade, lw=0))
    if traced is not None:
        ax.add_patch(Rectangle((x + traced - 0.06, y - rows - 0.06), 1.04, rows + 0.06, fill=False, ec=ORANGE, lw=2))


def arrow(ax, start, end):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=ORANGE, lw=1.6))


def draw():
    fig, ax = figure(width=9.4, height=4.3)
    block(ax, 0, 10, WARM, USERS, BLUE, 1)
    for column in range(COLD):
        for row in range(USERS):
            ax.add_patch(Rectangle((WARM + 0.3 + column, 10 - row - 1), 0.92, 0.92, fill=False, ec=GREY, ls=":", lw=1))
    block(ax, 0, 4.6, WARM, 3, SKY, 2)
    block(ax, WARM + 0.3, 4.6, COLD, 3, SKY, 3, traced=0)
    ax.text(WARM / 2, 10.25, "known items $\\mathcal{W}$", ha="center", color=INK, fontsize=10)
    ax.text(WARM + 0.3 + COLD / 2, 10.25, "new $\\mathcal{C}$", ha="center", color=INK, fontsize=10)
    ax.text(-0.25, 8, "users", ha="right", va="center", rotation=90, color=INK, fontsize=10)
    ax.text(-0.25, 3.1, "content", ha="right", va="center", rotation=90, color=INK, fontsize=10)
    ax.text(WARM / 2, 5.35, "the teacher's scores $F_\\mathcal{W}$", ha="center", va="bottom", color=BLUE, fontsize=9)
    ax.text(WARM + 0.3 + COLD / 2, 8, "?", ha="center", va="center", color=GREY, fontsize=22)

    weights = [0.9, 0.15, -0.25, 0.6, 0.3]
    for n, weight in enumerate(weights):
        colour = ORANGE if weight > 0 else GREY
        ax.add_patch(Rectangle((10.7 + n, 3.1), 0.72, 1.5 * weight, color=colour, lw=0))
    ax.plot([10.5, 15.6], [3.1, 3.1], color=GREY, lw=1)
    ax.text(13.1, 0.95, "how much each known item speaks for it\n$(K_\\mathcal{WW}+\\lambda I)^{-1}K_\\mathcal{WC}$",
            ha="center", va="center", color=INK, fontsize=9.5)  # fmt: skip
    block(ax, 10.6, 10, WARM, USERS, BLUE, 1)
    ax.text(13.1, 10.25, "$F_\\mathcal{W}$", ha="center", color=BLUE, fontsize=10)
    ax.text(16.35, 8, "×", ha="center", va="center", color=INK, fontsize=15)
    for n, weight in enumerate(weights):
        ax.add_patch(Rectangle((17.1, 10 - 0.8 * n - 0.8), 0.92 * weight, 0.7, lw=0,
                               color=ORANGE if weight > 0 else GREY))  # fmt: skip
    ax.text(18.4, 8, "=", ha="center", va="center", color=INK, fontsize=15)
    for row, shade in enumerate((0.95, 0.35, 0.7, 0.15)):
        ax.add_patch(Rectangle((19.1, 10 - row - 1), 0.92, 0.92, color=ORANGE, alpha=0.15 + 0.85 * shade, lw=0))
    ax.text(19.55, 10.25, "$\\hat F_\\mathcal{C}$", ha="center", color=ORANGE, fontsize=10)
    ax.text(20.3, 8, "a score for\nevery user", ha="left", va="center", color=ORANGE, fontsize=9)
    arrow(ax, (WARM + COLD + 0.6, 3.1), (10.3, 3.1))
    ax.text(9, 3.4, "alike?  $K$", ha="center", color=ORANGE, fontsize=9)
    arrow(ax, (15.0, 4.6), (17.2, 5.9))
    ax.set(xlim=(-1.2, 23), ylim=(0.3, 11), aspect="equal")
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
