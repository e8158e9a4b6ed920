"""The best items of every user by products of blocks: users in one, items in the other, and the best of each pair."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .spark_bridge import full, rows_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Users:
    """A block of users: their numbers [n], factors [n, rank], and pairs (row, item number) of what they chose."""

    numbers: Array
    factors: Array
    row: Array
    chosen: Array


@dataclass(frozen=True, eq=False)
class Best:
    """The best so far of a block of users: item numbers [n, up to k] and scores, −inf where there are fewer items."""

    users: Array
    items: Array
    scores: Array


def best_lists(users: DataFrame, items: DataFrame, chosen: DataFrame, k: int) -> DataFrame:
    """Return the k best items (user, place, item, score) of every user without those chosen, by number.

    users, items: tables of number and factor; chosen: pairs (user, item). The score is the product of factors in double
    precision; of equal scores the smaller number comes first, in whatever blocks they lie.
    """
    own = chosen.groupBy("user").agg({"item": "collect_set"}).toDF("number", "chosen")
    of_users = _blocks(users.join(own, "number", "left"), with_chosen=True)
    of_items = _blocks(items, with_chosen=False)
    partial = of_users.cartesian(of_items).map(lambda pair: (int(pair[0].numbers[0]), _scored(pair[0], pair[1], k)))
    best = partial.reduceByKey(lambda a, b: merged(a, b, k))
    rows = best.flatMap(lambda found: _rows(found[1]))
    return users.sparkSession.createDataFrame(rows, "user int, place int, item int, score double")


def _blocks(table: DataFrame, *, with_chosen: bool) -> RDD:
    """Return a table cut into blocks, which are kept, as each meets all of the other side.

    They are sorted first: a task that runs again must cut in the same places.
    """
    import pyarrow as pa
    from pyspark import StorageLevel

    def cut(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in full(batches):
            numbers, factors = batch.column("number").to_numpy(), rows_of(batch, "factor").astype(float)
            block: Any = (numbers, factors)
            if with_chosen:
                own = batch.column("chosen")
                row = np.repeat(np.arange(len(numbers)), own.value_lengths().fill_null(0).to_numpy())
                block = Users(numbers, factors, row, own.flatten().to_numpy(zero_copy_only=False))
            yield pa.RecordBatch.from_pydict({"block": [pickle.dumps(block)]})

    ordered = table.repartition("number").sortWithinPartitions("number")
    blocks = ordered.mapInArrow(cut, "block binary").rdd.map(lambda row: pickle.loads(row["block"]))
    return blocks.persist(StorageLevel.MEMORY_AND_DISK)


def _scored(users: Users, items: tuple[Array, Array], k: int) -> Best:
    numbers, factors = items
    scores = users.factors @ factors.T
    place = np.minimum(np.searchsorted(numbers, users.chosen), len(numbers) - 1)
    here = numbers[place] == users.chosen
    scores[users.row[here], place[here]] = -np.inf
    return top(Best(users.numbers, np.broadcast_to(numbers, scores.shape), scores), k)


def top(found: Best, k: int) -> Best:
    """Return the k best columns of each row, by falling score and rising number; fewer where there are fewer."""
    k = min(k, found.scores.shape[1])
    cut = -np.partition(-found.scores, k - 1, axis=1)[:, k - 1 : k]
    row, column = np.nonzero(found.scores >= cut)  # k of each row, and what ties with the last
    scores, items = found.scores[row, column], found.items[row, column]
    order = np.lexsort([items, -scores, row])
    begin = np.searchsorted(row, np.arange(len(found.users)))
    kept = order[begin[:, None] + np.arange(k)]
    return Best(found.users, items[kept], scores[kept])


def merged(a: Best, b: Best, k: int) -> Best:
    """Return the best of two parts of the items for the same users."""
    return top(Best(a.users, np.hstack([a.items, b.items]), np.hstack([a.scores, b.scores])), k)


def _rows(found: Best) -> Iterator[tuple[int, int, int, float]]:
    for user, items, scores in zip(found.users.tolist(), found.items.tolist(), found.scores.tolist()):
        for place, (item, score) in enumerate(zip(items, scores)):
            if score > -np.inf:
                yield user, place + 1, item, score
