"""Apache Spark: what it needs, a session, and its faults told in one sentence."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground import ColdstartError, cache_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NEEDED = ("pyspark", "pyarrow")
OLDEST_JAVA = 17
LOG = "spark.log"  # in the cache folder: what Java writes
ROWS = 4_096  # of a block: what one product or one text model is given at a time


def lacking() -> str:
    """Return in a sentence what Spark needs and this machine does not have, '' for nothing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"{missing[0]} is not installed; pip install 'coldstart-utils[scale]' brings it"
    version = java_version()
    if version is None:
        return (
            f"no Java was found; Spark needs {OLDEST_JAVA} or later (Debian: apt-get install openjdk-17-jre-headless)"
        )
    if version < OLDEST_JAVA:
        return f"Java {version} is too old; Spark needs {OLDEST_JAVA} or later (set JAVA_HOME to a newer one)"
    return ""


def java_version() -> int | None:
    """Return the main version of the Java that Spark would start ($JAVA_HOME, else the path), None without one."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    if program is None:
        return None
    told = subprocess.run([program, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else None


def started(master: str = "local[2]", *, parts: int = 4, memory: str = "2g") -> SparkSession:
    """Return a session at `master`: 'local[2]' is two threads of this machine, else the address of a cluster.

    Data moves in `parts` partitions a shuffle; `memory` is that of the driver, which does all the work where the master
    is local. Nothing listens but on the loopback address then. What Java remarks goes to spark.log in the cache folder.
    Raises ColdstartError without Spark or Java, and for a master that cannot be reached.
    """
    if missing := lacking():
        raise ColdstartError(missing)
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.driver.memory": memory,
        # A task that fails is tried again, and what fails for good is told in one sentence: no trace in between.
        "spark.log.level": "OFF",
        "spark.cleaner.referenceTracking.cleanCheckpoints": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.default.parallelism": str(parts),
        "spark.sql.shuffle.partitions": str(parts),
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS),
    }
    if master.startswith("local"):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # It tells of pandas 3 at every step; what this package uses of pandas in Spark is tested.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    builder = SparkSession.builder.master(master).appName("coldstart")
    try:
        with faults_told(), stderr_into(cache_dir() / LOG):
            return builder.config(map=settings).getOrCreate()
    except ColdstartError as error:
        why = f"expected a Spark master that runs there and reaches this machine ({str(error).rstrip('.')})"
        raise ColdstartError(f"master {master}: no session could be opened; {why}") from error


@contextlib.contextmanager
def stderr_into(path: Path) -> Iterator[None]:
    """Send what processes that start meanwhile write as errors into a file: Java tells there what nobody asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


@contextlib.contextmanager
def faults_told() -> Iterator[None]:
    """Tell what goes wrong inside Spark as a ColdstartError of one sentence, the cause and not the trace."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise ColdstartError(f"Spark: {cause_of(str(error))}") from error


def cause_of(text: str) -> str:
    """Return the sentence that a trace of Spark is about: what our own code said, else its first line."""
    own = re.findall(r"ColdstartError: (.+)", text)
    if own:
        return own[-1].strip()
    java = re.findall(r"^: ?(?:[\w.$]+: )?(.+)", text, re.MULTILINE)
    return (java[0] if java else text.strip().splitlines()[0] if text.strip() else "unknown fault").strip()
