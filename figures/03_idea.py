"""Draw figures/03_idea.png: the pair as the unit, and the item as the unit."""

from pathlib import Path

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, SKY, figure, png


def box(ax, x, y, width, height, text, colour, ink="white"):
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.04,rounding_size=0.12", color=colour, lw=0)
    ax.add_patch(shape)
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=ink, fontsize=9)


def arrow(ax, start, end, colour=GREY):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=colour, lw=1.6))


def kernel(ax, x, y, size, out):
    """Draw a square kernel whose row and column `out` are hidden: that item plays new."""
    for row in range(size):
        for column in range(size):
            hidden = out in (row, column)
            near = max(0.15, 1 - 0.3 * abs(row - column))
            ax.add_patch(Rectangle((x + 0.5 * column, y + 0.5 * (size - 1 - row)), 0.45, 0.45, lw=1.2 if hidden else 0,
                                   ec=ORANGE, fc="white" if hidden else BLUE, alpha=1 if hidden else near))  # fmt: skip


def draw():
    fig, (left, right) = figure(1, 2, width=11.5, height=4.0, width_ratios=[0.8, 1.6])
    left.set_title("The pair is the unit")
    for n, who in enumerate(("Ann", "Ben", "Cai", "…")):
        y = 6.4 - 1.5 * n
        box(left, 0, y, 4.2, 0.9, f"{who} [SEP] Toy Story" if who != "…" else "each of its viewers", FAINT, INK)
        arrow(left, (4.35, y + 0.45), (5.3, y + 0.45))
        box(left, 5.4, y, 1.5, 0.9, "BERT", SKY)
        arrow(left, (7.05, y + 0.45), (7.8, y + 0.45))
        left.text(7.95, y + 0.45, "liked?" if who != "…" else "…", va="center", color=INK, fontsize=9)
    left.text(
        0, 0.6, "one text read once for every viewer,\none bit learnt each time", color=INK, fontsize=9, va="center"
    )
    right.set_title("The item is the unit")
    for n, name in enumerate(("Toy Story", "Alien", "Heat", "Emma", "Babe")):
        box(right, 0, 6.5 - 1.1 * n, 2.4, 0.75, name, FAINT, INK)
    arrow(right, (2.6, 4.7), (3.2, 4.7))
    box(right, 3.3, 2.1, 1.5, 5.1, "lower\nlayers\n\nfrozen,\nread once", GREY)
    arrow(right, (4.95, 4.7), (5.55, 4.7))
    box(right, 5.65, 2.1, 1.5, 5.1, "upper\nlayers\n\ntrained", ORANGE)
    arrow(right, (7.3, 4.7), (7.9, 4.7))
    right.text(8.25, 7.4, "$Z$", ha="center", color=BLUE, fontsize=11)
    for n in range(5):
        right.add_patch(Rectangle((8.0, 6.5 - 1.1 * n), 0.5, 0.75, color=BLUE, lw=0, alpha=0.75))
    arrow(right, (8.65, 4.7), (9.25, 4.7))
    kernel(right, 9.4, 3.45, 5, 2)
    right.text(10.65, 6.15, "$K=ZZ^{\\top}$", ha="center", color=BLUE, fontsize=10)
    right.text(
        10.65, 2.95, "Heat plays new:\npredicted from\nthe other four", ha="center", va="top", color=INK, fontsize=9
    )
    arrow(right, (12.05, 4.7), (12.65, 4.7))
    box(right, 12.75, 4.2, 1.9, 1.0, "$y_i-\\hat y_i$", BLUE)
    right.text(13.7, 5.75, "for all users\nat once", ha="center", color=INK, fontsize=9)
    right.plot([13.7, 13.7, 6.4], [4.05, 1.0, 1.0], color=ORANGE, lw=1.6)
    arrow(right, (6.4, 0.98), (6.4, 2.0), ORANGE)
    right.text(10.05, 0.4, "the error flows back", ha="center", va="center", color=ORANGE, fontsize=9)
    for ax, width in ((left, 9.4), (right, 14.9)):
        ax.set(xlim=(-0.1, width), ylim=(-0.2, 8))
        ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
