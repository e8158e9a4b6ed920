"""Draw figures/10_idea.png: two uses of a language model, to write a text and to answer a question."""

from pathlib import Path

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, SKY, figure, png


def box(ax, x, y, width, text, colour, *, height=1.0, fill="white"):
    style = "round,pad=0.02,rounding_size=0.12"
    ax.add_patch(FancyBboxPatch((x, y - height / 2), width, height, boxstyle=style, fc=fill, ec=colour, lw=1.6))
    ax.text(x + width / 2, y, text, ha="center", va="center", color=INK, fontsize=9)


def arrow(ax, start, end, colour=GREY):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color=colour, lw=1.5))


def draw():
    fig, ax = figure(width=9.4, height=4.5)
    ax.text(0, 7.9, "It writes: a text becomes content", color=BLUE, fontsize=10, fontweight="bold")
    box(ax, 0, 6.9, 3.3, "title, year, genres", BLUE)
    box(ax, 4.3, 6.9, 2.7, "language model", GREY, fill=FAINT)
    box(ax, 8.0, 6.9, 2.7, "two sentences", BLUE)
    box(ax, 11.7, 6.9, 2.4, "encoder: $z_i$", SKY)
    box(ax, 15.1, 6.9, 3.3, "bridge: score $\\hat f_{ui}$", BLUE)
    for start, end in ((3.3, 4.3), (7.0, 8.0), (10.7, 11.7), (14.1, 15.1)):
        arrow(ax, (start + 0.08, 6.9), (end - 0.08, 6.9))
    box(ax, 8.0, 5.3, 2.7, "sentences about\nanother film", GREY, height=1.15)
    arrow(ax, (10.78, 5.55), (11.9, 6.35))
    ax.text(
        12.2, 5.4, "the control: the same model,\nthe same style, the wrong film", color=GREY, fontsize=8.5, va="center"
    )

    ax.text(0, 3.9, "It answers: a probability becomes a score", color=ORANGE, fontsize=10, fontweight="bold")
    box(ax, 0, 2.8, 3.3, "films $J$ that $u$ likes\n+ film $i$: yes or no?", ORANGE, height=1.2)
    box(ax, 0, 0.9, 3.3, "nobody's films\n+ film $i$: yes or no?", GREY, height=1.2)
    box(ax, 4.3, 1.85, 2.7, "language model", GREY, fill=FAINT, height=1.2)
    box(ax, 8.2, 2.8, 3.6, "$\\log\\,p(\\mathrm{yes}\\mid J,i)/p(\\mathrm{no}\\mid J,i)$", ORANGE, height=1.1)
    box(ax, 8.2, 0.9, 3.6, "$\\log\\,p(\\mathrm{yes}\\mid i)/p(\\mathrm{no}\\mid i)$", GREY, height=1.1)
    for y, colour in ((2.8, ORANGE), (0.9, GREY)):
        arrow(ax, (3.4, y), (4.25, 1.85 + 0.3 * (1 if y > 2 else -1)), colour)
        arrow(ax, (7.08, 1.85 + 0.3 * (1 if y > 2 else -1)), (8.1, y), colour)
        arrow(ax, (11.9, y), (13.0, 1.85 + 0.12 * (1 if y > 2 else -1)), colour)
    ax.text(13.35, 1.85, "−", ha="center", va="center", color=INK, fontsize=18)
    arrow(ax, (13.7, 1.85), (14.7, 1.85), GREEN)
    box(ax, 14.8, 1.85, 3.6, "what the history adds\n(mutual information)", GREEN, height=1.2)
    ax.set(xlim=(-0.2, 18.7), ylim=(0.1, 8.3))
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
