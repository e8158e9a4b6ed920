"""`coldstart scale`: from a catalogue or two tables to a job at a master, told in sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..catalogue.sources import FETCHED, WHEELS, load_dataset
from ..ground import ColdstartError
from . import spark
from .spark_factors import Settings

Tell = Callable[[str], None]


def scale(source: str, out: str, *, after: str = "", master: str, settings: Settings, parts: int, tell: Tell) -> None:
    """Run the job on `source` at `master`, into `out`; with `after`, add the new items of `source` to that earlier job.

    `source` is a folder with the Parquet tables `choices` and `texts`, or a catalogue by name or folder of atomic
    files, which is written as such tables into `out` first. Raises ColdstartError without Spark or Java, for a master
    that cannot be reached, and for input that cannot be used.
    """
    if missing := spark.lacking():
        raise ColdstartError(missing)
    from .spark_job import add_day, learn

    session = spark.started(master, parts=parts)
    try:
        tables = as_tables(source, out)
        job = add_day(session, tables, after, out, settings) if after else learn(session, tables, out, settings)
    finally:
        session.stop()
    tell(f"{out}: {job.told}")


def as_tables(source: str, out: str) -> str:
    """Return where the tables of `source` lie: itself, or, if it is a catalogue, `out`/in, into which it is written.

    Raises ColdstartError for a catalogue whose `out` is no folder of this machine.
    """
    from .spark_rows import as_parquet

    folder = Path(source)
    named = source in WHEELS or (source in FETCHED and not folder.is_dir())
    if named or (folder.is_dir() and list(folder.glob("*.inter"))):
        if "://" in out:
            raise ColdstartError(f"{out}: a catalogue of this machine is written to a folder of it first; name one")
        return str(as_parquet(load_dataset(source), Path(out, "in")))
    return source
