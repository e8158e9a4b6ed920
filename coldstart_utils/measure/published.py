"""Published tables: numbers as printed, how many users stand behind them, and which differences so many can show."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from ..ground import ColdstartError, package_file
from .intervals import holm

Array = np.ndarray


def published(table: str) -> pd.DataFrame:
    """Return what was printed in `table` ('meta-learners' or 'recommenders'): model and mode down, metrics across.

    Sources stand in `data/published.README.md`. Raises ColdstartError for another table.
    """
    rows = pd.read_csv(package_file("published.tsv"), sep="\t")
    if table not in set(rows["table"]):
        raise ColdstartError(f"published: expected one of {', '.join(rows['table'].unique())}, got {table!r}")
    wide = rows[rows["table"] == table].pivot(index=["mode", "model"], columns="metric", values="value")
    return wide.reset_index().rename_axis(columns=None)


def users_behind(value: float, k: int = 1, *, most: int = 100, digits: int = 4) -> list[int]:
    """Return the numbers of users, up to `most`, for whom `value` can be a mean of k-ths, rounded to `digits`.

    A precision at 5 is a count of hits out of 5·n: .6103 is 177/290, a count for 58 users, and no count for 57.
    """
    places = k * np.arange(1, most + 1)
    hits = np.rint(value * places)
    return [int(n // k) for n in places[np.abs(hits / places - value) <= 0.5 * 10.0**-digits + 1e-12]]


def spread(rows: pd.DataFrame, metric: str, *, paired: bool, floor: tuple[str, ...] = ("chance",)) -> float:
    """Return the standard deviation of one user's `metric` in one split, or, `paired`, of a difference of two methods.

    The median over the models (pairs of models) in `rows` but the `floor`. Of n users a mean varies by this / √n, and a
    difference between two methods tested on other users by √2 times as much. `rows` have one line a user, model and
    `split`.
    """
    wide = rows.pivot_table(index=["split", "user"], columns="model", values=metric)
    wide = wide.drop(columns=[name for name in floor if name in wide])
    pairs = [(wide[one] - wide[other]).std() for one, other in combinations(wide, 2)]
    return float(np.median(pairs if paired else wide.std()))


def survivors(
    values: pd.Series, marks: pd.Series, n: int, *, same: float, other: float, level: float = 0.05
) -> pd.DataFrame:
    """Return which differences between published `values` (by model), and to `marks` (by method), n users can show.

    A row for each pair: `one` and `against` (the larger first), `kind` ('published' or 'mark'), `difference`, its
    standard error if both were tested on the same n users (`same`/√n), or on other ones (√2·`other`/√n); p-values by
    the normal distribution, Holm's correction over the pairs of a kind, and `shown` 'on any users', 'if on the same
    users' or 'no'. A mark is known from many users: its own error is left out.
    """
    pairs = [(a, b, "published", values[a] - values[b]) for a, b in combinations(values.index, 2)]
    pairs += [(a, b, "mark", values[a] - marks[b]) for a in values.index for b in marks.index]
    rows = pd.DataFrame(pairs, columns=["one", "against", "kind", "difference"])
    between = rows["kind"] == "published"
    turned = between & (rows["difference"] < 0)
    rows.loc[turned, ["one", "against"]] = rows.loc[turned, ["against", "one"]].to_numpy()
    rows.loc[turned, "difference"] *= -1
    # What is compared with a mark is one mean, of users of its own.
    error = {
        "same": np.full(len(rows), same / np.sqrt(n)),
        "any": np.where(between, np.sqrt(2), 1.0) * other / np.sqrt(n),
    }
    error["same"] = np.where(between, error["same"], error["any"])
    for name, of in error.items():
        p = 2 * stats.norm.sf(np.abs(rows["difference"]) / of)
        for kind in rows["kind"].unique():
            part = (rows["kind"] == kind).to_numpy()
            p[part] = holm(p[part])
        rows[f"error {name}"], rows[f"p {name}"] = of, p
    answers = np.select([rows["p any"] < level, rows["p same"] < level], ["on any users", "if on the same users"], "no")
    return rows.assign(shown=answers)
