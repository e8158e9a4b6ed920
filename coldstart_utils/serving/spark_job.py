"""The job that `coldstart scale` submits: from two tables to factors, a bridge and lists, and a day of new items."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..ground import ColdstartError
from ..language.encoders import Reads, TextEncoder
from .spark import faults_told
from .spark_bridge import encoded, learnt_bridge, opened, promised, saved
from .spark_factors import Settings, als_model
from .spark_lists import best_lists
from .spark_rows import kept, new_texts, numbered, sound_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

USERS, ITEMS, BRIDGE, LISTS, QUARANTINE = "users", "items", "bridge", "lists", "quarantine"


@dataclass
class Summary:
    """How many `users`, `items`, `new` ones among them and `bad` rows a job met, and the `seconds` of each step."""

    users: int = 0
    items: int = 0
    new: int = 0
    bad: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the wall-clock seconds of a step."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun

    @property
    def told(self) -> str:
        """The summary in a sentence."""
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        rows = "row" if self.bad == 1 else "rows"
        return (
            f"{self.users:,} users, {self.items:,} items, {self.new:,} of them new; {self.bad:,} bad {rows} "
            f"set aside ({steps})."
        )


def learn(
    session: SparkSession, source: str, out: str, settings: Settings, *, make: Callable[[], Reads] = TextEncoder
) -> Summary:
    """Learn from the tables `choices` and `texts` in the folder `source`, and write what was learnt into `out`.

    As Parquet: users (user, number, factor), items (item, number, factor, new), bridge, and lists (user, place, item,
    score, number, new); quarantine holds bad rows as JSON lines. Paths may be those of any file system that the cluster
    knows. Raises ColdstartError for input that cannot be used, and for a folder that a finished job has filled.
    """
    summary, place = Summary(), _vacant(session, out)
    with faults_told():
        session.sparkContext.setCheckpointDir(place("checkpoints"))
        with summary.step("rows"):
            rows = sound_rows(session, source, place(QUARANTINE))
            users = numbered(rows.choices.select("user"), place("numbers/users"))
            known = numbered(rows.choices.select("item"), place("numbers/items"))
            choices = _by_number(rows.choices, users, known).persist()
            summary.bad, summary.users = rows.bad, users.count()
        with summary.step("factors"):
            model = als_model(choices, settings)
            kept(users.join(model.userFactors.toDF("number", "factor"), "number"), place(USERS))
            known = known.join(model.itemFactors.toDF("number", "factor"), "number").persist()
        with summary.step("texts"):
            vectors = kept(encoded(rows.texts, make), place("vectors"))
        with summary.step("bridge"):
            taught = _taught(known, vectors, choices, settings.well_known)
            bridge = learnt_bridge(taught, settings.rank, settings.penalty)
            saved(session, bridge, place(BRIDGE))
        with summary.step("new items"):
            cold = vectors.join(known.select("item"), "item", "left_anti")
            numbers = numbered(cold.select("item"), place("numbers/new"), first=known.count())
            new = _as_new(promised(cold, bridge).join(numbers, "item"))
            items = kept(_as_known(known).unionByName(new), place(ITEMS))
            summary.items, summary.new = items.count(), items.where("new").count()
        with summary.step("lists"):
            users = session.read.parquet(place(USERS))
            found = best_lists(users.select("number", "factor"), items.select("number", "factor"), choices, settings.k)
            kept(_with_ids(found, users, items), place(LISTS))
        session.catalog.clearCache()
    return summary


def add_day(
    session: SparkSession, source: str, after: str, out: str, settings: Settings,
    *, make: Callable[[], Reads] = TextEncoder,
) -> Summary:  # fmt: skip
    """Add the new items in `texts` of the folder `source` to what an earlier job left in `after`, into `out`.

    Nothing is fitted again: each text is read, the bridge gives it a factor, and the new items compete with the k best
    that each user has already. Nobody has chosen a new item yet, so the lists are those of all items. They are no
    longer than the longest list of the earlier job: what would follow there is not known. Writes users, items, bridge,
    lists and quarantine as `learn` does, ready for the next day.
    """
    summary, place = Summary(), _vacant(session, out)
    with faults_told():
        bridge = opened(session, f"{after}/{BRIDGE}")
        users, items, lists = (session.read.parquet(f"{after}/{name}") for name in (USERS, ITEMS, LISTS))
        with summary.step("rows"):
            rows = new_texts(session, source, items.select("item"), place(QUARANTINE))
            summary.bad, summary.users = rows.bad, users.count()
        with summary.step("texts"):
            vectors = kept(encoded(rows.texts, make), place("vectors"))
        with summary.step("new items"):
            numbers = numbered(vectors.select("item"), place("numbers/new"), first=items.count())
            new = _as_new(promised(vectors, bridge).join(numbers, "item"))
            items = kept(items.unionByName(new), place(ITEMS))
            kept(users, place(USERS))
            saved(session, bridge, place(BRIDGE))
            summary.items, summary.new = items.count(), rows.texts.count()
        with summary.step("lists"):
            nobody = session.createDataFrame([], "user int, item int")
            k = min(settings.k, lists.agg({"place": "max"}).first()[0])
            found = best_lists(users.select("number", "factor"), new.select("number", "factor"), nobody, k)
            kept(_placed(lists.unionByName(_with_ids(found, users, items)), k), place(LISTS))
        session.catalog.clearCache()
    return summary


def _vacant(session: SparkSession, out: str) -> Callable[[str], str]:
    """Return what names a place in `out`. Raises ColdstartError if a job that has ended wrote there."""
    from pyspark.errors import AnalysisException

    out = out.rstrip("/")
    with contextlib.suppress(AnalysisException):
        session.read.parquet(f"{out}/{LISTS}")
        raise ColdstartError(f"{out}: holds the lists of an earlier job; name another folder for this one")
    return lambda name: f"{out}/{name}"


def _by_number(choices: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Return choices (user, item: numbers; value) with those of one pair added up."""
    joined = choices.join(users.withColumnRenamed("number", "u"), "user").join(
        items.withColumnRenamed("number", "i"), "item"
    )
    return joined.groupBy("u", "i").sum("value").toDF("user", "item", "value")


def _taught(known: DataFrame, vectors: DataFrame, choices: DataFrame, least: int) -> DataFrame:
    """Return vector and factor of the items that at least so many users chose."""
    counts = choices.groupBy("item").count().where(f"count >= {least}")
    return vectors.join(known.join(counts.select(counts["item"].alias("number")), "number"), "item")


def _as_known(items: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return items.select("item", "number", "factor", F.lit(False).alias("new"))


def _as_new(items: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return items.select("item", "number", "factor", F.lit(True).alias("new"))


def _with_ids(found: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Return lists by number (user, place, item, score) with ids: user, place, item, score, number, new."""
    names = users.select("user", users["number"].alias("u"))
    of_items = items.select("item", "number", "new")
    lists = found.toDF("u", "place", "number", "score").join(names, "u").join(of_items, "number")
    return lists.select("user", "place", "item", "score", "number", "new")


def _placed(lists: DataFrame, k: int) -> DataFrame:
    """Return the k best of each user, numbered anew by falling score and rising number."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy("user").orderBy(F.desc("score"), "number")
    return lists.withColumn("place", F.row_number().over(order)).where(f"place <= {k}")
