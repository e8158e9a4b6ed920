"""Draw figures/15_idea.png: equal terms for rivals, a tie that decides, and what the mean of few users can tell."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, SKY, figure, png

RATINGS = np.array([4, 3, 4, 5, 3, 4, 4, 2, 4, 4])
SPREAD = 0.17  # of one user's precision at 5, about


def box(ax, x, y, width, height, text, colour):
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02,rounding_size=0.12", fc="white", ec=colour)
    ax.add_patch(shape)
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8, color=INK)


def arrow(ax, start, end):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=GREY, lw=1.2))


def equal_terms(ax):
    box(
        ax, -0.3, 2.6, 2.9, 2.6, "the same\nchoices, content,\nfolds, trials,\nitems that play\nnew inside a fold", BLUE
    )
    roads = ("solve\n(ridge, EASE, ALS)", "step by step\n(SGD, BPR, towers)", "copy a teacher\n(DropoutNet, ALDI)")
    for place, text in enumerate(roads):
        y = 5.2 - 2.1 * place
        box(ax, 3.5, y, 3.1, 1.4, text, ORANGE)
        arrow(ax, (2.7, 3.9), (3.45, y + 0.7))
        arrow(ax, (6.65, y + 0.7), (7.45, 3.9))
    box(ax, 7.5, 3.0, 2.5, 1.8, "all new items,\nranked for\neverybody", BLUE)
    ax.set(xlim=(-0.5, 10.2), ylim=(0.4, 7.2))
    ax.set_title("Equal terms", fontsize=10)


def ties(ax):
    relevant = torch.topk(torch.as_tensor(RATINGS, dtype=torch.float64), 5).indices.numpy()
    listed = torch.topk(torch.zeros(10, dtype=torch.float64), 5).indices.numpy()
    for y, marked, colour in ((3, relevant, BLUE), (1, listed, SKY)):
        for place, rating in enumerate(RATINGS):
            both = place in relevant and place in listed
            face = (ORANGE if both else colour) if place in marked else "white"
            ax.add_patch(Rectangle((place, y), 0.9, 0.9, fc=face, ec=FAINT if face == "white" else face))
            text = str(rating) if y == 3 else "0"
            ax.text(place + 0.45, y + 0.45, text, ha="center", va="center", fontsize=10,
                    color=INK if face == "white" else "white")  # fmt: skip
    hits = len(np.intersect1d(relevant, listed))
    ax.text(0, 4.15, "ratings of ten items: five count as relevant", fontsize=9, color=BLUE)
    ax.text(0, 2.15, "a constant: five are listed", fontsize=9, color=INK)
    ax.text(0, 0.3, f"{hits} of 5 agree, where chance gives 2.5:\none rule cut both ties", fontsize=9, color=ORANGE,
            va="center")  # fmt: skip
    ax.set(xlim=(-0.2, 10.2), ylim=(-0.3, 4.9))
    ax.set_title("A tie decides", fontsize=10)


def few_users(ax):
    x = np.linspace(0.5, 0.7, 400)
    for n, colour, height in ((582, SKY, 0.92), (58, BLUE, 0.42)):
        error = SPREAD / np.sqrt(n)
        y = height * np.exp(-0.5 * ((x - 0.6) / error) ** 2)
        ax.fill_between(x, 0, y, color=colour, alpha=0.35, lw=0)
        ax.plot(x, y, color=colour)
    ax.text(0.613, 0.75, "582 users", fontsize=9, color=SKY)
    ax.text(0.632, 0.25, "58 users", fontsize=9, color=BLUE)
    ax.plot([0.581, 0.610], [0.05, 0.05], "o", color=ORANGE)
    ax.annotate("two published\nmethods", (0.581, 0.05), (0.508, 0.32), fontsize=9, color=ORANGE,
                arrowprops={"arrowstyle": "-", "color": ORANGE})  # fmt: skip
    ax.set(xlim=(0.5, 0.7), ylim=(0, 1.05), xlabel="mean precision at 5", yticks=[])
    ax.spines["left"].set_visible(False)
    ax.set_title("What a mean of few can tell", fontsize=10)


def draw():
    fig, axes = figure(1, 3, width=10.4, height=3.4, width_ratios=[1.45, 1.1, 0.95])
    equal_terms(axes[0])
    ties(axes[1])
    few_users(axes[2])
    for ax in axes[:2]:
        ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw()))
