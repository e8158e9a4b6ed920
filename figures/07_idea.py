"""Draw figures/07_idea.png: a guess from text and two answers become one factor, in two dimensions."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Ellipse, FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure, png

MU, SIGMA = np.array([0.35, 0.95]), np.array([[0.16, 0.05], [0.05, 0.09]])
V, Y, NOISE = np.array([[1.0, 0.15], [0.75, 0.7]]), np.array([1.0, 1.0]), 0.04


def ellipse(ax, mean, covariance, colour):
    values, axes = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    for size, alpha in ((2, 0.35), (4, 0.18)):
        width, height = size * np.sqrt(values[::-1])
        ax.add_patch(Ellipse(mean, width, height, angle=angle, color=colour, alpha=alpha, lw=0))
    ax.plot(*mean, "o", color=colour, ms=7)


def plane(ax):
    """Draw the belief before, the band of factors that each answer allows, and the belief after."""
    after = np.linalg.inv(np.linalg.inv(SIGMA) + V.T @ V / NOISE)
    best = after @ (np.linalg.solve(SIGMA, MU) + V.T @ Y / NOISE)
    x = np.linspace(-0.6, 2.0, 2)
    for n, (v, y) in enumerate(zip(V, Y), 1):
        middle, half = (y - v[0] * x) / v[1], np.sqrt(NOISE) / v[1]
        ax.fill_between(x, middle - half, middle + half, color=ORANGE, alpha=0.16, lw=0)
        ax.plot(x, middle, color=ORANGE, lw=1)
        at = np.array([[1.12, -0.42], [1.42, 0.12]][n - 1])
        ax.text(*at, f"$u\\cdot v_{n}=1$", color=ORANGE, fontsize=10, ha="left", va="center")
    ellipse(ax, MU, SIGMA, BLUE)
    ellipse(ax, best, after, GREEN)
    ax.annotate("the guess $m$,\nfrom text", MU, (-92, 4), textcoords="offset points", color=BLUE, fontsize=10)
    ax.annotate("the posterior $\\hat u$", best, (60, 30), textcoords="offset points", color=GREEN, fontsize=10,
                arrowprops={"arrowstyle": "-", "color": GREEN, "lw": 1})  # fmt: skip
    ax.add_patch(
        FancyArrowPatch(MU, best, arrowstyle="-|>", mutation_scale=14, color=INK, lw=1.3, shrinkA=6, shrinkB=6)
    )
    ax.set(xlim=(-0.6, 2.0), ylim=(-0.7, 1.9), xticks=[], yticks=[], title="… meet as one factor")
    ax.set(xlabel="first number of the factor", ylabel="second number")


def flow(ax):
    """Draw where the guess and the answers come from."""
    box = {"va": "center", "ha": "center", "fontsize": 9.5}
    ax.add_patch(Rectangle((0, 7.4), 4.2, 1.7, color=BLUE, alpha=0.16, lw=0))
    ax.text(2.1, 8.25, "text of the new film", color=INK, **box)
    ax.add_patch(Rectangle((6.6, 7.4), 5.2, 1.7, color=BLUE, alpha=0.16, lw=0))
    ax.text(9.2, 8.25, "guess $m$, and $C$:\nhow such guesses miss", color=BLUE, **box)
    ax.text(5.4, 8.85, "bridge", color=GREY, fontsize=8.5, ha="center")
    ax.add_patch(FancyArrowPatch((4.3, 8.25), (6.5, 8.25), arrowstyle="-|>", mutation_scale=13, color=BLUE, lw=1.5))
    for row in range(6):
        asked = row in (1, 4)
        y = 5.4 - row * 0.85
        for column in range(3):
            ax.add_patch(Rectangle((1.6 + 0.85 * column, y), 0.75, 0.75, color=ORANGE if asked else FAINT, lw=0))
        text, colour = ("1", ORANGE) if asked else ("silent", GREY)
        ax.text(0.75, y + 0.37, text, color=colour, fontsize=11 if asked else 8.5, va="center", ha="center",
                weight="bold" if asked else "normal")  # fmt: skip
    ax.text(2.8, 6.42, "users' factors $V$", color=INK, fontsize=9.5, ha="center")
    ax.add_patch(Rectangle((6.6, 3.6), 5.2, 1.7, color=ORANGE, alpha=0.16, lw=0))
    ax.text(9.2, 4.45, "evidence: $k$ answers,\neach worth $1/\\sigma^2$", color=ORANGE, **box)
    ax.add_patch(Rectangle((6.6, 1.1), 5.2, 1.7, color=FAINT, alpha=0.6, lw=0))
    ax.text(9.2, 1.95, "silence of the others,\neach worth $\\omega/\\sigma^2$", color=GREY, **box)
    for end, colour in ((4.45, ORANGE), (1.95, GREY)):
        ax.add_patch(FancyArrowPatch((4.3, 3.4), (6.5, end), arrowstyle="-|>", mutation_scale=13, color=colour, lw=1.5))
    ax.set(xlim=(-0.2, 12.2), ylim=(0.6, 9.6), title="What is guessed and what is heard …")
    ax.axis("off")


def draw():
    fig, (left, right) = figure(1, 2, width=9.8, height=4.2, width_ratios=[1.25, 1])
    flow(left)
    plane(right)
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
