"""Rows in: two tables of Parquet, what is wrong with a row, and numbers in the place of ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ..catalogue.dataset import Dataset
from ..catalogue.features import item_texts
from ..ground import ColdstartError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

CHOICES, TEXTS = "choices", "texts"
COLUMNS = {CHOICES: ("user", "item", "value"), TEXTS: ("item", "text")}


@dataclass(frozen=True, eq=False)
class Rows:
    """The sound rows of two tables, and how many were not: `choices` (user, item, value), `texts` (item, text)."""

    choices: DataFrame
    texts: DataFrame
    bad: int


def as_parquet(dataset: Dataset, folder: Path) -> Path:
    """Write choices, each of which counts 1, and texts of a data set as Parquet into `folder`, and return it."""
    users, items = dataset.users.iloc[:, 0].to_numpy(), dataset.items["item_id"].to_numpy()
    table = dataset.interactions
    choices = {"user": users[table["user"]], "item": items[table["item"]], "value": 1.0}
    texts = {"item": items, "text": item_texts(dataset)}
    for name, columns in ((CHOICES, choices), (TEXTS, texts)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).to_parquet(folder / name / "part-0.parquet", index=False)
    return folder


def table_in(session: SparkSession, folder: str, name: str) -> DataFrame:
    """Return the Parquet table `name` in a folder, ids as texts. Raises ColdstartError if it, or a column of it, is not
    there.
    """
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as F

    place = f"{folder.rstrip('/')}/{name}"
    try:
        table = session.read.parquet(place)
    except AnalysisException:
        raise ColdstartError(f"{place}: expected a table of Parquet files, found none") from None
    if missing := [column for column in COLUMNS[name] if column not in table.columns]:
        raise ColdstartError(f"{place}: expected a column {missing[0]!r}, found {', '.join(table.columns)}")
    texts = [F.col(column).cast("string").alias(column) for column in COLUMNS[name] if column != "value"]
    return table.select(*texts, *(["value"] if "value" in COLUMNS[name] else []))


def sound_rows(session: SparkSession, folder: str, quarantine: str) -> Rows:
    """Return the sound rows of `choices` and `texts` in a folder; the others go to `quarantine` with the reason.

    It gets one JSON object a line: table, row, reason. Raises ColdstartError for a table that is not there, and where
    no choice is sound.
    """
    from pyspark.sql import functions as F

    tables = {CHOICES: table_in(session, folder, CHOICES), TEXTS: _counted(table_in(session, folder, TEXTS))}
    judged = {name: table.withColumn("reason", _reason(name)).persist() for name, table in tables.items()}
    bad = _set_aside(judged, quarantine)
    sound = {name: table.where("reason is null").drop("reason", "copy") for name, table in judged.items()}
    choices = sound[CHOICES].withColumn("value", F.col("value").cast("double"))
    if choices.isEmpty():
        raise ColdstartError(f"{folder}/{CHOICES}: expected one sound row at least, found none; {quarantine} says why")
    return Rows(choices, sound[TEXTS], bad)


def new_texts(session: SparkSession, folder: str, known: DataFrame, quarantine: str) -> Rows:
    """Return the sound rows of `texts` in a folder whose items are not among the `known` (item), and no choices.

    The others go to `quarantine`, as by `sound_rows`. Raises ColdstartError for a table that is not there, and where no
    item is new.
    """
    from pyspark.sql import functions as F

    texts = _counted(table_in(session, folder, TEXTS)).join(known.withColumn("known", F.lit(True)), "item", "left")
    reason = F.coalesce(_reason(TEXTS), F.when(F.col("known"), "the item is known already"))
    judged = texts.withColumn("reason", reason).persist()
    bad = _set_aside({TEXTS: judged}, quarantine)
    sound = judged.where("reason is null").select(*COLUMNS[TEXTS])
    if sound.isEmpty():
        raise ColdstartError(f"{folder}/{TEXTS}: expected one new item at least, found none; {quarantine} says why")
    return Rows(session.createDataFrame([], "user string, item string, value double"), sound, bad)


def _counted(texts: DataFrame) -> DataFrame:
    """Return texts with a column `copy`: 1, and 2, 3, … for further texts of the same item."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    return texts.withColumn("copy", F.row_number().over(Window.partitionBy("item").orderBy("text")))


def _set_aside(judged: dict[str, DataFrame], quarantine: str) -> int:
    """Write the rows that have a reason as JSON lines, and return how many there are."""
    from pyspark.sql import functions as F

    parts = [
        table.where("reason is not null").select(F.lit(name).alias("table"), _as_json(name), "reason")
        for name, table in judged.items()
    ]
    bad = reduce(lambda a, b: a.unionByName(b), parts)
    bad.coalesce(1).write.mode("overwrite").json(quarantine)
    return bad.count()


def _as_json(name: str) -> Column:
    from pyspark.sql import functions as F

    return F.to_json(F.struct(*COLUMNS[name])).alias("row")


def _reason(name: str) -> Column:
    """Return what is wrong with a row, null for nothing; the first fault counts."""
    from pyspark.sql import functions as F

    def empty(column: str) -> Column:
        return F.col(column).isNull() | (F.trim(F.col(column)) == "")

    if name == TEXTS:
        faults = {"no item": empty("item"), "no text": empty("text"), "the item stands there twice": F.col("copy") > 1}
    else:
        number = F.expr("try_cast(value as double)")
        finite = number.isNotNull() & ~F.isnan(number) & (F.abs(number) != float("inf"))
        faults = {"no user": empty("user"), "no item": empty("item"), "the value is not a finite number": ~finite}
        faults |= {"the value is not above 0": number <= 0}
    return F.coalesce(*(F.when(fault, reason) for reason, fault in faults.items()))


def kept(table: DataFrame, place: str) -> DataFrame:
    """Write a table as Parquet and return it as it lies there: a lost machine then costs no step that has ended."""
    table.write.mode("overwrite").parquet(place)
    return table.sparkSession.read.schema(table.schema).parquet(place)


def numbered(ids: DataFrame, place: str, *, first: int = 0) -> DataFrame:
    """Return the different ids of a table of one column with numbers: `first`, first + 1, …, in the order of the ids.

    No machine sees all of them: each numbers a range of its own, from where those before it end. The ranges are kept at
    `place`, so that a lost machine changes no number.
    """
    from pyspark.sql import functions as F

    (name,) = ids.columns
    ranges = ids.distinct().repartitionByRange(name).sortWithinPartitions(name)
    counted = F.monotonically_increasing_id()  # the partition in the upper bits, the row in the lower 33
    rows = kept(
        ranges.select(name, F.shiftright(counted, 33).alias("range"), counted.bitwiseAND(2**33 - 1).alias("row")), place
    )
    sizes = {row["range"]: row["count"] for row in rows.groupBy("range").count().collect()}
    parts = sorted(sizes)
    starts = accumulate((sizes[part] for part in parts), initial=first)
    offsets = ids.sparkSession.createDataFrame([*zip(parts, starts)], "range bigint, start bigint")
    number = (F.col("start") + F.col("row")).cast("int").alias("number")
    return rows.join(F.broadcast(offsets), "range").select(name, number)
