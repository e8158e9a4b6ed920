"""What is told of other worlds: tables of the looks, and sentences that follow the numbers."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from ..measure import claims, study
from ..measure.phrases import listed, told

PREDICTED = {
    "bridge": "lead of the bridge over neighbours",
    "title": "lead of the model's title over TF-IDF",
    "posterior": "lead of both over the better part",
    "ceiling": "lead of the oracle of fame over content",
}


def told_traits(traits: pd.DataFrame) -> str:
    """Return where one list reaches furthest and least, and the range of the other numbers, in sentences."""
    fame, rare = traits["fame"], traits["rare"]
    words, choices = traits["words an item"], traits["choices an item"]
    return (
        f"**In {fame.idxmax()}** ({fame.max():.2f}); least in {fame.idxmin()} ({fame.min():.2f}). "
        f"From {rare.min():.0%} to {rare.max():.0%} of the items are rare; an item has {words.min():.0f} to "
        f"{words.max():.0f} words and {choices.min():.0f} to {choices.max():.0f} choices."
    )


def in_order(answers: pd.DataFrame, order: Collection[str]) -> pd.DataFrame:
    """Return the rows of `claims.answers` with worlds in the `order` given, those not in it last."""
    place = {world: number for number, world in enumerate(order)}
    return answers.sort_values("world", key=lambda names: names.map(place).fillna(len(place)), kind="stable")


def held_everywhere(answers: pd.DataFrame) -> list[str]:
    """Return the claims that are shown in every world in which they can be asked."""
    return [name for name, part in answers.groupby("claim", sort=False) if part["better"].all()]


def told_answers(answers: pd.DataFrame, here: Collection[str]) -> str:
    """Return which claims are shown everywhere, and which are reversed where, in sentences."""
    everywhere = [claims.CLAIMS[name].said for name in held_everywhere(answers)]
    turned = answers[answers["worse"]].groupby("claim", sort=False)["world"].agg(", ".join)
    reverse = "; ".join(f"{claims.CLAIMS[name].said}: in {where}" for name, where in turned.items())
    measured = [world for world in dict.fromkeys(answers["world"]) if world in here]
    return (
        f"**Shown in every world that can be asked: {len(everywhere)}** ({'; '.join(everywhere) or 'none'}). "
        f"**The reverse is shown:** {reverse or 'nowhere'}. "
        f"Measured here: {', '.join(measured)}; the others are recorded."
    )


def reached(answers: pd.DataFrame) -> pd.DataFrame:
    """Return worlds × claims with the mean that leads by the claim and, behind a stroke, that of its rival."""
    text = [f"{row['mean']:.3f} / {row['rival']:.3f}" for _, row in answers.iterrows()]
    wide = answers.assign(text=text).pivot(index="world", columns="claim", values="text").fillna("–")
    wide = wide.loc[list(dict.fromkeys(answers["world"])), [name for name in claims.CLAIMS if name in wide]]
    return wide.rename_axis(index=None, columns=None)


def compared(rows: pd.DataFrame, metric: str, baseline: str) -> pd.DataFrame:
    """Return the `study.compare` table over folds of the rows of a look with this metric."""
    return study.compare(rows[rows["metric"] == metric].rename(columns={"value": metric}), baseline, metric=metric)


def _wide(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    part = rows[rows["metric"].str.startswith(f"{kind} ")]
    return part.pivot_table(index="model", columns="metric", values="value").rename(
        columns=lambda c: c[len(kind) + 1 :]
    )


def told_shop(rows: pd.DataFrame) -> str:
    """Return what price, words and baskets add to a text, what a variant is worth, and when customers come."""
    added, recall = compared(rows, "ndcg", "text"), _wide(rows, "recall").loc["text"]
    late, days = _wide(rows, "latest").loc["text"], _wide(rows, "days")["median"]
    against = told(late["difference"], late["diff_low"], late["diff_high"])
    return (
        f"**Compared with text alone ({added['mean']['text']:.3f}):** {listed(added)}. Recall of new products of "
        f"which a variant is known: {recall['variant known']:.3f}, of others {recall['no variant']:.3f}. **In time**, "
        f"for products first sold in the last fifth of the record, the bridge reaches {late['mean']:.3f}, against "
        f"neighbours {against} (customers resampled). **Content is alone for a while:** the fifth customer comes "
        f"{days['5 customers']:.0f} days after the first sale (median), the twentieth {days['20 customers']:.0f} days."
    )


def compared_news(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the `compared` tables of 'trying' for each world, one below the other, with a column `world`."""
    parts = [compared(part, "found", "trying").assign(world=world) for world, part in rows.groupby("world", sort=False)]
    return pd.concat(parts, ignore_index=True)


def told_news(rows: pd.DataFrame) -> str:
    """Return for each world which share of new items found their takers by which policy, one line a world."""
    lines = []
    for world, part in rows.groupby("world", sort=False):
        table = compared(part, "found", "trying")
        shares = ", ".join(f"{name} {value:.0%}" for name, value in table["mean"].items())
        lines.append(
            f"- **{world}**: {shares}. Compared with trying: text {table.told['text']}, both "
            f"{table.told['trying, from text']}."
        )
    return "\n".join(lines)


def best_of(table: pd.DataFrame) -> str:
    """Return the model with the highest mean of a `study.compare` table."""
    return str(table["mean"].idxmax())


def told_people(friends: pd.DataFrame, topics: pd.DataFrame) -> str:
    """Return what finds friends and topics best, and all leads over everybody's list."""
    return " ".join(
        f"**{name}: {best_of(table)}** ({table['mean'].max():.3f}; everybody's list {table['mean'].iloc[0]:.3f}). "
        f"Compared with that list: {listed(table)}."
        for name, table in (("Friends", friends), ("Topics", topics))
    )


def told_crossing(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return from how many items the bridge was learnt, and how its rivals compare with it."""
    films = int(rows[rows["metric"] == "films"]["value"].iloc[0])
    return f"The bridge was learnt on {films:,} other films. **Compared with it:** {listed(table)}."


def told_hindsight(rows: pd.DataFrame) -> str:
    """Return for each world what the words of an item's own audience add to the bridge, which a new item has not."""
    parts = []
    for world, part in rows.groupby("world", sort=False):
        table = compared(part, "ndcg", "without")
        parts.append(f"in {world} {table['mean']['with hindsight']:.3f} instead of {table['mean']['without']:.3f}")
    return f"With hindsight in its text the bridge *seems* to reach NDCG@20 {'; '.join(parts)}."


def told_halves(page: pd.DataFrame) -> str:
    """Return which number foretells its claim most clearly, by rank correlation."""
    if page.empty:
        return "Too few worlds were asked to tell."
    row = page.loc[page["correlation"].abs().idxmax()]
    return (
        f"The clearest hint: **{row['number']}** and the {PREDICTED[row['claim']]} (rank correlation "
        f"{row['correlation']:+.2f} over {row['worlds']} worlds)."
    )


def hindsight(rivals: pd.DataFrame, recipe: str) -> pd.DataFrame:
    """Return for each world the recipe beside the rival that is best there, chosen in hindsight.

    `rivals` has one row for each world, model and fold (`ndcg`). Columns: best rival, what it and the recipe reach, the
    difference, the same with its 95 % interval over folds as text, and whether it is shown (over the worlds, by Holm).
    """
    rows = {}
    for world, part in rivals.groupby("world", sort=False):
        means = part.groupby("model")["ndcg"].mean().astype(float)
        others = means.drop(recipe, errors="ignore")
        if recipe in means and len(others):
            best = others.idxmax()
            row = study.compare(part[part["model"].isin([best, recipe])], best).loc[recipe]
            rows[world] = pd.concat([row, pd.Series({"best rival": best, "it reaches": means[best]})])
    columns = ["best rival", "it reaches", "mean", "difference", "told", "answer"]
    if not rows:
        return pd.DataFrame(columns=columns)
    table = study.answered(pd.DataFrame(rows).T.infer_objects())
    return table[columns].rename(columns={"mean": "recipe"})


def told_hindsight_best(table: pd.DataFrame) -> str:
    """Return where the recipe is behind the best rival of hindsight, and its mean lead, in sentences."""
    if table.empty:
        return "Nothing is recorded yet: `python -m coldstart_utils.data.rivals` measures it."
    behind = table[table["difference"] < 0].sort_values("difference")
    worlds = ", ".join(f"{world} {row.told} ({row['best rival']})" for world, row in behind.iterrows())
    return (
        f"**Recorded in {len(table)} worlds; the mean lead over hindsight's best is "
        f"{table['difference'].mean():+.3f}.** Behind it: {worlds or 'nowhere'}."
    )
