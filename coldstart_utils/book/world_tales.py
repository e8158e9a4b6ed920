"""What is told of other worlds: tables of the looks, and sentences that follow the numbers."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from ..measure import claims, study
from ..measure.phrases import capital, marked, signed, told

PREDICTED = {
    "bridge": "lead of the bridge over neighbours",
    "title": "lead of the model's title over TF-IDF",
    "posterior": "lead of the posterior over its better part",
    "ceiling": "lead of the oracle of popularity over content",
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
    """Return how many claims are shown everywhere and reversed somewhere, and one line for each claim."""
    everywhere, lines = held_everywhere(answers), []
    for name, part in answers.groupby("claim", sort=False):
        turned = ", ".join(part.loc[part["worse"], "world"])
        said = claims.CLAIMS[name].said.replace("*", r"\*")
        lines.append(
            f"- *{said}*: shown in {part['better'].sum()} of {len(part)}" + f"; **reversed** in {turned}" * bool(turned)
        )
    turned_somewhere = int(answers.groupby("claim")["worse"].any().sum())
    head = (
        f"**Shown in every world that can be asked: {len(everywhere)} of {len(lines)} findings. Reversed in some "
        f"world: {turned_somewhere}.**"
    )
    if everywhere == ["tail"]:
        lines.append(
            "\nThe only one that holds everywhere is almost true by construction: places given to rare items raise the "
            "recall of rare items. Chapter 06 measures what the other items lose."
        )
    measured = [world for world in dict.fromkeys(answers["world"]) if world in here]
    lines.append(f"\nMeasured here: {', '.join(measured)}; the others are recorded.")
    return "\n".join([head, "", *lines])


def compared(rows: pd.DataFrame, metric: str, baseline: str) -> pd.DataFrame:
    """Return the `study.compare` table over folds of the rows of a look with this metric."""
    return study.compare(rows[rows["metric"] == metric].rename(columns={"value": metric}), baseline, metric=metric)


def _wide(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    part = rows[rows["metric"].str.startswith(f"{kind} ")]
    return part.pivot_table(index="model", columns="metric", values="value").rename(
        columns=lambda c: c[len(kind) + 1 :]
    )


def variants_compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Return for two models the recall of new products with a known variant, against that of the others, over folds."""
    names = {"recall variant known": "variant known", "recall no variant": "no variant"}
    parts = []
    for model in ("text", "neighbours"):
        part = rows[(rows["model"] == model) & rows["metric"].isin(names)]
        both = part.assign(model=part["metric"].map(names)).rename(columns={"value": "recall"})
        parts.append(study.compare(both, "no variant", metric="recall").loc[["variant known"]].assign(model=model))
    return study.answered(pd.concat(parts)).set_index("model", drop=False)


def told_shop(rows: pd.DataFrame) -> str:
    """Return what price and baskets add to a text, what a variant is worth, and what helps in the first days."""
    added, variant = compared(rows, "ndcg", "text"), variants_compared(rows)
    mean, answer, days = added["mean"], added["answer"], _wide(rows, "days")["median"]
    of_variant = "; ".join(
        f"for {name}: {row['answer'].lower()}, Recall@20 {row['mean']:.3f} against "
        f"{row['mean'] - row.difference:.3f}, {row['told']}"
        for (_, row), name in zip(variant.iterrows(), ("the bridge", "neighbours"))
    )
    late = _wide(rows, "latest")
    row, floor = late.loc["text"], late["mean"]["everybody's list"]
    against = told(row["difference"], row["diff_low"], row["diff_high"])
    return (
        f"- **Does the price help the text?** {answer['text and price']}: NDCG@20 {mean['text and price']:.3f} "
        f"against {mean['text']:.3f}, {added['told']['text and price']}. Counted words add "
        f"{added['told']['text and words']}.\n"
        f"- **Do baskets teach more than customers?** {answer['text, from baskets']}: "
        f"{mean['text, from baskets']:.3f}, {added['told']['text, from baskets']}.\n"
        f"- **Is a product with a known variant easier?** {capital(of_variant)}.\n"
        f"- **In time** (products first sold in the last fifth of the record) there are few to choose from: "
        f"everybody's list, which knows nothing of them, has NDCG@20 {floor:.3f}, the bridge "
        f"{row['mean']:.3f}, against neighbours {against} (customers resampled).\n"
        f"- **In the first days there is little but content:** the fifth customer comes {days['5 customers']:.0f} days "
        f"after the first sale (median), the twentieth {days['20 customers']:.0f} days."
    )


def compared_news(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the `compared` tables of 'trying' for each world, one below the other, with a column `world`.

    The intervals of the shares end at 0 and 1.
    """
    parts = [compared(part, "found", "trying").assign(world=world) for world, part in rows.groupby("world", sort=False)]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(low=table["low"].clip(0, 1), high=table["high"].clip(0, 1))


def told_news(table: pd.DataFrame) -> str:
    """Return which policy of `compared_news` is shown to differ from trying, and one line for each world."""
    others = table[table["model"] != table["baseline"]]
    found = others[others["better"] | others["worse"]]
    differ = "; ".join(f"{row.model} in {row.world}, {row.told}" for row in found.itertuples())
    worlds = " or ".join(dict.fromkeys(table["world"]))
    lines = [
        f"**Shown to differ from trying: {differ}.**"
        if differ
        else f"**No difference to trying without text is shown in {worlds}** (Holm), not even for showing at random."
    ]
    for world, part in table.groupby("world", sort=False):
        base = part.loc[part["model"] == "trying", "mean"].iloc[0]
        shares = "; ".join(
            f"{row.model} {row.mean:.0%}, {row.told}" for row in part.itertuples() if row.model != "trying"
        )
        lines.append(f"- *{world}*, against trying ({base:.0%}): {shares}.")
    return "\n".join(lines)


def told_people(rows: pd.DataFrame, what: str) -> str:
    """Return what finds `what` (friends, topics) with the highest mean, and what all choices lead or trail."""
    table = compared(rows, f"recall {what}", "all choices")
    best, floor = table["mean"].idxmax(), "everybody's list"
    rest = "; ".join(
        f"{model} {table['mean'][model]:.3f}, {told_of}"
        for model, told_of in marked(table).items()
        if model not in ("all choices", floor)
    )
    return (
        f"Highest mean: **{best}** (Recall@20 {table['mean'][best]:.3f}; {floor} {table['mean'][floor]:.3f}). Compared "
        f"with all choices ({table['mean']['all choices']:.3f}): {rest}."
    )


def told_groups(rows: pd.DataFrame) -> str:
    """Return what one group tells of a newcomer's other topics, and what a name alone does, against one topic."""
    table = compared(rows, "recall topics", "one topic")
    mean, answer = table["mean"], table["answer"]
    parts = "; ".join(
        f"{model} {mean[model]:.3f}, {told_of}" for model, told_of in marked(table).items() if model != "one topic"
    )
    return (
        f"**Does a group tell more than its topic?** {answer['one group']}. Recall@5 of other topics from one topic: "
        f"{mean['one topic']:.3f}; {parts}."
    )


def told_crossing(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return how the bridge learnt elsewhere does against untrained text, and what one learnt here is better."""
    films = int(rows[rows["metric"] == "films"]["value"].iloc[0])
    text, home, near = (table.loc[name] for name in ("text, untrained", "bridge learnt here", "neighbours"))
    answer = "Yes" if text.worse else "No, the reverse" if text.better else "Not shown"
    at_home = {"Yes": "is shown better", "No, the reverse": "is shown worse", "Not shown": "is not shown better"}
    return (
        f"The bridge was learnt on {films:,} other films and reaches NDCG@20 {table['mean'][text.baseline]:.3f}.\n"
        f"- **Is it better than untrained text?** {answer}: {told(-text.difference, -text.diff_high, -text.diff_low)}; "
        f"than neighbours: {told(-near.difference, -near.diff_high, -near.diff_low)}.\n"
        f"- **Is it as good as a bridge learnt here?** That one {at_home[home.answer]}: {home['mean']:.3f}, "
        f"{home.told} (*shown* means after Holm's correction over this comparison)."
    )


def told_hindsight(rows: pd.DataFrame) -> str:
    """Return for each world what the words of an item's own audience add to the bridge, which a new item has not."""
    parts = []
    for world, part in rows.groupby("world", sort=False):
        table = compared(part, "ndcg", "without")
        parts.append(f"in {world} {table['mean']['with hindsight']:.3f} instead of {table['mean']['without']:.3f}")
    return f"With hindsight in its text the bridge *seems* to reach NDCG@20 {'; '.join(parts)}."


def told_halves(page: pd.DataFrame) -> str:
    """Return for each number whether it foretells its claim, by rank correlation and Holm's correction over them."""
    if page.empty:
        return "Too few worlds were asked to tell."
    parts, rest = [], page[page["p"] >= 0.05]
    for row in page[page["p"] < 0.05].itertuples():
        text = (
            f"**{row.number.capitalize()} foretells the {PREDICTED[row.claim]}** (rank correlation "
            f"{signed(row.correlation, 2)} over {row.worlds} worlds, p {_small(row.p)} after Holm's correction)"
        )
        surprise = ", which is little surprise: both measure how far one list for everybody reaches"
        parts.append(f"{text}{surprise if row.number == 'fame' else ''}.")
    if len(rest):
        named = "; ".join(
            f"{row.number} ({signed(row.correlation, 2)}, p {_small(row.p)})" for row in rest.itertuples()
        )
        parts.append(f"**Not shown to foretell a finding:** {named}.")
    return " ".join(parts)


def _small(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.2f}".replace("0.", ".")


def page_of_halves(page: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `claims.halves` as text for readers: two decimals, plain names of columns."""
    if page.empty:
        return page
    columns = {
        "lead of the": page["claim"].map(PREDICTED).str.removeprefix("lead of the "),
        "median": page["median"].map("{:.2f}".format),
        "mean below": page["below"].map(lambda x: signed(x, 2)),
        "mean above": page["above"].map(lambda x: signed(x, 2)),
        "shown below": page["shown below"],
        "shown above": page["shown above"],
        "correlation": page["correlation"].map(lambda x: signed(x, 2)),
        "p (Holm)": page["p"].map(lambda p: _small(p).removeprefix("= ")),
    }
    return pd.DataFrame(columns).set_axis(page["number"].tolist())


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
    """Return in which worlds the recipe is shown ahead of, or behind, the best rival of hindsight."""
    if table.empty:
        return "Nothing is recorded yet: `python -m coldstart_utils.data.rivals` measures it."
    ahead, reverse, behind = (
        "; ".join(table.index[rows])
        for rows in (table["answer"] == "Yes", table["answer"] == "No, the reverse", table["difference"] < 0)
    )
    return (
        f"**Shown ahead of hindsight's best in {(table['answer'] == 'Yes').sum()} of {len(table)} comparisons** "
        f"({ahead or 'none'}), shown behind in {reverse or 'none'}; elsewhere no difference is shown (Holm over all of "
        f"them). Its mean is lower in {behind or 'none'}."
    )


def page_of_hindsight(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `hindsight` for readers: rival, what it reaches, lead of the recipe, whether it is shown."""
    names = {"it reaches": "NDCG@20", "told": "lead of the recipe", "answer": "shown"}
    return table.drop(columns=["recipe", "difference"]).round(3).rename(columns=names)
