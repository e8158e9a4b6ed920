"""What chapter 14 says of the job in Spark, of its traffic, and of a switch from stars to choices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..catalogue.splits import Split
from ..measure import metrics
from ..measure.ranking import Scorer
from ..serving.growth import ML_1M, on_paper
from .scaling import MANY, ONE, STEPS, in_words


def traffic(measured: pd.DataFrame) -> pd.DataFrame:
    """Return the bytes that one sweep of Spark's ALS moves between blocks, on paper and measured, by size."""
    swept = measured[(measured["engine"] == MANY) & (measured["step"] == "sweep")].set_index("times")["moved"]
    paper = {times: on_paper(ML_1M.times(times)).loc["sweep of ALS", "moved"] for times in swept.index}
    return pd.DataFrame({"on paper": paper, "measured": swept}).rename(index="{:g}×".format)


def measured_up_to(measured: pd.DataFrame) -> float:
    """Return up to how many times MovieLens-1M all steps of Spark that grow were measured."""
    rows = measured[(measured["engine"] == MANY) & (measured["step"].isin([*STEPS]))]
    return float(rows.groupby("step")["times"].max().min())


def traffic_told(table: pd.DataFrame) -> str:
    """Return in a sentence how far the arithmetic was off."""
    off = (table["measured"] / table["on paper"]).round(2)
    far = " to ".join(f"{x:.2f}" for x in sorted({off.min(), off.max()}))
    return (
        f"Measured traffic is {far} times that on paper. The ids that travel with the factors raise it; compression, "
        "and users who are not equally busy, lower it. The arithmetic leaves out all three."
    )


def swept_told(took: Mapping[float, tuple[float, int]], measured: pd.DataFrame) -> str:
    """Return in sentences what the first sweep took here, and what one of Spark takes at the size of MovieLens-1M.

    `took` has processor seconds and choices by size, `measured` is what `data/scale.py` recorded.
    """
    parts = [f"{choices:,} choices took {seconds:.2g} processor seconds" for seconds, choices in took.values()]
    text = f"Here {' and '.join(parts)} for the first sweep"
    sizes = list(took.values())
    (before, few), (after, much) = sizes[0], sizes[-1]
    if few < much and before > 0:
        text += f": {much / few:.0f} times the choices, {after / before:.0f} times the seconds"
    of_spark = measured[(measured["engine"] == MANY) & (measured["step"] == "sweep") & (measured["times"] == 1)]
    return f"{text}. A sweep of Spark takes {of_spark['cpu'].iloc[0]:.2g} at 1×."


def memory_told(measured: pd.DataFrame) -> str:
    """Return in sentences what choices and factors take at two sizes, and what one process took at its largest."""
    held = [on_paper(ML_1M.times(times)).loc[["choices", "factors"], "bytes"].sum() for times in (100, 10_000)]
    few, much = map(in_words, held)
    rows = measured[measured["engine"] == ONE]
    times = rows["times"].max()
    peak = in_words(1e6 * rows.loc[rows["times"] == times, "peak"].max())
    return (
        f"Memory calls for a cluster later still: on paper choices and factors take {few} at 100×, {much} at 10,000×. "
        f"With its working copies, one process took {peak} at {times:g}×."
    )


def left_out(lacking: str, recorded: bool) -> str:
    """Return in a sentence why Spark did not run, and what stands in its place."""
    why = f"{lacking[0].upper()}{lacking[1:]}." if lacking else "`QUICK` runs the local half only."
    return f"{why} " + (
        "What follows of Spark was recorded on MovieLens-100K." if recorded else "Spark is left out here."
    )


def job_told(facts: Mapping[str, float]) -> str:
    """Return in a sentence how far the job is from this machine, and what new items got."""
    return (
        f"The bridge of the job and that of this machine differ by {facts['bridge apart']:.0e} at most, scores of "
        f"lists by {facts['lists apart']:.0e}. New items, {100 * facts['share of items that are new']:.0f} % of all, "
        f"hold {100 * facts['share of places with new items']:.1f} % of the places; chapter 06 shows how to give them "
        "more."
    )


def strangers(said: pd.DataFrame) -> dict[str, float]:
    """Return the facts of `spark_factors.answers_to_strangers`: shares of nan and of missing rows, and lists."""
    nan, dropped = (said.iloc[0, 1:] == "nan").mean(), (said.iloc[1, 1:] == "no row").mean()
    return {"nan": nan, "dropped": dropped, "lists for two users": float(said.iloc[2, 0].split()[0])}


def strangers_told(facts: Mapping[str, float]) -> str:
    """Return in a sentence what MLlib says of what is new."""
    lists = facts["lists for two users"]
    return (
        "With `nan`, the score of a new item is not a number, and sorting by it gives nonsense. With `drop`, its row "
        "is missing. The list of the unknown user is missing without an error: for two users "
        f"{lists:.0f} list{'s' * (lists != 1)} came back. Only a join with the table of all users shows who has none."
    )


def day_told(facts: Mapping[str, float]) -> str:
    """Return in a sentence what a day of new items took and changed."""
    changed = "No factor of an older item changed." if facts["factors kept"] else "Factors of older items changed."
    return f"The day took {facts['seconds of the day']:.0f} s, the job {facts['seconds of the job']:.0f} s. {changed}"


def chosen_by(scorer: Scorer, split: Split, k: int = 10) -> float:
    """Return the median number of known choices of the items that a scorer lists."""
    lists = metrics.top_k(np.array(scorer(split.users, split.candidates), float), min(k, len(split.candidates)))
    return float(np.median(split.item_counts[split.candidates[lists]]))


def stars_told(table: pd.DataFrame, scorers: Mapping[str, Scorer], split: Split, facts: Mapping[str, float]) -> str:
    """Return in sentences what the switch from stars to choices does, here and in MLlib."""
    stars, chose, fame = (table.loc[name, "mean"] for name in ("ALS on stars", "ALS on choices", "popularity"))
    rare, known = (chosen_by(scorers[name], split) for name in ("ALS on stars", "ALS on choices"))
    beaten = "beats" if fame > stars else "does not beat"
    text = (
        f"Fitted to stars, ALS reaches {stars:.3f}; fitted to choices, {chose:.3f}. Popularity, {fame:.3f}, {beaten} "
        f"ALS fitted to stars. What ALS lists after stars was chosen by {rare:.0f} users (median), after choices by "
        f"{known:.0f}."
    )
    if "Spark, stars" in facts:
        of_spark = facts["Spark, stars"]
        nearer = "MLlib" if abs(of_spark - 0.044) < abs(stars - 0.044) else "our ALS"
        text += f" MLlib reaches {of_spark:.3f} after stars, {facts['Spark, choices']:.3f} after choices. After stars, "
        text += f"{nearer} is nearer to .044."
    return text


def switched(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a `study.compare` table in the order of the figure, below the published number.

    Of one user there is no interval: it shrinks to the mean.
    """
    published = pd.DataFrame({"model": ["published: Spark ALS"], "mean": 0.044, "low": 0.044, "high": 0.044})
    order = ["ALS on stars", "Spark, stars", "popularity", "ALS on choices", "Spark, choices"]
    rows = table.loc[[name for name in order if name in table.index]]
    ends = {end: rows[end].where(np.isfinite(rows[end]), rows["mean"]) for end in ("low", "high")}
    return pd.concat([published, rows.assign(**ends)])
