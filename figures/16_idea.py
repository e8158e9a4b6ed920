"""Draw three small pictures: a log reweighted, a penalty that acts in one direction, a text that lifts its film."""

from pathlib import Path

import numpy as np

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure, png

# What was shown, with which chance, by which policy it is asked now, and whether it was clicked.
LOG = (("A", 0.8, 0.4, 1), ("B", 0.2, 0.6, 0), ("A", 0.8, 0.4, 0))


def cause(ax):
    ax.set_title("Cause: another policy's log, reweighted", fontsize=10.5, loc="left")
    for row, (item, shown, asked, click) in enumerate(LOG):
        y, weight = 2 - row, asked / shown
        ax.text(0, y, f"{item}, {'click' if click else 'no click'}", va="center", fontsize=10)
        ax.text(1.75, y, f"{asked:g} / {shown:g}", va="center", fontsize=10, color=GREY)
        ax.barh(y, 0.55 * weight, left=2.95, height=0.45, color=ORANGE if weight > 1 else BLUE)
        ax.text(3.0 + 0.55 * weight + 0.08, y, f"× {weight:g}", va="center", fontsize=10)
    ax.text(1.75, 2.62, "new / old", fontsize=9, color=GREY, va="center")
    ax.text(2.95, 2.62, "weight", fontsize=9, color=GREY, va="center")
    ax.text(0, -0.75, "What the old policy rarely shows counts much, and varies much.", fontsize=9, color=GREY)
    ax.set(xlim=(0, 5.3), ylim=(-1.05, 2.9))


def fairness(ax):
    ax.set_title("Fairness: one direction is penalised", fontsize=10.5, loc="left")
    levels = {"a": (0.62, BLUE), "b": (0.38, GREEN)}
    rng = np.random.default_rng(3)
    for place, when in enumerate(("before", "with the penalty")):
        means = []
        for shift, (before, colour) in zip((0, 0.5), levels.values()):
            own = rng.uniform(-0.2, 0.2, 6) if place == 0 else saved[colour]
            if place == 0:
                own -= own.mean()
                saved[colour] = own
            level = before if place == 0 else (0.5 + (before - 0.5) * 0.2)
            x = 0.3 + 1.9 * place + shift
            ax.plot(np.full(6, x), level + own, "o", color=colour, ms=5, alpha=0.6)
            ax.plot([x - 0.16, x + 0.16], [level, level], color=colour, lw=3)
            means.append((x, level))
        x = means[1][0] + 0.27
        ax.plot([x, x], [means[0][1], means[1][1]], color=ORANGE, lw=2.5)
        ax.text(x + 0.06, sum(level for _, level in means) / 2, "gap", color=ORANGE, fontsize=9, va="center")
        ax.text(0.55 + 1.9 * place, 0.03, when, ha="center", fontsize=9.5)
    ax.text(
        0.0, -0.14, "Group means move towards each other; within a group nobody changes place.", fontsize=9, color=GREY
    )
    ax.text(0.14, 0.94, "group a", color=BLUE, fontsize=9.5)
    ax.text(0.82, 0.94, "group b", color=GREEN, fontsize=9.5)
    ax.set(xlim=(0, 3.3), ylim=(-0.22, 1.02))


def attack(ax):
    ax.set_title("Attack: a text lifts its own film", fontsize=10.5, loc="left")
    users = np.arange(8)
    cut = np.array([0.62, 0.58, 0.7, 0.66, 0.6, 0.64, 0.72, 0.57])
    honest = np.array([0.2, 0.63, 0.3, 0.26, 0.34, 0.41, 0.25, 0.38])
    ax.bar(users, honest, width=0.6, color=BLUE)
    ax.bar(users, 0.33 * np.ones(8), bottom=honest, width=0.6, color=ORANGE, alpha=0.75)
    for user, level in zip(users, cut):
        ax.plot([user - 0.4, user + 0.4], [level, level], color=INK, lw=2)
    ax.text(7.6, 0.57, "20th\nbest", fontsize=9, va="center")
    ax.text(-0.4, 1.02, "honest text", color=BLUE, fontsize=9.5)
    ax.text(2.3, 1.02, "+ words of famous films", color=ORANGE, fontsize=9.5)
    ax.text(-0.4, -0.14, "In one list before, in four after (a sketch).", fontsize=9, color=GREY)
    ax.plot([-0.45, 7.45], [0, 0], color=FAINT, lw=1)
    ax.set(xlim=(-0.5, 8.7), ylim=(-0.2, 1.12))


saved = {}


def draw():
    fig, axes = figure(3, 1, width=7, height=7.8)
    for ax, one in zip(axes, (cause, fairness, attack)):
        one(ax)
        ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
