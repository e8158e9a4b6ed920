"""Draw figures/09_idea.png: the weights that three readers give to the choices of one history."""

from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, SKY, figure, png

FILMS = ["A", "B", "C", "D", "E"]
N = len(FILMS)


def weights():
    """Return what each reader gives to choice s after choice t, [t, s], by its name: 0 above the diagonal."""
    later = np.triu(np.ones((N, N)), 1).astype(bool)
    age = np.arange(N)[:, None] - np.arange(N)
    vectors = np.array([[1.6, 0.0], [0.2, 1.5], [1.5, 0.6], [-0.7, 1.2], [1.4, 0.2]])
    match = np.exp(1.3 * vectors @ vectors.T / np.sqrt(2))
    match[later] = 0
    parts = {
        "a set\nall alike": np.ones((N, N)),
        "recency\nhalved every choice": 0.5 ** age.clip(0),
        "attention\nby match with the latest": match / match.sum(axis=1, keepdims=True),
    }
    return {name: np.where(later, 0, part) for name, part in parts.items()}


def triangle(ax, x, name, colour, values):
    """Draw one reader as a triangle of shaded cells; what lies in the future is hatched."""
    for t in range(N):
        for s in range(N):
            place = (x + s, N - t - 1)
            if s > t:
                ax.add_patch(Rectangle(place, 0.92, 0.92, fc="white", ec=FAINT, hatch="////", lw=0.6))
            else:
                ax.add_patch(Rectangle(place, 0.92, 0.92, color=FAINT, lw=0))
                ax.add_patch(Rectangle(place, 0.92, 0.92, color=colour, alpha=values[t, s] / values[t].max(), lw=0))
    for s, film in enumerate(FILMS):
        ax.text(x + s + 0.46, N + 0.15, film, ha="center", va="bottom", color=INK, fontsize=10)
    ax.text(x + N / 2, N + 1.0, name, ha="center", va="bottom", color=colour, fontsize=10.5, fontweight="bold")


def draw():
    fig, ax = figure(width=9.4, height=3.5)
    for n, ((name, values), colour) in enumerate(zip(weights().items(), (GREY, ORANGE, BLUE))):
        triangle(ax, 6.6 * n, name, colour, values)
    for t in range(N):
        ax.text(-0.3, N - t - 0.54, f"after {FILMS[t]}", ha="right", va="center", color=INK, fontsize=9.5)
    ax.text(-0.3, N + 0.15, "choices $s$:", ha="right", va="bottom", color=INK, fontsize=9.5)
    ax.add_patch(Rectangle((-0.08, -0.08), 2 * 6.6 + N + 0.08, 1.08, fill=False, ec=SKY, lw=2))
    start = 2 * 6.6 + N + 0.2
    ax.add_patch(FancyArrowPatch((start, 0.46), (start + 1.2, 0.46), arrowstyle="-|>", mutation_scale=14, color=SKY))
    ax.text(start + 1.4, 0.46, "$h_t$, then a score\nof every film", va="center", color=INK, fontsize=9.5)
    ax.text(start + 0.2, 3.4, "hatched: the future,\nmasked", va="center", color=GREY, fontsize=9.5)
    told = "Darker: the choice counts more. A row is one moment of the history A, B, C, D, E."
    ax.text(-0.3, -0.75, told, color=GREY, fontsize=9.5)
    ax.set(xlim=(-2.6, start + 6.2), ylim=(-1.0, N + 2.3), aspect="equal")
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
