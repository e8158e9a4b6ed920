"""Reasons put to the test: is the answer that adds most to a score also the one without which most is lost?"""

from __future__ import annotations

import pandas as pd

from .study import compare


def by_largest_part(answers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with a column `named`, and over users how often a named reason is not what it seems.

    `answers` has one row for each answer about each entry of each list: `user`, `place` in the list, the `part` of the
    score that the answer adds, its `effect` (what the score loses without it), and whether the entry `stays` on the
    list without it. `named` is the largest part of an entry. The second table has the columns of `study.compare` and
    three rows, shares of the places: 'other', another answer has a larger effect; 'stays', the entry stays without the
    named answer; 'first', the same for the first place alone.
    """
    most = answers.groupby(["user", "place"])[["part", "effect"]].transform("max")
    told = answers.assign(named=answers["part"] == most["part"], other=answers["effect"] < most["effect"])
    named = told[told["named"]].astype({"other": float, "stays": float})
    named = named.assign(first=named["stays"].where(named["place"] == 0))
    shares = named.melt("user", ["other", "stays", "first"], "model").dropna()
    return told, compare(shares, "other", metric="value", unit="user")
