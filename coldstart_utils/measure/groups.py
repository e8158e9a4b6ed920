"""Whom a method serves, and whom it fails: groups of users and of items, with intervals over people and over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ..catalogue.dataset import Dataset
from ..catalogue.features import as_text
from ..catalogue.movielens import expanded
from ..ground import ColdstartError
from ..models.longtail import reserve
from .intervals import estimate, holm
from .metrics import auc
from .phrases import told
from .ranking import Scorer, evaluate, from_matrix, impressions
from .study import Fold

Array = np.ndarray
ATTRIBUTES = ("gender", "age", "occupation")


def groups_of_users(dataset: Dataset, *, least: int = 40) -> dict[str, pd.Series]:
    """Return the group of every user by kind: gender, age and occupation as recorded, and thirds by number of choices.

    A kind has two groups or more of at least `least` users each, or of an eighth of all in a small catalogue; ages
    become quarters. Who belongs to a smaller group has NaN: of few people nothing can be said.
    """
    users, kinds = dataset.users, {}
    least = max(2, min(least, dataset.n_users // 8))
    for column in [name for name in ATTRIBUTES if name in users]:
        values = pd.to_numeric(users[column], errors="coerce") if column == "age" else users[column].astype(str)
        if column == "age":
            values = _parts(values, 4)
        elif column == "occupation":
            values = values.where(~values.isin(["other", "none", ""]))
        sizes = values.value_counts()
        kept = values.where(values.isin(sizes.index[sizes >= least]))
        if kept.nunique() >= 2:
            kinds[column] = kept
    counts = pd.Series(np.bincount(dataset.interactions["user"], minlength=dataset.n_users), users.index)
    activity = _parts(counts, 3)
    if activity.nunique() < 2 and not kinds:
        activity = pd.Series(np.where(counts.rank(method="first") > len(counts) / 2, "more", "fewer"), users.index)
    return kinds | ({"choices": activity} if activity.nunique() >= 2 else {})


def _parts(numbers: pd.Series, n: int) -> pd.Series:
    if numbers.nunique() < 2:
        return pd.Series(np.nan, numbers.index, dtype=object)
    cut = pd.qcut(numbers, n, duplicates="drop")
    names = {part: f"{int(np.floor(part.left)) + 1} to {int(part.right)}" for part in cut.cat.categories}
    last = cut.cat.categories[-1]
    names[last] = f"{int(np.floor(last.left)) + 1} or more"
    return cut.astype(object).map(names)


def two_sides(kinds: Mapping[str, pd.Series]) -> dict[str, Array]:
    """Return for each kind but occupations, which have no order, the users of the later half of its groups, a mask.

    That is men where gender is recorded as F and M, the older half, those with many choices.
    """
    sides = {}
    for kind, groups in kinds.items():
        if kind != "occupation":
            names = sorted(groups.dropna().unique(), key=_first_number)
            sides[kind] = groups.isin(names[(len(names) + 1) // 2 :]).to_numpy()
    return sides


def groups_of_items(dataset: Dataset) -> dict[str, Array]:
    """Return groups of items, a mask each: by origin and by the maker's first film, from generated columns.

    'a maker's first here' is the earliest film in this catalogue of the person named first; it may not be their first
    at all. Without those columns, the three most frequent genres. Where that parts nothing (no genres, or one for all),
    the two halves of the catalogue.
    """
    items = dataset.items
    groups: dict[str, Any] = {}
    if expanded(dataset) and "year" in items:
        origin, year = items["origin"], pd.to_numeric(items["year"], errors="coerce")
        maker = items["people"].str.split("; ").str[0]
        first, named = year == year.groupby(maker).transform("min"), (maker != "") & year.notna()
        american, english = origin.str.startswith("USA"), origin.str.endswith("English")
        groups = {
            "USA": american, "elsewhere, in English": english & ~american,
            "in another language": ~english & (origin != ""),
            "a maker's first here": first & named, "a maker's later one": ~first & named,
        }  # fmt: skip
    elif "genres" in items:
        tokens = items["genres"].map(as_text).str.split()
        groups = {
            name: tokens.map(lambda own, name=name: name in own) for name in tokens.explode().value_counts().index[:3]
        }
    parting = {name: np.asarray(mask, bool) for name, mask in groups.items() if 1 < np.sum(mask) < len(items)}
    half = np.arange(len(items)) < len(items) // 2
    return parting or {"the first half": half, "the second half": ~half}


def served(scorers: Sequence[Scorer], folds: Sequence[Fold], *, k: int = 20) -> pd.DataFrame:
    """Return the rows of `ranking.evaluate` of one scorer a fold, with `error`: pairs in the wrong order.

    The error of a user is the share of pairs of a new item that they chose and one that they did not which the scores
    put in the wrong order, 1 − AUC: 0.5 is a guess, however many they chose. NaN for who chose none or all.
    """
    parts = []
    for scorer, fold in zip(scorers, folds, strict=True):
        split = fold.outer
        chosen = split.test[split.users][:, split.candidates].toarray() > 0
        errors = pd.Series(1 - auc(scorer(split.users, split.candidates), chosen), split.users)
        found = evaluate({"lists": scorer}, split, k=k)
        parts.append(found.assign(error=found["user"].map(errors)))
    return pd.concat(parts, ignore_index=True)


def by_group(
    results: pd.DataFrame, kinds: Mapping[str, pd.Series], *, metrics: Sequence[str] = ("recall", "error")
) -> pd.DataFrame:
    """Return a row for each metric and group: how far the mean of its users lies from that of all other users.

    `results` has rows of `served`. Columns: metric, kind, model (the group), n, mean, difference, diff_low, diff_high,
    better, worse (more recall is better, less error too), told. The interval is the wider of that over users (Welch)
    and that over folds (Student's t by Nadeau & Bengio); shown is what both show after Holm's correction over all rows.
    Raises ColdstartError without a kind of group.
    """
    rows = []
    for metric in metrics:
        known = results.dropna(subset=[metric])
        for kind, groups in kinds.items():
            for name in sorted(groups.dropna().unique(), key=_first_number):
                inside = (groups == name).to_numpy()
                # Whose group is unknown is on neither side.
                asked = groups.notna().to_numpy() if kind != "occupation" else np.ones(len(groups), bool)
                where = {"metric": metric, "kind": kind, "model": name}
                rows.append(where | _difference(known, inside, asked, metric))
    table = pd.DataFrame(rows)
    if table.empty:
        raise ColdstartError("by_group: expected at least one kind of group, got none")
    shown = (holm(table["p users"].to_numpy()) < 0.05) & (holm(table["p folds"].to_numpy()) < 0.05)
    gain = table["difference"].where(table["metric"] != "error", -table["difference"])
    differences = [told(row.difference, row.diff_low, row.diff_high) for row in table.itertuples()]
    return table.assign(better=shown & (gain > 0), worse=shown & (gain < 0), told=differences)


def _first_number(name: str) -> tuple[float, str]:
    head = str(name).split(" ")[0]
    return (float(head) if head.isdigit() else 0.0, str(name))


def _difference(results: pd.DataFrame, inside: Array, asked: Array, metric: str) -> dict[str, float | int]:
    of_user = results.groupby("user")[metric].mean()
    own, rest = (of_user[side[of_user.index]] for side in (inside & asked, ~inside & asked))
    difference = float(own.mean() - rest.mean())
    half_users, p_users = welch(own.to_numpy(), rest.to_numpy())
    each = []
    for _, fold in results.groupby("fold"):
        member, known = inside[fold["user"]], asked[fold["user"]]
        each.append(fold.loc[member & known, metric].mean() - fold.loc[~member & known, metric].mean())
    _, low, high, p = estimate(np.array(each), resampled=False, extra=0.25)
    half = max(half_users, (high - low) / 2 if np.isfinite(high) else 0.0)
    return {
        "n": len(own), "mean": float(own.mean()), "difference": difference, "diff_low": difference - half,
        "diff_high": difference + half, "p users": p_users, "p folds": p,
    }  # fmt: skip


def welch(one: Array, other: Array) -> tuple[float, float]:
    """Return half the 95 % interval and the p-value of a difference of means of unequal variance (Welch 1947)."""
    if min(len(one), len(other)) < 2:
        return 0.0, 1.0
    parts = np.array([one.var(ddof=1) / len(one), other.var(ddof=1) / len(other)])
    error = float(np.sqrt(parts.sum()))
    if error < 1e-12:
        return 0.0, float(np.isclose(one.mean(), other.mean()))
    freedom = parts.sum() ** 2 / (parts**2 / [len(one) - 1, len(other) - 1]).sum()
    p = 2 * stats.t.sf(abs(one.mean() - other.mean()) / error, freedom)
    return float(stats.t.ppf(0.975, freedom)) * error, float(p)


def places(
    scorers: Sequence[Scorer], folds: Sequence[Fold], groups: Mapping[str, Array], *, k: int = 20
) -> pd.DataFrame:
    """Return for each group of items (a mask [items]) its share of the new items, of their choices, and of the places.

    One scorer a fold. Columns: model (the group), items, choices, places, multiple, low, high, shown: places as a
    multiple of what the group's choices would give it, with Student's t over folds (Nadeau & Bengio 2003). 1 is in
    proportion; `shown` are multiples that differ from it after Holm's correction over the groups.
    """
    rows = []
    for name, mask in groups.items():
        counted = []
        for scorer, fold in zip(scorers, folds, strict=True):
            split = fold.outer
            shown = impressions({"": scorer}, split, k=k)[""].to_numpy()
            chosen = np.asarray(split.test[:, split.candidates].sum(axis=0)).ravel()
            own = mask[split.candidates]
            counted.append((own.mean(), chosen[own].sum() / chosen.sum(), shown[own].sum() / shown.sum()))
        items, chosen, shown = np.array(counted).T
        ratio = shown / np.maximum(chosen, 1e-9)
        off, low, high, p = estimate(np.round(ratio - 1, 9), resampled=False, extra=0.25)
        rows.append((name, items.mean(), chosen.mean(), shown.mean(), 1 + off, max(1 + low, 0.0), 1 + high, p))
    table = pd.DataFrame(rows, columns=["model", "items", "choices", "places", "multiple", "low", "high", "p"])
    return table.assign(shown=holm(table.pop("p").to_numpy()) < 0.05)


def priced(
    scorers: Sequence[Scorer], folds: Sequence[Fold], members: Array, given: Sequence[int], *, k: int = 20
) -> pd.DataFrame:
    """Return `ranking.evaluate` of lists in which items of a group hold so many places on average, at one price.

    `members` is a mask [items], `given` the numbers of places; one scorer a fold. Where a fold has fewer members, they
    get what there is. Columns as there, with `dial` (places) and model (the number as text).
    """
    rows = []
    for scorer, fold in zip(scorers, folds, strict=True):
        split = fold.outer
        own = members[split.candidates]
        scores = scorer(split.users, split.candidates)
        for places_given in given:
            changed = np.zeros(split.train.shape)
            # Where the others do not fill a list, members have places already.
            room = min(k, int((~own).sum()))
            bought = min(places_given, int(own.sum()), room)
            changed[np.ix_(split.users, split.candidates)] = reserve(scores, own, bought, max(room, 1), each=False)
            found = evaluate({f"{places_given}": from_matrix(changed)}, split, k=k)
            rows.append(found.assign(dial=float(places_given)))
    return pd.concat(rows, ignore_index=True)
