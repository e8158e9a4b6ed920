"""Draw the table of costs by hand: a price buys the cheapest places of all users, a quota one of each user."""

from pathlib import Path

from matplotlib.patches import FancyBboxPatch

from coldstart_utils.palette import BLUE, FAINT, GREY, INK, ORANGE, figure, png

# What a model predicts for two popular items, A and B, and two rare ones, C and D.
SCORES = {"Ann": (9, 8, 7, 1), "Ben": (9, 6, 2, 1), "Cai": (8, 7, 5, 6)}
POPULAR, RARE = (0, 1), (2, 3)


def costs(scores):
    """Return what the first and the second rare place in a list of two cost: who leaves, less who comes."""
    leave = sorted((scores[i] for i in POPULAR), reverse=False)
    come = sorted((scores[i] for i in RARE), reverse=True)
    return [(out, into, out - into) for out, into in zip(leave, come)]


def cell(ax, x, y, text, *, edge=FAINT, face="white", width=1.0, colour=INK, bold=False):
    ax.add_patch(
        FancyBboxPatch((x, y), width, 0.62, boxstyle="round,pad=0.03", lw=2 if edge != FAINT else 1, ec=edge, fc=face)
    )
    weight = "bold" if bold else "normal"
    ax.text(x + width / 2, y + 0.31, text, ha="center", va="center", color=colour, fontsize=10, fontweight=weight)


def table(ax, x, title, bought, colour):
    ax.text(x, 3.72, title, fontsize=10.5, fontweight="bold", color=colour, va="bottom")
    for place, label in enumerate(("first place", "second place")):
        ax.text(x + 0.8 + 1.8 * place, 3.32, label, fontsize=9, color=GREY, ha="center", va="bottom")
    for row, (user, own) in enumerate(SCORES.items()):
        for place, (out, into, cost) in enumerate(costs(own)):
            taken = (user, place) in bought
            cell(
                ax, x + 1.8 * place, 2.5 - row, f"{out} − {into} = {cost}", width=1.6,
                edge=colour if taken else FAINT, colour=colour if taken else GREY, bold=taken,
            )  # fmt: skip


def draw():
    fig, ax = figure(width=10, height=3.5)
    ax.set(xlim=(-0.9, 13.1), ylim=(-0.4, 4.1))
    ax.axis("off")
    ax.text(0, 3.72, "Scores", fontsize=10.5, fontweight="bold", va="bottom")
    for column, item in enumerate("ABCD"):
        ax.text(
            column + 0.4, 3.32, item, ha="center", va="bottom", color=ORANGE if column in RARE else INK, fontsize=10
        )
    for row, (user, own) in enumerate(SCORES.items()):
        ax.text(-0.2, 2.81 - row, user, ha="right", va="center", fontsize=10)
        for column, score in enumerate(own):
            cell(ax, column, 2.5 - row, str(score), width=0.8, colour=ORANGE if column in RARE else INK)
    every = sorted((cost, user, place) for user, own in SCORES.items() for place, (*_, cost) in enumerate(costs(own)))
    cheapest = {(user, place) for _, user, place in every[:3]}
    quota = {(user, 0) for user in SCORES}
    price = sum(cost for cost, user, place in every if (user, place) in cheapest)
    each = sum(cost for cost, user, place in every if (user, place) in quota)
    table(ax, 4.9, f"One price: the cheapest ({price} in all)", cheapest, BLUE)
    table(ax, 9.3, f"Quota: one of each user ({each} in all)", quota, ORANGE)
    note = "A rare place costs the score of the popular item that leaves, less that of the rare item that comes."
    ax.text(0, -0.15, note, fontsize=9.5, color=GREY, va="center")
    return fig


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(png(draw(), formulas=True))
