"""How a catalogue grows, what that takes on paper, and what a plan makes of unit costs."""

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.book import scaling, scaling_told
from coldstart_utils.data import scale as recorded
from coldstart_utils.ground import ColdstartError
from coldstart_utils.serving import growth
from coldstart_utils.serving.growth import Size, Unit

FREE = {"text": 0.0, "bridge": 0.0, "pair": 0.0, "sweep": 0.0}


def test_a_grown_catalogue_has_the_size_asked_for():
    small, large = growth.grown(0.05), growth.grown(0.1)
    assert large.shape == (604, 371) and set(large.data) == {1.0}
    assert 1.8 < large.nnz / small.nnz < 2.7
    assert np.diff(large.indptr).min() >= 10
    counts = np.sort(np.diff(large.tocsc().indptr))[::-1]
    assert counts[:37].sum() > 0.2 * large.nnz  # a few are famous
    assert (growth.grown(0.05) != small).nnz == 0 and (growth.grown(0.05, seed=1) != small).nnz > 0
    with pytest.raises(ColdstartError, match="times: expected enough"):
        growth.grown(0.001)


def test_users_of_one_kind_choose_alike():
    X = growth.grown(0.2).tocoo()
    assert np.mean(X.row % growth.KINDS == X.col % growth.KINDS) > 4 / growth.KINDS


def test_arithmetic_by_hand():
    # Two users, two items, all four choices, one number a factor, one block: everybody is reached once.
    paper = growth.on_paper(Size(2, 2, 4, rank=1, blocks=1))
    assert paper.loc["choices", "bytes"] == 64
    assert paper.loc["factors", "bytes"] == 16
    assert paper.loc["sweep of ALS"].to_list() == [0, 4 * 4, 4 * 4 + 4 / 3]
    assert paper.loc["bridge", "moved"] == 8 * 386**2
    assert paper.loc["lists", "operations"] == 8


def test_with_many_blocks_a_factor_travels_once_a_choice():
    few, many = (growth.on_paper(Size(1_000, 1_000, 3_000, 8, blocks)) for blocks in (1, 100_000))
    assert few.loc["sweep of ALS", "moved"] == pytest.approx(4 * 8 * 2_000 * (1 - 0.0**3))
    assert many.loc["sweep of ALS", "moved"] == pytest.approx(4 * 8 * 6_000, rel=1e-3)


def test_a_plan_adds_up():
    unit = Unit(start=3_600, read=1e-6, sweep=2e-6, text=1e-2, bridge=1e-4, pair=1e-8)
    size = Size(1e6, 1e5, 1e8)
    rows = growth.plan(size, unit, cores=10, price=0.5, sweeps=5)
    steps = rows.drop("all")
    assert rows.loc["all", "core-hours"] == pytest.approx(steps["core-hours"].sum())
    assert steps.loc["5 sweeps of ALS", "core-hours"] == pytest.approx(5 * 1e8 * 2e-6 / 3_600)
    assert rows.loc["all", "hours"] == pytest.approx(rows.loc["all", "core-hours"] / 10 + 1)
    assert rows.loc["all", "dollars"] == pytest.approx(rows.loc["all", "core-hours"] / 2)
    double = growth.plan(Size(1e6, 1e5, 1e8, rank=64), unit, cores=10, price=0.5, sweeps=5)
    assert double.loc["5 sweeps of ALS", "core-hours"] == pytest.approx(4 * rows.loc["5 sweeps of ALS", "core-hours"])
    assert double.loc["everybody's list", "core-hours"] == pytest.approx(2 * rows.loc["everybody's list", "core-hours"])


def test_where_a_cluster_overtakes():
    # t seconds alone; 100 + t/2 on two cores: from 200 times on.
    alone = Unit(start=0, read=1 / growth.CHOICES, **FREE)
    cluster = Unit(start=100, read=1 / growth.CHOICES, **FREE)
    assert growth.crossover(alone, cluster, own=1, cores=2) == pytest.approx(200, rel=0.03)
    assert growth.crossover(alone, cluster, own=2, cores=2) == np.inf
    assert "never does" in scaling.crossing_told(alone, Unit(100, 9 / growth.CHOICES, **FREE), [2])
    assert scaling.crossing_table(alone, cluster, [2], own=[2]).iloc[0, 0] == "never"


def test_unit_costs_are_a_line_through_two_sizes():
    # 5 seconds fixed and 2 for each of 10 and 100 units.
    steps = ("read", "sweep", "bridge", "pair")
    rows = [("a", times, step, 10 * times, 1.0, 5 + 20 * times) for step in steps for times in (10, 1)]
    rows += [("any", 1, "text", 2, 1.0, 1.0), ("a", 1, "start", 1, 9.0, 7.0)]
    measured = pd.DataFrame(rows, columns=["engine", "times", "step", "units", "seconds", "cpu"])
    unit = growth.units(measured, "a")
    assert (unit.read, unit.text) == (pytest.approx(2.0), 0.5)
    assert (unit.start, unit.planning) == (pytest.approx(7 + 3 * 5), pytest.approx(5))
    with pytest.raises(ColdstartError, match="unit costs of b: expected a measured bridge, pair, read, start, sweep"):
        growth.units(measured, "b")


def test_what_was_recorded_has_every_step_and_the_facts():
    measured = recorded.read()
    assert {1, 10, 100} <= set(measured["times"])
    for engine in (scaling.ONE, scaling.MANY):
        assert growth.units(measured, engine).pair > 0
    assert recorded.facts()["bridge apart"] < 1e-6


def test_a_bet_on_one_sweep_is_answered():
    table = pd.DataFrame({"engine": [scaling.MANY], "step": ["sweep"], "times": [1], "cpu": [0.84]})
    told = scaling_told.swept_told({0.1: (0.02, 50_000), 1: (0.3, 900_000)}, table)
    assert "18 times the choices, 15 times the seconds. A sweep of Spark takes 0.84 at 1×." in told
    assert "times the choices" not in scaling_told.swept_told({0.1: (0.02, 50_000)}, table)


def test_what_lies_past_the_measured_sizes_is_known():
    rows = [(scaling.MANY, times, step, 5) for step in scaling.STEPS for times in (1, 10, 100)]
    rows = [row for row in rows if row[1:3] != (100, "sweep")]
    rows += [(scaling.ONE, 1, "pair", 900), (scaling.ONE, 100, "bridge", 1_000), (scaling.ONE, 100, "pair", 4_800)]
    table = pd.DataFrame(rows, columns=["engine", "times", "step", "peak"])
    assert scaling_told.measured_up_to(table) == 10
    assert scaling_told.memory_told(table).endswith("one process took 4.8 GB at 100×.")


def test_bytes_and_plans_in_words():
    assert [scaling.in_words(x) for x in (5, 1_234, 1.94e12)] == ["5 B", "1.2 kB", "1.9 TB"]
    unit = Unit(start=0, read=0, sweep=0, text=0, bridge=1e-9, pair=1.0)
    told = scaling.plan_told(growth.plan(Size(100, 100, 100), unit, cores=1, price=1))
    assert told.startswith("*Everybody's list* takes 100 % of all core-hours, 2.8 dollars")


def test_facts_are_kept_from_results(tmp_path):
    results = tmp_path / "results.json"
    results.write_text('{"14_past_one_machine": {"record": {"metrics": {"nan": 1.0, "bridge apart": 2e-9}}}}')
    recorded.keep_facts(results, tmp_path / "facts.tsv")
    assert recorded.facts(tmp_path / "facts.tsv") == {"nan": 1.0, "bridge apart": 2e-9}


def test_traffic_is_held_against_paper():
    paper = {times: growth.on_paper(growth.ML_1M.times(times)).loc["sweep of ALS", "moved"] for times in (1, 10)}
    rows = [(scaling.MANY, 1, "sweep", 1, 1.5 * paper[1]), (scaling.MANY, 10, "sweep", 1, 1.2 * paper[10])]
    table = scaling_told.traffic(pd.DataFrame(rows, columns=["engine", "times", "step", "units", "moved"]))
    assert list(table.index) == ["1×", "10×"]
    assert "1.20 to 1.50 times that on paper" in scaling_told.traffic_told(table)


def test_what_is_missing_is_said():
    assert scaling_told.left_out("no Java was found", recorded=True).startswith("No Java was found. What follows")
    assert scaling_told.left_out("", recorded=False) == "`QUICK` runs the local half only. Spark is left out here."
