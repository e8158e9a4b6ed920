"""Draw figures/08_idea.png: a score is the sum of its parts, and what it would be without an answer is another sum."""

from pathlib import Path

import numpy as np
from matplotlib.patches import FancyArrowPatch

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, figure, png

V = np.array([[0.9, 0.2], [0.1, 0.9]])  # films Arc and Cog
DEW = np.array([0.7, 0.8])
M, C, NOISE = np.array([0.3, 0.4]), 0.2 * np.eye(2), 0.1
Y = np.array([1.0, 0.0])


def adds(said):
    """Return what each answer in `said` adds to the score of Dew, and the score."""
    left = np.linalg.inv(np.linalg.inv(C) + V[said].T @ V[said] / NOISE)
    parts = (V[said] @ left @ DEW) * (Y[said] - V[said] @ M) / NOISE
    return parts, float(DEW @ M + parts.sum())


def signed(value):
    return f"{value:+.3f}".replace("-", "−").replace("0.", ".", 1)


def parts(ax):
    """Draw the score of Dew as a staircase: what was believed before, and one step an answer."""
    steps, score = adds([0, 1])
    names, colours, begin = ["before any answer", "Arc: yes", "Cog: no"], (GREY, BLUE, ORANGE), 0.0
    for row, (step, colour) in enumerate(zip((float(DEW @ M), *steps), colours)):
        ax.barh(row, step, left=begin, color=colour, height=0.55, lw=0)
        text = f"{step:.3f}" if row == 0 else signed(step)
        ax.text(begin + step / 2, row, text, color="white", ha="center", va="center", fontsize=10, weight="bold")
        begin += step
        ax.plot([begin, begin], [row - 0.28, row + 1.28], color=GREY, lw=0.8)
    ax.barh(3, score, color=INK, height=0.55, lw=0)
    ax.text(score / 2, 3, f"{score:.3f}", color="white", ha="center", va="center", fontsize=10, weight="bold")
    ax.set_yticks(range(4), [*names, "the score of Dew"])
    ax.set(ylim=(3.6, -0.6), xlim=(0, 0.95), xticks=[], title="The parts of one score add up")
    ax.tick_params(axis="y", length=0)
    ax.spines[["bottom", "left"]].set_visible(False)


def worlds(ax):
    """Draw the score of Dew in three worlds: with both answers, and with each of them never given."""
    (part_a, part_c), score = adds([0, 1])
    others = (("Arc never asked", adds([1])[1], BLUE, part_a), ("Cog never asked", adds([0])[1], ORANGE, part_c))
    ax.plot([score, score], [-0.4, 2.45], color=FAINT, lw=1.5, zorder=0)
    ax.plot(score, 0, "o", color=INK, ms=9)
    ax.annotate(f"{score:.3f}", (score, 0), (0, 10), textcoords="offset points", ha="center", fontsize=10, color=INK)
    for row, (_, value, colour, part) in enumerate(others, 1):
        arrow = {"arrowstyle": "-|>", "mutation_scale": 13, "lw": 2, "shrinkA": 0, "shrinkB": 5}
        ax.add_patch(FancyArrowPatch((score, row), (value, row), color=colour, **arrow))
        ax.plot(value, row, "o", color=colour, ms=9)
        side, ha = (-0.012, "right") if value < score else (0.012, "left")
        text = f"effect {signed(score - value)}, but its part {signed(part)}"
        ax.text(score + side, row + 0.3, text, ha=ha, va="center", fontsize=9.5, color=colour)
        ax.annotate(f"{value:.3f}", (value, row), (0, 10), textcoords="offset points", ha="center", fontsize=10,
                    color=colour)  # fmt: skip
    ax.set_yticks(range(3), ["both answers", *(name for name, *_ in others)])
    ax.set(ylim=(2.6, -0.6), xlim=(0.05, 1.17), xticks=[], title="Without one answer the sum is another")
    ax.set_xlabel("score of Dew →", loc="right", color=GREY)
    ax.tick_params(axis="y", length=0)
    ax.spines[["bottom", "left"]].set_visible(False)


def draw():
    fig, (left, right) = figure(1, 2, width=9.8, height=3.1, width_ratios=[1, 1.15])
    parts(left)
    worlds(right)
    left.set_xlabel("score of Dew →", loc="right", color=GREY)
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
