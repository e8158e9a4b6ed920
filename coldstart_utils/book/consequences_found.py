"""What chapter 16 claims of logs, groups and attacks, each claim with the numbers it rests on."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..whatif.attack import ASKED, WAYS
from .attacks_told import factors
from .consequences_told import best_by, gap_changes
from .record import Claim, is_shown, not_shown


def of_cause(table: pd.DataFrame, means: pd.DataFrame, path: pd.DataFrame) -> dict[str, Claim]:
    """Return what is claimed of the logs and of the world with known preferences, from the tables told above."""
    own, best = table[~table["leaning"]], best_by(means)
    truth, naive = means[means["rule"] == "truth"], means[means["rule"] == "as logged"]
    end = path[path["round"] == path["round"].max()].set_index("places")["found"]
    width = (own["error_high"] - own["error_low"]).div(2 * own["truth"])
    return {
        "no estimate by IPS, SNIPS or doubly robust is shown to miss the truth, from 38 to 69 clicks": (
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


def of_fairness(results: pd.DataFrame, after: Mapping[str, pd.Series]) -> dict[str, Claim]:
    """Return what is claimed of the two aims, from `front.swept`, and of erasure."""
    changes = gap_changes(results)
    crossed = changes.loc[[("equal scores", "error gap"), ("equal errors", "score gap")]]
    own = changes.loc[("equal errors", "error gap")]
    return {
        "equal scores widen the gap in errors, equal errors that in scores": (
            bool((crossed["low"] > 0).all()),
            f"{' and '.join(crossed['told'])} at the largest weight, over folds",
        ),
        "the penalty for equal errors does not narrow the gap in errors on new films by a tenth": (
            bool(own["low"] > -0.1),
            f"{own['told']} at the largest weight, over folds",
        ),
        "a non-linear probe finds again what was erased": (
            all(own["non-linear"] > 0.6 for own in after.values()),
            ", ".join(f"{name} AUC {own['non-linear']:.2f}" for name, own in after.items()),
        ),
    }


def of_attack(
    effects: pd.DataFrame, grid: pd.DataFrame, pushed: pd.DataFrame, orders: pd.DataFrame
) -> dict[str, Claim]:
    """Return what is claimed of attacks, a defence, fake profiles, and `orders` to a language model that ranks."""
    rows, factor = effects.set_index("model", drop=False), factors(grid)
    words = rows[rows["way"] == "words"].loc[["30 words of famous films"]]
    order = rows[rows["way"].isin(WAYS)].loc[["an instruction"]]
    ten = pushed[pushed["dial"] == 10]
    told = orders.set_index(["way", "model"], drop=False)
    return {
        "an instruction lifts a film where a language model ranks by its answer": is_shown(
            told.loc[[(ASKED[0], "an instruction")]]
        ),
        "less its answer to nobody, a dictated answer still lifts a film, an instruction does not": (
            bool(told["better"][ASKED[1], "the answer dictated"] and not told["better"][ASKED[1], "an instruction"]),
            "; ".join(f"{row.model} {row.told}" for row in told.loc[ASKED[1]].iloc[1:].itertuples()),
        ),
        "30 words of famous films raise the exposure of a new film ranked by words": is_shown(words),
        "an instruction is not shown to help where words or an encoder rank": not_shown(order),
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
