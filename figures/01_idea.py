"""Draw figures/01_idea.png: a text becomes pieces, a vector for each, and one vector; users are means of items."""

from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, SKY, figure, png

PIECES = ("[CLS]", "toy", "story", "comedy", "[PAD]")
SIZE = 6


def vector(ax, x, y, colour, seed, *, width=0.32, faint=False):
    """Draw a vector as a column of shaded numbers, its foot at (x, y)."""
    shades = np.random.default_rng(seed).uniform(0.25, 1, SIZE)
    for n, shade in enumerate(shades):
        style = {"fc": "white", "ec": FAINT, "lw": 1} if faint else {"fc": colour, "alpha": shade, "lw": 0}
        ax.add_patch(Rectangle((x, y + 0.34 * n), width, 0.3, **style))


def arrow(ax, start, end, colour=GREY):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color=colour, lw=1.5))


def label(ax, x, y, text, colour=INK, **style):
    ax.text(x, y, text, ha=style.pop("ha", "center"), va="center", color=colour, fontsize=9.5, **style)


def draw():
    fig, ax = figure(width=9.4, height=4.2)
    label(ax, 3.1, 6.6, "“Toy Story. Comedy.”", fontweight="bold")
    for n, piece in enumerate(PIECES):
        x, padded = 0.5 + 1.15 * n, piece == "[PAD]"
        label(ax, x + 0.16, 5.9, piece, GREY if padded else INK)
        arrow(ax, (x + 0.16, 5.65), (x + 0.16, 5.25), FAINT if padded else GREY)
        vector(ax, x, 2.0, SKY, n, faint=padded)
        label(ax, x + 0.16, 1.65, "" if padded else f"$h_{n + 1}$", BLUE)
    ax.add_patch(Rectangle((0.1, 4.35), 5.6, 0.85, fc="#EAF4FB", ec=SKY, lw=1))
    label(ax, 2.9, 4.78, "encoder: each piece looks at all others", BLUE)
    label(ax, 2.9, 0.85, "mean over the real pieces, $T=4$;\nthe mask leaves the padding out", GREY)
    arrow(ax, (5.75, 3.0), (6.75, 3.0))
    label(ax, 6.25, 3.3, "pool", GREY)
    vector(ax, 7.0, 2.0, BLUE, 11)
    label(ax, 7.16, 1.65, "$z_i$", BLUE)
    label(ax, 7.16, 4.45, "one vector\nper item", BLUE)

    for n in range(3):
        vector(ax, 9.0 + 0.5 * n, 4.1, BLUE, 20 + n, width=0.28)
    label(ax, 9.65, 6.55, "items that $u$ chose", BLUE)
    arrow(ax, (10.75, 5.1), (11.65, 5.1))
    label(ax, 11.2, 5.4, "mean", GREY)
    vector(ax, 11.9, 4.1, GREEN, 31)
    label(ax, 12.06, 6.55, "$z_u$", GREEN)
    arrow(ax, (7.6, 3.0), (11.6, 3.0))
    label(ax, 9.6, 3.25, "a new item", GREY)
    vector(ax, 11.9, 1.3, BLUE, 11)
    label(ax, 12.06, 0.95, "$z_i$", BLUE)
    arrow(ax, (12.4, 5.0), (13.3, 3.9), ORANGE)
    arrow(ax, (12.4, 2.5), (13.3, 3.4), ORANGE)
    label(ax, 13.45, 3.65, "$f_{ui}=z_u\\cdot z_i$", ORANGE, ha="left")
    ax.set(xlim=(-0.1, 15.6), ylim=(0.3, 6.9))
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
