"""Draw figures/00_idea.png: an empty column, an empty row, and what is known besides, which fills the column."""

from pathlib import Path

from matplotlib.patches import FancyArrowPatch, Rectangle

from coldstart_utils.palette import BLUE, FAINT, GREEN, GREY, INK, ORANGE, figure, png

USERS, ITEMS = ("Ann", "Ben", "Cai", "Dee"), ("A", "B", "C", "D")
CHOICES = ((1, 1, 0), (1, 0, 1), (0, 1, 1), (0, 0, 0))
WESTERN = (1, 0, 0, 1)


def cell(ax, column, row, colour, text="", ink="white", **style):
    """Draw one square of a table and what stands in it."""
    ax.add_patch(Rectangle((column + 0.04, -row - 0.96), 0.92, 0.92, fc=colour, lw=0 if not style else 1.2, **style))
    ax.text(column + 0.5, -row - 0.5, text, ha="center", va="center", color=ink, fontsize=11)


def table(ax, left, last):
    """Draw the choices from the column `left` on; `last` says what stands in the column of D."""
    for row, user in enumerate(USERS):
        ax.text(left - 0.2, -row - 0.5, user, ha="right", va="center", color=INK, fontsize=10)
        for column, chosen in enumerate(CHOICES[row]):
            cell(ax, left + column, row, BLUE if chosen else FAINT, str(chosen), "white" if chosen else GREY)
        last(left + 3, row)
    for column, item in enumerate(ITEMS):
        ax.text(left + column + 0.5, 0.15, item, ha="center", va="bottom", color=INK, fontsize=11, fontweight="bold")


def draw():
    fig, ax = figure(width=9.4, height=3.9)

    def unknown(column, row):
        cell(ax, column, row, "white", "?", GREY, ec=GREY, ls=":")

    def scored(column, row):
        score = CHOICES[row][0]
        cell(ax, column, row, ORANGE if score else "#F6DFD2", str(score), "white" if score else ORANGE)

    table(ax, 1, unknown)
    table(ax, 9, scored)
    ax.text(3, 0.95, "choices alone", ha="center", color=INK, fontsize=11, fontweight="bold")
    ax.text(11, 0.95, "choices and one fact more", ha="center", color=INK, fontsize=11, fontweight="bold")
    ax.text(5.2, -2, "D is new:\nno column\nto compare", va="center", color=GREY, fontsize=9.5)
    ax.text(0.75, -4.35, "Dee is new: no row to compare", va="center", color=GREY, fontsize=9.5)
    for column, value in enumerate(WESTERN):
        cell(ax, 9 + column, 4.3, GREEN if value else FAINT, str(value), "white" if value else GREY)
    ax.text(8.8, -4.8, "western?", ha="right", va="center", color=GREEN, fontsize=10)
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "lw": 1.6, "color": GREEN}
    ax.add_patch(FancyArrowPatch((9.5, -5.3), (12.5, -5.3), connectionstyle="arc3,rad=0.28", **style))
    ax.text(13.2, -2, "the choices of A\nare a guess\nat those of D", va="center", color=ORANGE, fontsize=9.5)
    ax.text(13.2, -5.1, "alike in content", va="center", color=GREEN, fontsize=9.5)
    ax.set(xlim=(-0.4, 16.2), ylim=(-6.3, 1.5), aspect="equal")
    ax.axis("off")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
