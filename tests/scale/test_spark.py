"""The job past one machine equals the same on one: bridge, lists, new items; and what breaks is told or mended."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small import ITEMS, NEW, USERS, ByWords, FailsOnce, shop, write
from typer.testing import CliRunner

from coldstart_utils.book import cli
from coldstart_utils.ground import ColdstartError
from coldstart_utils.models import content, summed
from coldstart_utils.serving import scale, spark
from coldstart_utils.serving.spark_factors import Settings

SETTINGS = Settings(rank=4, sweeps=2, blocks=2, well_known=3, penalty=2.0, k=10)


def read(folder, name):
    return pd.read_parquet(folder / name)


def matrix(column):
    return np.array(column.to_list(), float)


@pytest.fixture(scope="module")
def learnt(engine, tables, tmp_path_factory):
    """The folder of a job on the shop, and its summary; every task that reads texts fails once."""
    from coldstart_utils.serving.spark_job import learn

    folder = tmp_path_factory.mktemp("learnt")
    return folder, learn(engine, str(tables), str(folder), SETTINGS, make=FailsOnce)


def local_bridge(folder):
    """Return factors of the new items by `content.bridge` on this machine, from the job's own vectors and factors."""
    items = read(folder, "items").merge(read(folder, "vectors"), on="item").sort_values("item", ignore_index=True)
    counts = pd.DataFrame(shop()[0], columns=["user", "item", "value"])["item"].value_counts()
    well = items.index[items["item"].map(counts).fillna(0) >= SETTINGS.well_known].to_numpy()
    X, new = matrix(items["vector"]), items.index[items["new"]].to_numpy()
    return items, new, content.bridge(X @ X.T, matrix(items["factor"])[well], well, new, SETTINGS.penalty)


def test_the_bridge_is_the_local_one(learnt):
    items, new, expected = local_bridge(learnt[0])
    assert len(new) == NEW
    assert np.abs(matrix(items["factor"])[new] - expected).max() < 1e-6


def test_a_task_that_is_lost_and_tried_again_changes_nothing(learnt):
    vectors = read(learnt[0], "vectors").sort_values("item")
    assert np.allclose(matrix(vectors["vector"]), ByWords().encode(vectors["text"]), atol=1e-5)
    assert vectors["item"].is_unique and len(vectors) == ITEMS


def best_here(folder, k):
    """Return each user's k best items by one product on this machine, without what they chose."""
    users, items = (read(folder, name).sort_values("number", ignore_index=True) for name in ("users", "items"))
    scores = matrix(users["factor"]) @ matrix(items["factor"]).T
    for user, item, _ in shop()[0]:
        scores[users.index[users["user"] == user][0], items.index[items["item"] == item][0]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    rows = zip(users["user"], order, np.take_along_axis(scores, order, 1))
    return {user: [(items["item"][i], s) for i, s in zip(best, own) if s > -np.inf] for user, best, own in rows}


def test_lists_are_those_of_one_product(learnt):
    lists = read(learnt[0], "lists").sort_values(["user", "place"])
    expected = best_here(learnt[0], SETTINGS.k)
    assert len(expected) == USERS + 1
    for user, rows in lists.groupby("user"):
        assert rows["item"].to_list() == [item for item, _ in expected[user]]
        assert np.allclose(rows["score"], [score for _, score in expected[user]])
    assert sorted(lists["user"].unique()) == sorted(expected)


def test_blocks_of_any_size_give_the_same_lists_with_ties(engine):
    from coldstart_utils.serving.spark_lists import best_lists

    rng = np.random.default_rng(1)
    U, V = rng.integers(-1, 2, (7, 2)).astype(float), rng.integers(-1, 2, (23, 2)).astype(float)
    users, items = (
        engine.createDataFrame([(n, row.tolist()) for n, row in enumerate(F)], "number int, factor array<float>")
        for F in (U, V)
    )
    nobody = engine.createDataFrame([(0, 3)], "user int, item int")
    scores = U @ V.T
    scores[0, 3] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    engine.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "3")
    try:
        found = best_lists(users, items, nobody, 5).toPandas().sort_values(["user", "place"])
    finally:
        engine.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(spark.ROWS))
    assert np.array_equal(found["item"].to_numpy().reshape(7, 5), expected)


def test_cold_items_are_served_where_spark_itself_has_none(engine, learnt):
    from coldstart_utils.serving.spark_factors import answers_to_strangers

    lists = read(learnt[0], "lists")
    assert lists["new"].any() and lists.loc[lists["new"], "user"].nunique() > USERS / 2
    choices = engine.createDataFrame([(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)], "user int, item int, value double")
    said = answers_to_strangers(engine, choices, Settings(rank=2, sweeps=1, blocks=1))
    assert said.loc['transform, coldStartStrategy="nan"'].to_list()[1:] == ["nan", "nan"]
    assert said.loc['transform, coldStartStrategy="drop"'].to_list()[1:] == ["no row", "no row"]
    assert said.loc["recommendForUserSubset of 2 users"].iloc[0] == "1 list came back"


def test_a_skewed_user_gets_what_is_left(learnt):
    own = read(learnt[0], "lists").query("user == 'skewed'")
    assert set(own["item"]) == {f"i{n:02}" for n in range(ITEMS - NEW - 2, ITEMS)}


def test_bad_rows_are_set_aside_with_their_reason(learnt):
    lines = [line for path in (learnt[0] / "quarantine").glob("*.json") for line in path.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    reasons = sorted((row["table"], row["reason"]) for row in rows)
    assert reasons == [
        ("choices", "no item"),
        ("choices", "no user"),
        ("choices", "the value is not a finite number"),
        ("choices", "the value is not above 0"),
        ("texts", "no item"),
        ("texts", "no text"),
        ("texts", "the item stands there twice"),
    ]
    assert learnt[1].bad == len(rows)
    assert json.loads(next(row["row"] for row in rows if row["reason"] == "no user")) == {"item": "i01", "value": 1.0}


def test_a_day_of_new_items_is_as_if_all_had_been_there(engine, learnt, tmp_path):
    from coldstart_utils.serving.spark_job import add_day

    folder, _ = learnt
    day = write(tmp_path / "day", texts=[("n1", "war war number1 part9"), ("n2", "love number3"), ("i01", "old")])
    summary = add_day(engine, str(day), str(folder), str(tmp_path / "out"), SETTINGS, make=ByWords)
    assert (summary.new, summary.bad, summary.items) == (2, 1, ITEMS + 2)
    items = read(tmp_path / "out", "items").set_index("item")
    vectors = pd.concat([read(folder, "vectors"), read(tmp_path / "out", "vectors")]).set_index("item")
    fitted = read(folder, "items").query("not new").merge(vectors.reset_index(), on="item")
    S = summed.moments(matrix(fitted["vector"]), matrix(fitted["factor"]))
    again = summed.ridge_from(S, len(vectors["vector"].iloc[0]), SETTINGS.penalty)
    assert (
        np.abs(matrix(items["factor"][["n1", "n2"]]) - again.of(matrix(vectors["vector"][["n1", "n2"]]))).max() < 1e-6
    )
    lists = read(tmp_path / "out", "lists").sort_values(["user", "place"])
    for user, best in best_here(tmp_path / "out", SETTINGS.k).items():
        assert lists.loc[lists["user"] == user, "item"].to_list() == [item for item, _ in best]
    longer = replace(SETTINGS, k=SETTINGS.k + 5)  # what follows the tenth place of yesterday is not known
    add_day(engine, str(day), str(folder), str(tmp_path / "longer"), longer, make=ByWords)
    columns = ["user", "place", "item"]
    assert (
        read(tmp_path / "longer", "lists").sort_values(columns)[columns].to_numpy().tolist()
        == lists[columns].to_numpy().tolist()
    )
    reason = next((tmp_path / "out" / "quarantine").glob("*.json")).read_text()
    assert "the item is known already" in reason


def test_what_cannot_be_used_is_said_in_a_sentence(engine, learnt, tmp_path):
    from coldstart_utils.serving.spark_job import add_day, learn

    def fails(source, out, settings=SETTINGS):
        with pytest.raises(ColdstartError) as caught:
            learn(engine, str(source), str(out), settings, make=ByWords)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    out = tmp_path / "out"
    assert "expected a table of Parquet files, found none" in fails(tmp_path, out)
    without = write(tmp_path / "without", texts=[("a", "b")])
    shutil.copytree(without / "texts", without / "choices")
    assert "expected a column 'user', found item, text" in fails(without, out)
    nothing = write(tmp_path / "nothing", [("u", "i", -1.0)], [("i", "words")])
    assert "expected one sound row at least, found none" in fails(nothing, out)
    assert "expected an item with both text and factor" in fails(
        write(tmp_path / "mute", [("u", "i", 1.0)], [("i", "")]), out
    )
    assert "holds the lists of an earlier job" in fails(tmp_path, learnt[0])
    with pytest.raises(ColdstartError, match="expected the bridge of an earlier job"):
        add_day(engine, str(tmp_path), str(tmp_path), str(out), SETTINGS)


def test_settings_out_of_range_are_refused():
    for name in ("rank", "sweeps", "blocks", "k", "reg", "penalty"):
        with pytest.raises(ColdstartError, match=f"{name}: expected"):
            replace(SETTINGS, **{name: 0})


def test_sums_over_parts_are_the_ridge_of_the_whole():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((50, 6)), rng.standard_normal((50, 3))
    S = sum(summed.moments(X[part], Y[part]) for part in np.array_split(np.arange(50), 7))
    learnt = summed.ridge_from(S, 6, 2.0)
    all_rows = np.arange(50)
    assert np.abs(learnt.of(X) - content.bridge(X @ X.T, Y, all_rows, all_rows, 2.0)).max() < 1e-9
    with pytest.raises(ColdstartError, match="of none"):
        summed.ridge_from(np.zeros((10, 10)), 6, 2.0)


def test_without_spark_or_java_a_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ColdstartError, match=r"pyspark is not installed; pip install 'coldstart-utils\[scale\]'"):
        scale.scale("ml-100k", str(tmp_path), master="local[2]", settings=SETTINGS, parts=2, tell=print)
    outcome = CliRunner().invoke(cli.app, ["scale", "ml-100k", str(tmp_path / "out")])
    assert outcome.exit_code == 1 and "pyspark is not installed" in outcome.output
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "no Java was found" in spark.lacking()
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    old.chmod(0o755)
    assert "Java 8 is too old" in spark.lacking()


def test_a_catalogue_is_written_as_tables_first(ml100k, tmp_path):
    pytest.importorskip("pyarrow")
    place = scale.as_tables("ml-100k", str(tmp_path))
    assert len(pd.read_parquet(f"{place}/choices")) == 100_000 and len(pd.read_parquet(f"{place}/texts")) == 1_682
    assert scale.as_tables("s3a://shop/day", "s3a://shop/out") == "s3a://shop/day"
    with pytest.raises(ColdstartError, match="written to a folder of it first"):
        scale.as_tables("ml-100k", "hdfs://out")
    with pytest.raises(ColdstartError, match="written to a folder of it first"):
        scale.as_tables("lastfm-2k", "hdfs://out")  # a name, whether or not it is installed


def test_a_folder_of_atomic_files_is_written_as_tables_first(tmp_path):
    pytest.importorskip("pyarrow")
    shop = tmp_path / "shop"
    shop.mkdir()
    rows = ["user_id:token\titem_id:token\trating:float", "u1\ti1\t2", "u1\ti2\t5", "u2\ti1\t1"]
    (shop / "shop.inter").write_text("\n".join(rows) + "\n")
    (shop / "shop.item").write_text("item_id:token\ttitle:token_seq\ni1\tA lamp\ni2\tA chair\ni3\tA new table\n")
    place = scale.as_tables(str(shop), str(tmp_path / "out"))
    choices, texts = (pd.read_parquet(f"{place}/{name}") for name in ("choices", "texts"))
    assert choices.astype(str).to_numpy().tolist() == [["u1", "i1", "1.0"], ["u1", "i2", "1.0"], ["u2", "i1", "1.0"]]
    assert dict(zip(texts["item"], texts["text"]))["i3"].startswith("A new table")


def test_what_a_started_process_remarks_goes_to_a_file(tmp_path, capfd):
    with spark.stderr_into(tmp_path / "folder" / "log"):
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('remark')"], check=True)
    subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('fault')"], check=True)
    assert (tmp_path / "folder" / "log").read_text() == "remark"
    assert capfd.readouterr().err == "fault"


def test_a_master_that_cannot_be_reached_is_named(monkeypatch, tmp_path):
    pytest.importorskip("pyspark")
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    def fails(builder):
        raise PySparkException("Cannot call methods on a stopped SparkContext.")

    monkeypatch.setattr(spark, "lacking", lambda: "")
    monkeypatch.setattr(SparkSession.Builder, "getOrCreate", fails)
    with pytest.raises(ColdstartError, match=r"master spark://nowhere:1: no session could be opened; expected"):
        scale.scale(
            "ml-100k", str(tmp_path / "out"), master="spark://nowhere:1", settings=SETTINGS, parts=2, tell=print
        )
    assert not (tmp_path / "out").exists()


def test_causes_are_found_in_traces():
    trace = "An error occurred while calling o1.fit.\n: org.apache.spark.SparkException: Job aborted\n\tat x"
    assert spark.cause_of(trace) == "Job aborted"
    assert (
        spark.cause_of("Traceback:\n x\ncoldstart_utils.ground.ColdstartError: text 3: none\n\n at y") == "text 3: none"
    )
