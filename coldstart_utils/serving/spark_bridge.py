"""The bridge on a cluster: texts encoded where they lie, normal equations summed, and new items given a factor."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from ..language.encoders import Reads
from ..models.summed import LinearBridge, moments, ridge_from

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Array = np.ndarray


def encoded(texts: DataFrame, make: Callable[[], Reads]) -> DataFrame:
    """Return the table of texts (item, text) with a column `vector`; each worker makes one encoder by `make`.

    The function that travels to the workers is a `pandas_udf` over an iterator: batches come, the encoder stays.
    """
    from pyspark.sql import functions as F

    def read(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        encoder = make()
        for batch in batches:
            yield pd.Series(list(encoder.encode(list(batch))), dtype=object)

    # The types are said here, as the strings in which annotations are kept tell Spark nothing.
    read.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    return texts.withColumn("vector", F.pandas_udf(read, "array<float>")("text"))


def summed_moments(pairs: DataFrame) -> Array:
    """Return the `moments` of all rows of a table (vector, factor), summed over partitions in a tree.

    Each block of rows becomes one matrix where it lies; only these matrices travel. Raises ColdstartError for no row.
    """
    import pyarrow as pa

    def block(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in full(batches):
            S = moments(rows_of(batch, "vector"), rows_of(batch, "factor"))
            yield pa.RecordBatch.from_pydict({"moments": [S.tobytes()]})

    sums = pairs.select("vector", "factor").mapInArrow(block, "moments binary").rdd
    total = sums.map(lambda row: np.frombuffer(row["moments"])).treeAggregate(0.0, operator.add, operator.add)
    if np.ndim(total) == 0:
        raise ColdstartError("bridge: expected an item with both text and factor to learn from, found none")
    return total.reshape(math.isqrt(total.size), -1)


def full(batches: Iterator[Any]) -> Iterator[Any]:
    """Return the Arrow batches that have rows: an empty partition may come as a batch of none."""
    return (batch for batch in batches if batch.num_rows)


def rows_of(batch: Any, column: str) -> Array:
    """Return a column of lists of one length of an Arrow batch as a matrix [rows, length]."""
    values = batch.column(column)
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), -1)


def learnt_bridge(pairs: DataFrame, rank: int, penalty: float) -> LinearBridge:
    """Return the ridge from `vector` to `factor` [rank] over all rows of a table, by `summed_moments`."""
    S = summed_moments(pairs)
    return ridge_from(S, len(S) - 1 - rank, penalty)


def promised(texts: DataFrame, bridge: LinearBridge) -> DataFrame:
    """Return the items of a table (item, vector) with the `factor` that the bridge gives each."""
    import pyarrow as pa

    def give(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in full(batches):
            factors = bridge.of(rows_of(batch, "vector")).astype(np.float32)
            yield pa.RecordBatch.from_pydict({"item": batch.column("item"), "factor": list(factors)})

    return texts.select("item", "vector").mapInArrow(give, "item string, factor array<float>")


def saved(session: SparkSession, bridge: LinearBridge, place: str) -> None:
    """Write a bridge as a table of one row."""
    d, t = bridge.weights.shape
    row = (bridge.intercept.tolist(), bridge.weights.ravel().tolist(), d, t)
    table = session.createDataFrame([row], "intercept array<double>, weights array<double>, d int, t int")
    table.coalesce(1).write.mode("overwrite").parquet(place)


def opened(session: SparkSession, place: str) -> LinearBridge:
    """Return the bridge that `saved` wrote. Raises ColdstartError where there is none."""
    from pyspark.errors import AnalysisException

    try:
        row = session.read.parquet(place).first()
    except AnalysisException:
        raise ColdstartError(f"{place}: expected the bridge of an earlier job, found none") from None
    return LinearBridge(np.array(row["intercept"]), np.array(row["weights"]).reshape(row["d"], row["t"]))
