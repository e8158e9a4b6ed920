"""Draw figures/12_idea.png: any catalogue goes through the same folds; four numbers place it beside others."""

from pathlib import Path

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, SKY, figure, png

WORLDS = ("films", "a shop", "news", "papers", "people, groups")
NUMBERS = ("choices an item", "words an item", "rare items", "fame")
MARKS = ("✓ ✓ ✓", "✓ · ✓", "· ✗ ✓", "✓ ✓ ·", "· – ✗")


def box(ax, x, y, width, height, text, colour, *, size=9.5, fill=0.14):
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02,rounding_size=0.08", color=colour,
                                alpha=fill, lw=0))  # fmt: skip
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=INK, fontsize=size)


def arrow(ax, start, end, colour=GREY):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, lw=1.3))


def draw():
    fig, ax = figure(width=10.5, height=3.7)
    for row, (world, marks) in enumerate(zip(WORLDS, MARKS)):
        y = 3.3 - 0.72 * row
        box(ax, 0, y, 1.5, 0.5, world, SKY, fill=0.3)
        arrow(ax, (1.6, y + 0.25), (2.45, 1.95))
        arrow(ax, (5.05, 1.95), (5.9, y + 0.25))
        box(ax, 6.0, y, 1.2, 0.5, marks, GREEN if "✗" not in marks else ORANGE)
    box(ax, 2.5, 1.15, 2.5, 1.6, "the same code:\nfive folds, equal rivals,\neight findings", BLUE)
    for row, name in enumerate(NUMBERS):
        y = 3.1 - 0.9 * row
        box(ax, 8.3, y, 1.75, 0.5, name, FAINT, fill=0.7, size=9)
        ax.plot([10.25, 11.75], [y + 0.25] * 2, color=FAINT, lw=4, solid_capstyle="round")
        ax.plot(10.45 + 0.34 * row, y + 0.25, "o", color=ORANGE, ms=8)
    ax.text(0.75, 4.05, "folders", ha="center", color=GREY, fontsize=9.5)
    ax.text(3.75, 4.05, "a study", ha="center", color=GREY, fontsize=9.5)
    ax.text(6.6, 4.05, "what holds", ha="center", color=GREY, fontsize=9.5)
    ax.text(10.0, 4.05, "your catalogue beside the nine", ha="center", color=GREY, fontsize=9.5)
    arrow(ax, (8.15, 1.95), (7.35, 1.95), ORANGE)
    ax.set(xlim=(-0.1, 11.95), ylim=(0.1, 4.35))
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw()))
