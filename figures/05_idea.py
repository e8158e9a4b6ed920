"""Draw figures/05_idea.png: where each of the five methods takes hold on the way from content to a list."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, SKY, figure, png

ITEMS, NEW = 7, 2
KINDS = (("text", BLUE, 6, 1), ("words", SKY, 8, 2), ("facts", GREEN, 7, 3), ("tags", PURPLE, 4, 4))


def cells(ax, x, y, values, colour, size):
    """Draw a matrix of `values` in 0 … 1 with its upper left corner at (x, y)."""
    for (row, column), value in np.ndenumerate(values):
        corner = (x + size * column, y - size * (row + 1))
        ax.add_patch(Rectangle(corner, 0.92 * size, 0.92 * size, color=FAINT, lw=0))
        ax.add_patch(Rectangle(corner, 0.92 * size, 0.92 * size, color=colour, alpha=float(value), lw=0))


def arrow(ax, start, end, bend=0.0):
    style = {"arrowstyle": "-|>", "mutation_scale": 12, "color": GREY, "lw": 1.3}
    ax.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", **style))


def badge(ax, x, y, number):
    ax.add_patch(Circle((x, y), 0.42, color=ORANGE, lw=0, zorder=5))
    ax.text(x, y - 0.02, str(number), ha="center", va="center", color="white", fontsize=10, weight="bold", zorder=6)


def draw():
    fig, ax = figure(width=9.8, height=5.0)
    rng = np.random.default_rng(5)
    taste, size, total = rng.random((ITEMS, 3)) ** 2, 0.34, np.zeros((ITEMS, ITEMS))
    for n, (name, colour, width, seed) in enumerate(KINDS):
        y = 12.2 - 3.05 * n
        own = np.random.default_rng(seed)
        Z = np.clip(taste @ own.random((3, width)) + 0.5 * own.random((ITEMS, width)) - 0.35, 0, 1)
        K = Z @ Z.T / np.sqrt(np.outer((Z**2).sum(1), (Z**2).sum(1)))
        K = np.clip((K - 0.5) / 0.5, 0.05, 1)
        total += K
        cells(ax, 1.6, y, Z, colour, size)
        cells(ax, 6.4, y, K, colour, size)
        ax.text(1.3, y - 1.2, name, ha="right", va="center", color=colour, fontsize=11, weight="bold")
        arrow(ax, (1.6 + size * width + 0.15, y - 1.2), (6.25, y - 1.2))
        arrow(ax, (8.95, y - 1.2), (11.5, 7.15 - 0.35 * (n - 1.5)), bend=0.0)
        above = y - 0.85 if n < 2 else y - 2.0
        ax.text(9.15, above, f"$\\times\\,\\eta_{{{n + 1}}}$", ha="left", va="bottom", color=INK, fontsize=11)
    y, big = 9.2, 0.56
    cells(ax, 11.7, y, (total - total.min()) / np.ptp(total), INK, big)
    edge = 11.7 + big * (ITEMS - NEW) - 0.04
    ax.plot([edge, edge], [y - big * ITEMS - 0.2, y + 0.2], color=ORANGE, lw=1.5)
    ax.plot([11.5, 11.7 + big * ITEMS + 0.2], [y - big * (ITEMS - NEW) - 0.0] * 2, color=ORANGE, lw=1.5)
    ax.text(11.7 + big * 2.5, y + 0.25, "known", ha="center", va="bottom", color=INK, fontsize=9)
    ax.text(11.7 + big * 6, y + 0.25, "new", ha="center", va="bottom", color=ORANGE, fontsize=9)
    ax.text(11.7 + big * 3.5, y - big * ITEMS - 0.35, "one kernel: who is\nlike whom, in all",
            ha="center", va="top", color=INK, fontsize=9)  # fmt: skip
    arrow(ax, (11.7 + big * ITEMS + 0.3, 7.2), (18.9, 7.2))
    ax.text(17.35, 7.45, "ridge from the\nteacher’s scores", ha="center", va="bottom", color=INK, fontsize=9)
    scores = np.random.default_rng(3).random((4, NEW)) * 0.9 + 0.1
    cells(ax, 19.1, 8.5, scores, ORANGE, 0.65)
    ax.text(19.75, 8.7, "scores", ha="center", va="bottom", color=ORANGE, fontsize=9)
    ax.text(19.75, 5.7, "each user ×\neach new item", ha="center", va="top", color=INK, fontsize=9)
    arrow(ax, (20.6, 7.2), (22.3, 7.2))
    for place in range(4):
        ax.add_patch(Rectangle((22.5, 7.95 - 0.65 * place), 2.2 - 0.35 * place, 0.5, color=ORANGE, alpha=0.85, lw=0))
    ax.text(23.5, 8.7, "a list", ha="center", va="bottom", color=ORANGE, fontsize=9)
    ax.text(1.6, 12.55, "features of the items", ha="left", va="bottom", color=INK, fontsize=9)
    ax.text(6.4, 12.55, "alike in this?", ha="left", va="bottom", color=INK, fontsize=9)

    ax.plot([1.6 + 3 * size - 0.02] * 2, [12.35, 9.7], color=ORANGE, lw=1.5, ls="--")
    badge(ax, 4.35, 12.0, 1)
    badge(ax, 4.75, 8.95, 2)
    badge(ax, 4.45, 5.9, 3)
    badge(ax, 10.9, 9.6, 4)
    badge(ax, 21.4, 8.0, 5)
    notes = ("1  fewer dimensions of a vector", "2  more text about each item", "3  facts from a graph",
             "4  several kinds of signal, joined in one kernel", "5  the list, ranked in another way")  # fmt: skip
    for n, note in enumerate(notes):
        ax.text(15.2, 3.4 - 0.72 * n, note, ha="left", va="center", color=ORANGE, fontsize=9.5)
    ax.set(xlim=(-0.4, 25.0), ylim=(0.0, 13.3), aspect="equal")
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
