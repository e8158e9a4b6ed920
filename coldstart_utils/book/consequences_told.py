"""What the figures of consequences show, in sentences that follow the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..catalogue.decisions import Log
from ..measure.intervals import estimate
from ..measure.logged import LEANING, Verdict, multiples
from ..measure.phrases import signed
from ..measure.simulated import RULES
from ..measure.study import compare
from ..models.parity import AIMS

Array = np.ndarray
NOBODY = "no group is shown to be served worse or better"


def typeset(text: str) -> str:
    """Return a sentence in which a hyphen before a number is a minus sign."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)


# --- Cause -----------------------------------------------------------------------------------------------------------


def all_verdicts(found: Mapping[str, Verdict]) -> pd.DataFrame:
    """Return the tables of several verdicts as one: with `pair`, `missed` (not only by luck), `leaning` on a model."""
    table = pd.concat([verdict.table.assign(pair=name) for name, verdict in found.items()], ignore_index=True)
    missed = (table["error_low"] > 0) | (table["error_high"] < 0)
    return table.assign(missed=missed, leaning=table["estimator"].isin(LEANING))


def estimates(table: pd.DataFrame, sizes: list[float]) -> str:
    """Return how many estimates of an `all_verdicts` table differ from the truth, and what more rows would bring."""
    own, leaning = table[~table["leaning"]], table[table["leaning"]]
    wide = (own["error_high"] - own["error_low"]).div(2 * own["truth"]).median()
    enough = own[own["estimator"] == "IPS"]["enough"]
    return (
        f"Of IPS, SNIPS and doubly robust **{own['missed'].sum()} of {len(own)}** differ from the truth by more than "
        f"luck, because luck is large: half the width of their intervals is {wide:.0%} of the truth (median). Of the "
        f"other three {leaning['missed'].sum()} of {len(leaning)} miss it. *Direct*, and the others where they lean on "
        "the model, have narrow intervals, which hold the luck of the rows, not what the model has wrong. The "
        "*effective size* (Σw)²/Σw² of 10,000 rows is "
        f"{min(sizes):,.0f} to {max(sizes):,.0f}. For ±10 % IPS would have needed about {_rounded(enough.min())} to "
        f"{_rounded(enough.max())} rows, if weights as large as those seen were all there are."
    )


def _rounded(number: float) -> str:
    """Return a number with two digits that count."""
    return f"{float(f'{number:.1e}'):,.0f}"


def ratio(known: Log, asked: Log, *, draws: int = 1000, seed: int = 0) -> str:
    """Return what the policy of `asked` earns as a multiple of that of `known`, from either log, with intervals."""
    found = multiples(known, asked, draws=draws, seed=seed)
    by_ips, counted = (f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f})" for row in found.itertuples())
    return (
        f"Ours, by IPS from the log of random: {by_ips}. In its own log bts got {asked.reward.sum():.0f} clicks, "
        f"random {known.reward.sum():.0f} in as many rows: {counted}."
    )


def recalls(judged: pd.DataFrame) -> pd.DataFrame:
    """Return the mean recall of `simulated.compared` by model and rule, with 95 % intervals over the logs drawn."""
    rows = [
        (*key, *estimate(own["recall"].to_numpy(), resampled=False)[:3])
        for key, own in judged.groupby(["model", "rule"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["model", "rule", "mean", "low", "high"])


def best_by(means: pd.DataFrame) -> dict[str, str]:
    """Return which model each rule names the best."""
    return {rule: own.set_index("model")["mean"].idxmax() for rule, own in means.groupby("rule")}


def offline(means: pd.DataFrame) -> str:
    """Return which ranking each rule names, and how far the test on logged clicks is off."""
    best, by_rule = best_by(means), means.pivot(index="rule", columns="model", values="mean")
    gap, mended = ((by_rule.loc[rule] / by_rule.loc["truth"] - 1).map("{:+.0%}".format) for rule in RULES[:2])
    return typeset(
        f"**{'Yes' if best['as logged'] == best['truth'] else 'No'}.** The best is, "
        + "; ".join(f"{rule}, *{best[rule]}*" for rule in RULES)
        + f". The test on logged clicks is off by {', '.join(f'{value} ({name})' for name, value in gap.items())}; "
        f"with clicks divided by propensities, by {', '.join(mended)}. Here propensities are *known*; in MovieLens "
        "they are not, and the numbers of this series are about what people chose."
    )


def paths(loop: pd.DataFrame) -> pd.DataFrame:
    """Return the means of `simulated.rounds` by share of places at random and round, with `places` as a label.

    `low` and `high` are the least and the largest `found` of the worlds drawn.
    """
    by = loop.groupby(["explore", "round"])
    path = by[["liked", "gini", "found"]].mean().assign(low=by["found"].min(), high=by["found"].max()).reset_index()
    return path.assign(places=path["explore"].map("{:.0%} at random".format))


def rounds(path: pd.DataFrame) -> str:
    """Return how many new items were found in the end, and what it cost."""
    end = path[path["round"] == path["round"].max()]
    liked = path.groupby("explore")["liked"].mean()
    found = "; ".join(
        f"with {row.places}, **{row.found:.0%}** ({row.low:.0%} to {row.high:.0%})" for row in end.itertuples()
    )
    return (
        f"Found after {end['round'].iloc[0]} rounds, {found}; in brackets the least and the most of the draws. Of all "
        "places "
        f"{', '.join(f'{value:.1%}' for value in liked)} pleased, in the same order. The ranking knows clicks only; "
        "one that reads content was not tried here."
    )


# --- Fairness --------------------------------------------------------------------------------------------------------


def of_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `groups.by_group` table with one row a group: users, and of each metric its mean and its difference.

    A difference stands with half of its 95 % interval, and with its answer where one is shown.
    """
    half = (table["diff_high"] - table["diff_low"]).div(2)
    answer = np.select([table["better"], table["worse"]], [", better", ", worse"], "")
    written = table["difference"].map(signed) + " ± " + half.map("{:.3f}".format).str[1:] + answer
    rows = table.assign(group=table["kind"] + " " + table["model"], written=written)
    first = rows.drop_duplicates("group").set_index("group")[["n"]].rename(columns={"n": "users"})
    for metric, own in rows.groupby("metric", sort=False):
        own = own.set_index("group")
        first[metric], first[f"{metric}, to others"] = own["mean"].map("{:.3f}".format), own["written"]
    return first.rename_axis(None)


def served(table: pd.DataFrame) -> str:
    """Return who is shown to be served worse or better, by each metric of a `by_group` table."""

    def groups_that(own: pd.DataFrame, side: str) -> str:
        return ", ".join(f"{row.kind} {row.model}" for row in own[own[side]].itertuples())

    parts = []
    for metric, own in table.groupby("metric", sort=False):
        sides = {side: groups_that(own, side) for side in ("worse", "better")}
        listed = "; ".join(f"{side}: {names}" for side, names in sides.items() if names)
        far = own.loc[own["difference"].abs().idxmax()]
        parts.append(
            f"**By {metric}**, {'served ' + listed if listed else NOBODY} (Holm, {len(table)} comparisons); furthest "
            f"from all others: {far['kind']} {far['model']}, {far['told']}."
        )
    return (
        " ".join(parts) + " Recall divides by all that a user chose, and who chose much wants more than a list holds: "
        "a part of its difference by the number of choices is arithmetic. The error does not count choices."
    )


def places(held: pd.DataFrame, cost: pd.DataFrame, rare: str, k: int) -> str:
    """Return which groups of items get more or fewer places than their share of choices, and what places cost one.

    `held` is `groups.places` by group, `cost` a `study.compare` of `groups.priced` with none as baseline.
    """
    off = [f"{row.Index} ({row.low:.2f} to {row.high:.2f})" for row in held.itertuples() if row.shown]
    widest = (held["high"] - held["low"]).idxmax()
    shown = f"Out of proportion to their choices: {', '.join(off)}."
    proportion = shown if off else "No group is shown to get fewer or more places than its share of choices."
    return (
        f"**{proportion}** The widest interval, for *{widest}*, goes from {held['low'][widest]:.1f} to "
        f"{held['high'][widest]:.1f}. A constraint has a price: items of the group *{rare}* have "
        f"{k * held['places'][rare]:.1f} of {k} places now. One on average, bought where it costs least (chapter 06), "
        f"changes NDCG by {cost['told']['1']}, two by {cost['told']['2']}."
    )


def front(points: pd.DataFrame, results: pd.DataFrame, concept: str) -> str:
    """Return what each aim does at its largest weight, from `front.front` and the `front.swept` it is made of."""
    parts, changes = [], gap_changes(results)
    for aim in AIMS:
        own = points[points["model"] == aim]
        named = results[results["model"] == aim]
        table = compare(named.assign(model=named["dial"].astype(str)), f"{named['dial'].min()}")
        parts.append(
            f"*{aim}*: score gap {changes['told'][aim, 'score gap']}, error gap {changes['told'][aim, 'error gap']}, "
            f"recall gap {_recall_gap(own.iloc[0])} → {_recall_gap(own.iloc[-1])}, NDCG {table['told'].iloc[-1]}"
        )
    differs = ((points["recall gap low"] > 0) | (points["recall gap high"] < 0)).any()
    said = f"Two sides by {concept}. At the largest weight, " + "; ".join(parts) + ". "
    said += f"The recall gap is {'shown' if differs else 'not shown'} to differ from zero at "
    said += "some weights. " if differs else "any weight. "
    if abs(changes["share"]["equal errors", "error gap"]) < 0.1:
        said += "On new items the penalty for equal errors hardly moves its own gap: it is fitted on known items and "
        said += "does not carry over. "
    return typeset(said + "Where to stand on this front is for those whom it concerns; no number here says it.")


def _recall_gap(row: pd.Series) -> str:
    return f"{row['recall gap']:+.3f} ({row['recall gap low']:+.3f} to {row['recall gap high']:+.3f})"


def gap_changes(results: pd.DataFrame) -> pd.DataFrame:
    """Return by how much each aim changes each gap of `front.swept` at its largest weight, as a share of the gap.

    Indexed by aim and gap; columns share, low, high (95 % over folds, for these users; paired) and told.
    """
    rows = {}
    for aim, own in results.groupby("model", sort=False):
        named = own.assign(model=own["dial"].astype(str))
        for gap in ("score gap", "error gap"):
            table = compare(named, f"{own['dial'].min()}", metric=gap)
            start, last = max(table["mean"].iloc[0], 1e-12), table.iloc[-1]
            share, low, high = (float(last[end] / start) for end in ("difference", "diff_low", "diff_high"))
            rows[aim, gap] = (share, low, high, typeset(f"{share:+.0%} ({low:+.0%} to {high:+.0%})"))
    return pd.DataFrame.from_dict(rows, "index", columns=["share", "low", "high", "told"]).set_axis(
        pd.MultiIndex.from_tuples(rows), axis=0
    )


def erased(probed: Mapping[str, pd.DataFrame], concept: str) -> dict[str, pd.Series]:
    """Return the AUC of each probe about the concept after erasure, by kind of vectors."""
    kept = {}
    for name, own in probed.items():
        kept[name] = own[(own["vectors"] == "erased") & (own["asked"] == concept)].set_index("probe")["mean"]
    return kept


def erasure(after: Mapping[str, pd.Series], paid: pd.DataFrame, read: str) -> str:
    """Return what probes find after erasure, and what the lists of new users lose."""
    parts = [
        f"{name}: " + ", ".join(f"{probe} {value:.2f}" for probe, value in own.items()) for name, own in after.items()
    ]
    price = compare(paid, "as they are", unit="user").loc["erased", "told"]
    again = [own["non-linear"] for own in after.values()]
    gone = "**No**: only for a straight line learnt on the same people. " if min(again) > 0.6 else ""
    return (
        f"{gone}AUC after erasure (a guess has 0.5), **{'; '.join(parts)}**. For the linear probe of the eraser's own "
        "people nothing is left by construction. A curved boundary may find more, and so may a linear one trained on "
        "other people: the covariance of hundreds of numbers was estimated from hundreds of people. The price for new "
        f"users of whom only the {read} is known: NDCG {price}, over users."
    )
