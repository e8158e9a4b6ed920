"""What the figures of consequences show, in sentences that follow the numbers, and as findings."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..measure.groups import by_group
from ..measure.intervals import estimate
from ..measure.logged import LEANING, Verdict
from ..measure.simulated import RULES
from ..measure.study import compare
from ..models.parity import AIMS
from ..whatif.attack import WAYS
from .record import Claim, is_shown, not_shown

Array = np.ndarray
NOBODY = "nobody is shown to be"


def _typeset(text: str) -> str:
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
        f"other three {leaning['missed'].sum()} of {len(leaning)} miss it: their grey intervals are narrow, for they "
        "hold the luck of the rows, not what the model has wrong. The *effective size* (Σw)²/Σw² of 10,000 rows is "
        f"{min(sizes):,.0f} to {max(sizes):,.0f}. For ±10 % IPS would have needed {enough.min():,.0f} to "
        f"{enough.max():,.0f} rows, if weights as large as those seen were all there are."
    )


def ratio(found: Mapping[str, Verdict]) -> str:
    """Return what bts earns as a multiple of random by IPS from random's log of all items, with its interval."""
    table, rate = found["all, random to bts"].table, found["all, bts to random"].table["truth"].iloc[0]
    row = table[table["estimator"] == "IPS"].iloc[0]
    return (
        f"Ours, by IPS: {row['value'] / rate:.2f} ({row['low'] / rate:.2f} to {row['high'] / rate:.2f}). In its own "
        f"log bts got {row['truth'] / rate:.2f} times as many clicks."
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
    return _typeset(
        f"**{'Yes' if best['as logged'] == best['truth'] else 'No'}.** The best is, "
        + "; ".join(f"{rule}, *{best[rule]}*" for rule in RULES)
        + f". The test on logged clicks is off by {', '.join(f'{value} ({name})' for name, value in gap.items())}; "
        f"with clicks divided by propensities, by {', '.join(mended)}. Here propensities are *known*; in MovieLens "
        "they are not, and the numbers of this series are about what people chose."
    )


def paths(loop: pd.DataFrame) -> pd.DataFrame:
    """Return the means of `simulated.rounds` by share of places at random and round, with `places` as a label."""
    path = loop.groupby(["explore", "round"])[["liked", "gini", "found"]].mean().reset_index()
    return path.assign(places=path["explore"].map("{:.0%} at random".format))


def rounds(path: pd.DataFrame) -> str:
    """Return how many new items were found in the end, and what it cost."""
    end = path[path["round"] == path["round"].max()]
    liked = path.groupby("explore")["liked"].mean()
    found = ", ".join(f"{row.found:.0%} ({row.places})" for row in end.itertuples())
    return f"**{found}.** Of all places {', '.join(f'{value:.1%}' for value in liked)} pleased, in the same order."


# --- Fairness --------------------------------------------------------------------------------------------------------


def served(table: pd.DataFrame, lists: pd.DataFrame, kinds: Mapping[str, pd.Series]) -> str:
    """Return who is shown to be served worse, by recall (the `by_group` table) and by NDCG."""
    by_ndcg = by_group(lists, kinds, metric="ndcg")

    def worse(own: pd.DataFrame) -> str:
        rows = own[own["worse"]].itertuples()
        return ", ".join(f"{row.kind} {row.model} ({row.difference:+.3f})" for row in rows) or NOBODY

    return _typeset(
        f"**Served worse by recall:** {worse(table)}. Who chose much wants more than a list holds, so a part of "
        f"this is arithmetic. **By NDCG**, which divides by what is possible: {worse(by_ndcg)}. Who is failed depends "
        "on the metric."
    )


def front(points: pd.DataFrame, results: pd.DataFrame, concept: str) -> str:
    """Return what each aim does at its largest weight, from `front.front` and the `front.swept` it is made of."""
    parts = []
    for aim in AIMS:
        own, change = points[points["model"] == aim], gap_changes(points)[aim]
        named = results[results["model"] == aim]
        table = compare(named.assign(model=named["dial"].astype(str)), f"{named['dial'].min()}")
        parts.append(
            f"*{aim}*: score gap {change['score gap']:+.0%}, error gap {change['error gap']:+.0%}, recall gap "
            f"{own['recall gap'].iloc[0]:+.3f} → {own['recall gap'].iloc[-1]:+.3f}, NDCG {table['told'].iloc[-1]}"
        )
    return _typeset(
        f"Two sides by {concept}. At the largest weight, "
        + "; ".join(parts)
        + ". Where to stand on this front is for those whom it concerns; no number here says it."
    )


def gap_changes(points: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return by how much each aim changes each gap at its largest weight, as a share."""
    changes = {}
    for aim, own in points.groupby("model"):
        last, start = own.iloc[-1], own.iloc[0]
        changes[aim] = {gap: float(last[gap] / max(start[gap], 1e-12) - 1) for gap in ("score gap", "error gap")}
    return changes


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
    return (
        f"AUC after erasure (a guess has 0.5), **{'; '.join(parts)}**. For the linear probe of the eraser's own people "
        "nothing is left by construction. A curved boundary may find more, and so may a linear one trained on other "
        "people: the covariance of hundreds of numbers was estimated from hundreds of people. The price for new users "
        f"of whom only the {read} is known: NDCG {price}, over users."
    )


# --- Attack ----------------------------------------------------------------------------------------------------------


def attacks(shares: pd.DataFrame, ways: tuple[str, ...], films: int) -> str:
    """Return the exposure of honest texts, of the strongest attack, and of an instruction, by way to rank."""
    best = {way: shares[way].idxmax() for way in ways}
    return (
        "Share of lists with honest texts, and with the strongest attack: "
        + "; ".join(f"{way} {shares[way]['honest']:.1%}, {shares[way].max():.0%} (*{best[way]}*)" for way in ways)
        + f" (means of {films} films, intervals resample films). The instruction: "
        + ", ".join(f"{shares[way]['an instruction']:.1%}" for way in ways)
        + ". Nothing here obeys: it is a text like any other. A ranker that is itself a chat model was not tested."
    )


def defences(grid: pd.DataFrame, costs: pd.DataFrame, caught: pd.DataFrame) -> str:
    """Return by how much the strongest attack multiplies exposure, what defences cost, and what a detector stops."""
    factor, stops = factors(grid), caught.groupby("model", sort=False)["stopped"].mean()
    paid = "; ".join(f"{row.model} {row.told}" for row in costs.itertuples() if row.model != row.baseline)
    return (
        "The strongest attack multiplies exposure by "
        + ", ".join(f"{value:.1f} ({way})" for way, value in factor.items())
        + f". In NDCG honest films pay: {paid}. **Detection** by copied words, pushing words, and promises above the "
        f"tags, set to stop one honest text in twenty, stops {stops['honest']:.0%} of other honest texts and "
        + ", ".join(f"{value:.0%} (*{name}*)" for name, value in stops.drop("honest").items())
        + ". Who knows the detector would write otherwise; that was not tried."
    )


def factors(grid: pd.DataFrame) -> pd.Series:
    """Return how many times as much as an honest text the strongest attack brings, by defence (columns)."""
    return grid.drop("honest").max() / grid.loc["honest"].clip(lower=1e-9)


def answers(undone: pd.DataFrame, pushed: pd.DataFrame) -> str:
    """Return what true answers leave of the lead of a copied text, and how many fake profiles a tenth takes."""
    lead = undone.pivot(index="dial", columns="model", values="mean")
    first, last, gap = lead.iloc[0], lead.iloc[-1], lead["text of a rival"] - lead["honest text"]
    half = gap.reset_index(name="mean")
    needed = {model: _first(own, own["mean"] >= 0.1) for model, own in pushed.groupby("model", sort=False)}
    five = {model: own.set_index("dial")["mean"].get(5.0, np.nan) for model, own in pushed.groupby("model", sort=False)}
    return (
        f"Without answers the copied text stands in {first['text of a rival']:.0%} of the lists, the honest one in "
        f"{first['honest text']:.0%}; after {lead.index[-1]:.0f} true answers in {last['text of a rival']:.0%} and "
        f"{last['honest text']:.0%}. Half of the lead is gone after {_first(half, half['mean'] <= gap.iloc[0] / 2)}. A "
        "tenth of all lists takes "
        + " and ".join(f"{value} fake profiles ({model})" for model, value in needed.items())
        + "; five bring "
        + " and ".join(f"{value:.0%} ({model})" for model, value in five.items())
        + "."
    )


def _first(table: pd.DataFrame, reached: pd.Series) -> str:
    return f"{table[reached]['dial'].iloc[0]:.0f}" if reached.any() else f"more than {table['dial'].max():.0f}"


def games(table: pd.DataFrame) -> str:
    """Return how many games settle, who stays honest, and what users lose, by way to rank and exploration."""
    honest = table.groupby(["way", "explore"], sort=False)["honest"].mean().unstack()
    lost = (table["recall after"] - table["recall before"]).groupby(table["way"], sort=False).mean()
    least, most = honest.columns[0], honest.columns[-1]
    first, alone = table["exposure"].mean(), table["alone"].mean()
    return _typeset(
        f"{table['settled'].mean():.0%} of the games settle. Honest at the end: "
        + ", ".join(f"{row[least]:.0%} ({way})" for way, row in honest.iterrows())
        + f"; with {most:.0%} of the places at random "
        + ", ".join(f"{value:.0%}" for value in honest[most])
        + ". Recall of users changes by "
        + ", ".join(f"{value:+.4f}" for value in lost)
        + f". An owner's exposure when all are honest is {first:.1%}; one who stays so when the others do not has "
        f"{alone:.1%}."
    )


# --- Findings --------------------------------------------------------------------------------------------------------


def of_cause(table: pd.DataFrame, means: pd.DataFrame, path: pd.DataFrame) -> dict[str, Claim]:
    """Return what is claimed of the logs and of the world with known preferences, from the tables told above."""
    own, best = table[~table["leaning"]], best_by(means)
    truth, naive = means[means["rule"] == "truth"], means[means["rule"] == "as logged"]
    end = path[path["round"] == path["round"].max()].set_index("places")["found"]
    width = (own["error_high"] - own["error_low"]).div(2 * own["truth"])
    return {
        "no unbiased estimate from 38 to 69 clicks can be told from the truth": (
            not own["missed"].any(),
            f"{own['missed'].sum()} of {len(own)} intervals of the error leave 0 out; half widths {width.min():.0%} to "
            f"{width.max():.0%} of the truth",
        ),
        "a test on logged clicks does not name the best ranking, one divided by propensities does": (
            best["as logged"] != best["truth"] == best["divided by p"],
            f"as logged {_listed(naive)}; truth {_listed(truth)}",
        ),
        "without places at random no new item finds five takers, with three tenths most do": (
            end.iloc[0] == 0 and end.iloc[-1] > 0.5,
            ", ".join(f"{share:.0%} ({name})" for name, share in end.items()),
        ),
    }


def of_fairness(points: pd.DataFrame, after: Mapping[str, pd.Series]) -> dict[str, Claim]:
    """Return what is claimed of the two aims and of erasure."""
    changes = gap_changes(points)
    equal, errors = changes["equal scores"]["error gap"], changes["equal errors"]["score gap"]
    return {
        "equal scores widen the gap in errors, equal errors that in scores": (
            equal > 0 < errors,
            f"{equal:+.0%} and {errors:+.0%} at the largest weight",
        ),
        "a non-linear probe finds again what was erased": (
            all(own["non-linear"] > 0.6 for own in after.values()),
            ", ".join(f"{name} AUC {own['non-linear']:.2f}" for name, own in after.items()),
        ),
    }


def of_attack(effects: pd.DataFrame, grid: pd.DataFrame, pushed: pd.DataFrame) -> dict[str, Claim]:
    """Return what is claimed of attacks, a defence, and fake profiles."""
    rows, factor = effects.set_index("model", drop=False), factors(grid)
    words = rows[rows["way"] == "words"].loc[["30 words of famous films"]]
    order = rows[rows["way"].isin(WAYS)].loc[["an instruction"]]
    ten = pushed[pushed["dial"] == 10]
    return {
        "30 words of famous films raise the exposure of a new film ranked by words": is_shown(words),
        "an instruction to a language model is not shown to help": not_shown(order),
        "text that says to whom, not to how many, weakens the strongest attack": (
            bool(factor["levelled"] < factor["text and tags"]),
            f"times {factor['levelled']:.1f} against times {factor['text and tags']:.1f}",
        ),
        "ten fake profiles push a film into a tenth of all lists, with text or without": (
            bool((ten["low"] > 0.1).all()),
            "; ".join(f"{row.model} {row.mean:.0%} ({row.low:.0%} to {row.high:.0%})" for row in ten.itertuples()),
        ),
    }


def _listed(means: pd.DataFrame) -> str:
    return ", ".join(f"{row.model} {row.mean:.3f} ({row.low:.3f} to {row.high:.3f})" for row in means.itertuples())
