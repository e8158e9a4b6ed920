"""One Spark session for all tests of this folder, and the tables of a small shop."""

import importlib.util

import pytest
import small
from small import shop, write

from coldstart_utils.serving import spark


@pytest.fixture(scope="session")
def engine():
    """A session of two threads, in which a task may fail once and is tried again."""
    if missing := spark.lacking():
        pytest.skip(missing)
    with pytest.MonkeyPatch.context() as patch:
        # Tables of ten rows: compiling plans and code well would take longer than running them.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        session = spark.started("local[2,2]", parts=2, memory="1g")
    session.conf.set("spark.sql.adaptive.enabled", "false")
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    session.stop()


@pytest.fixture(scope="session", autouse=True)
def travels():
    """What these files define travels to the workers as a whole: they cannot import it."""
    if importlib.util.find_spec("pyspark"):
        from pyspark import cloudpickle

        cloudpickle.register_pickle_by_value(small)


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """The folder of the two tables of the shop, with bad rows of every kind."""
    choices, texts = shop()
    bad = [(None, "i01", 1.0), ("u01", " ", 1.0), ("u01", "i01", float("nan")), ("u01", "i03", -1.0)]
    bad_texts = [(None, "a text"), ("i99", ""), ("i01", "zzz a second text")]
    return write(tmp_path_factory.mktemp("shop"), choices + bad, texts + bad_texts)
