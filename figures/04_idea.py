"""Draw figures/04_idea.png: one text and four readers: teacher, student, twin, table."""

from pathlib import Path

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from coldstart_utils.palette import BLUE, GREEN, GREY, INK, ORANGE, figure, png


def box(ax, x, y, text, colour, *, filled=True):
    style = {"facecolor": colour if filled else "white", "edgecolor": colour, "lw": 1.2}
    ax.add_patch(FancyBboxPatch((x, y), 2.6, 0.5, boxstyle="round,pad=0.02,rounding_size=0.08", **style))
    ax.text(x + 1.3, y + 0.25, text, ha="center", va="center", fontsize=8, color="white" if filled else INK)


def arrow(ax, start, end, colour, style="-"):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=colour, lw=1.5, ls=style))


def vector(ax, x, y, colour):
    for n in range(6):
        ax.add_patch(
            Rectangle((x + 0.3 * n, y), 0.26, 0.3, color=colour, alpha=(0.9, 0.3, 0.6, 0.2, 0.8, 0.45)[n], lw=0)
        )


def reader(ax, x, name, layers, colour, *, filled=True):
    ax.text(x + 1.3, 0.1, name, ha="center", color=colour, fontsize=10, fontweight="bold")
    for n, layer in enumerate(layers):
        box(ax, x, 1.0 + 0.62 * n, layer, colour, filled=filled)
    top = 1.0 + 0.62 * len(layers)
    arrow(ax, (x + 1.3, 0.55), (x + 1.3, 0.95), GREY)
    arrow(ax, (x + 1.3, top - 0.05), (x + 1.3, 5.72), GREY)
    vector(ax, x + 0.42, 5.85, colour)


def draw():
    fig, ax = figure(width=9.4, height=4.6)
    reader(ax, 0, "teacher", ["tokens → vectors", *(f"layer {n}" for n in range(1, 7))], BLUE)
    reader(ax, 4.2, "student", ["tokens → vectors", "layer 1", "layer 6"], ORANGE)
    reader(ax, 8.2, "twin", ["tokens → vectors", "layer 1", "layer 6"], GREY, filled=False)
    reader(ax, 12.2, "table", ["tokens → vectors", "sum"], GREEN)
    arrow(ax, (2.35, 6.0), (4.5, 6.0), BLUE)
    ax.text(3.4, 6.12, "be alike", ha="center", fontsize=8, color=BLUE)
    ax.text(9.7, 3.9, "learns from who\nchose the items", ha="left", fontsize=8, color=GREY)
    ax.plot([1.3, 1.3, 13.5], [6.3, 6.75, 6.75], color=BLUE, lw=1.5)
    arrow(ax, (13.5, 6.75), (13.5, 6.25), BLUE)
    ax.text(7.4, 6.85, "solved by ridge regression", ha="center", fontsize=8, color=BLUE)
    ax.set(xlim=(-0.3, 15.2), ylim=(-0.2, 7.2))
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
