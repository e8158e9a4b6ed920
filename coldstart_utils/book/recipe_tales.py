"""What is told of the recipe without knobs: new users, what else was tried, and where it falls short."""

from __future__ import annotations

import pandas as pd

from ..measure import study
from ..measure.phrases import signed
from .world_tales import hindsight


def new_users_best(rows: pd.DataFrame, recipe: str) -> pd.DataFrame:
    """Return the table of `hindsight` for each number k of choices that new users reveal, with a column `k`."""
    parts = [hindsight(part, recipe).assign(k=k) for k, part in rows.groupby("k")]
    return pd.concat(parts) if parts else pd.DataFrame(columns=["k", "best rival", "difference", "answer"])


def told_new_users(table: pd.DataFrame) -> str:
    """Return for each k how the recipe for new users does against the best rival of hindsight in each world."""
    lines = []
    for k, part in table.groupby("k"):
        ahead, behind = (", ".join(part.index[part["answer"] == said]) for said in ("Yes", "No, the reverse"))
        lowest = part["difference"].astype(float)
        lines.append(
            f"- {k} choice{'' if k == 1 else 's'} ({len(part)} worlds): shown ahead in {ahead or 'none'}, behind in "
            f"{behind or 'none'}; mean lead {signed(lowest.mean())}, lowest {signed(lowest.min())} in "
            f"{lowest.idxmin()} ({part['best rival'][lowest.idxmin()]})."
        )
    return "\n".join(lines)


def parts_compared(rows: pd.DataFrame, chosen: str, metric: str = "ndcg") -> pd.DataFrame:
    """Return the `study.compare` row of each variant in each world against the recipe as it chose, with the world.

    Holm's correction is over all variants and worlds.
    """
    parts = [
        study.compare(part, chosen, metric=metric).drop(index=chosen).assign(world=world)
        for world, part in rows.groupby("world", sort=False)
    ]
    return study.answered(pd.concat(parts)) if parts else pd.DataFrame()


def told_parts(rows: pd.DataFrame, chosen: str) -> str:
    """Return for each variant of the recipe its mean difference, the worlds at both ends, and where it is shown."""
    table, lines = parts_compared(rows, chosen), []
    for variant, part in table.groupby("model", sort=False):
        by_world = part.set_index("world")
        gain = by_world["difference"].astype(float)
        ends = " to ".join(
            f"{signed(gain[world])} ({world})" for world in dict.fromkeys((gain.idxmin(), gain.idxmax()))
        )
        shown = {what: ", ".join(by_world.index[by_world[what]]) for what in ("better", "worse")}
        said = "; ".join(f"shown {what} in {where}" for what, where in shown.items() if where) or "nothing shown"
        lines.append(f"- {variant}: {ends}; {said}.")
    return "\n".join(lines)


def tuned_compared(rows: pd.DataFrame, came: str) -> pd.DataFrame:
    """Return the `study.compare` row of the tuned encoder in each world and way against the one as it `came`.

    Holm's correction is over all worlds and ways.
    """
    parts = [
        study.compare(part, came, metric="ndcg").drop(index=came).assign(world=world, way=way)
        for (world, way), part in rows.groupby(["world", "way"], sort=False)
    ]
    return study.answered(pd.concat(parts))


def page_of_tuned(table: pd.DataFrame, came: str) -> pd.DataFrame:
    """Return the table of `tuned_compared` for readers, worlds down, ways across."""
    parts = {}
    for way, part in table.groupby("way", sort=False):
        by_world = part.set_index("world")
        before = (by_world["mean"] - by_world["difference"].astype(float)).round(3)
        parts[way] = pd.DataFrame({came: before, "tuned": by_world["told"], "shown": by_world["answer"]})
    return pd.concat(parts, axis=1)


def told_tuned(table: pd.DataFrame, films: pd.Series) -> str:
    """Return in which worlds the tuned encoder is shown better or worse, for each way to use it."""
    lines = []
    for way, part in table.groupby("way", sort=False):
        better, worse = (", ".join(part["world"][part[shown]]) for shown in ("better", "worse"))
        mean = signed(part["difference"].astype(float).mean())
        lines.append(f"- {way}: shown better in {better or 'none'}, worse in {worse or 'none'}; on average {mean}.")
    number = f"{films.min():,} to {films.max():,}" if films.nunique() > 1 else f"{films.max():,}"
    return f"Tuned on {number} films, in {table['world'].nunique()} other worlds:\n" + "\n".join(lines)


def told_tail(rows: pd.DataFrame, recipe: str, world: str = "ml-100k") -> str:
    """Return how the recipe's recall of the less popular half of the new items compares with the best rival's."""
    means = rows[rows["world"] == world].groupby("model")[["ndcg", "tail_recall"]].mean()
    best = means["tail_recall"].drop(recipe).idxmax()
    own, other = means.loc[recipe], means.loc[best]
    answer = "behind" if own["tail_recall"] < other["tail_recall"] else "not behind"
    return (
        f"In {world} its recall of the less popular half of the new items is {own['tail_recall']:.3f}, {answer} the "
        f"{other['tail_recall']:.3f} of *{best}*. It chooses its setting by NDCG ({own['ndcg']:.3f} against "
        f"{other['ndcg']:.3f}), and there a place for an item that few want seldom pays."
    )


def told_tail_parts(parts: pd.DataFrame, world: str = "ml-100k") -> str:
    """Return the recall of the less popular half, and NDCG, with one part of the recipe changed."""
    moved = parts[parts["world"] == world].groupby("model")[["ndcg", "tail_recall"]].mean()
    ways = ("nothing for fame", "choices alone", "text vector alone")
    found = "; ".join(f"{way} {moved.loc[way, 'tail_recall']:.3f} ({moved.loc[way, 'ndcg']:.3f})" for way in ways)
    return f"The same recall (and NDCG) of the recipe with one part changed: {found}."


def told_known(rows: pd.DataFrame, recipe: str, world: str = "citeulike-a-1906") -> str:
    """Return what the recipe reaches over all users asked, and over those of whom a choice is known."""
    found = rows[(rows["world"] == world) & (rows["model"] == recipe)]
    return (
        f"In {world} it reaches {found['ndcg'].mean():.3f} over all users, and {found['ndcg_known'].mean():.3f} over "
        "those of whom a choice is known."
    )
