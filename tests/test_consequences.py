"""Figures and sentences of consequences follow their numbers; the front is that of the penalty."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.book import attacks_told, consequences, consequences_told
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import logged, probes, study
from coldstart_utils.measure.simulated import RULES
from coldstart_utils.whatif import front


@pytest.fixture(scope="module")
def verdict():
    table = pd.DataFrame(
        {
            "estimator": logged.ESTIMATORS, "value": 0.005, "low": 0.003, "high": 0.007, "truth": 0.004,
            "error": 0.001, "error_low": [-0.001, -0.001, 0.0005, -0.001, -0.001, 0.0005], "error_high": 0.003,
            "enough": 200_000.0,
        }
    )  # fmt: skip
    return logged.Verdict(table, 321.0, 10_000)


def test_missed_are_those_whose_interval_leaves_zero_out(verdict):
    table = consequences_told.all_verdicts({"men, random to bts": verdict})
    assert table["missed"].tolist() == [False, False, True, False, False, True]
    told = consequences_told.estimates(table, [321.0])
    assert "**0 of 3** differ" in told and "2 of 3 miss" in told and "321 to 321" in told and "200,000" in told


def test_a_verdict_is_drawn_with_its_truth(verdict):
    figure = consequences.verdicts({"men, random to bts": verdict, "men, bts to random": verdict})
    assert len(figure.axes) == 2 and "effective size 321" in figure.axes[0].get_title(loc="left")
    assert figure.axes[0].get_xlim()[1] > 4
    (ax,) = consequences.estimates(verdict, title="t").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(logged.ESTIMATORS)


def test_ends_beyond_the_picture_are_arrow_heads(verdict):
    far = verdict.table.assign(low=-0.001)
    far.loc[0, ["value", "high"]] = 0.5
    wide = {"a": logged.Verdict(far, 1.0, 10), "b": verdict}
    ax = consequences.verdicts(wide).axes[0]
    markers = [line.get_marker() for line in ax.lines]
    assert markers.count("<") == 6 and markers.count(">") == 1
    assert [text.get_text() for text in ax.texts] == ["500.0"]


def test_places_out_of_proportion_are_named_only_where_shown():
    held = pd.DataFrame(
        {"places": [0.03, 0.5], "low": [0.0, 1.1], "high": [1.8, 1.2], "shown": [False, True]}, index=["rare", "many"]
    )
    cost = pd.DataFrame({"told": {"1": "−.002", "2": "−.012"}})
    told = consequences_told.places(held, cost, "rare", 20)
    assert (
        "choices: many (1.10 to 1.20)." in told and "0.6 of 20" in told and "for *rare*, goes from 0.0 to 1.8" in told
    )
    assert "**No group is shown" in consequences_told.places(held.iloc[:1], cost, "rare", 20)


def test_games_say_what_is_not_shown_and_what_users_pay():
    rows = [
        (fold, way, share, True, 0.5, 0.3, 0.26 if way == "levelled" else 0.27, 0.05, 0.04)
        for fold in range(3)
        for way in ("text and tags", "levelled")
        for share in (0.0, 0.3)
    ]
    columns = ["fold", "ranker", "places at random", "settled", "honest", "recall before", "recall after"]
    told = attacks_told.games(pd.DataFrame(rows, columns=[*columns, "all honest", "alone honest"]))
    assert (
        "none is shown to differ" in told
        and "recall of users is no higher here: 0.260 against 0.270" in told
        and "levelled 5.0%, −.010 (−.010 to −.010)" in told
    )
    assert "0.300, −.040 (−.040 to −.040) (levelled)" in told


def test_the_first_rows_of_a_log_are_judged():
    (ax,) = consequences.from_first_rows(400, "women, random to bts").axes
    assert "400 rows" in ax.figure._suptitle.get_text()


@pytest.mark.parametrize("truth, answer", [("a", "**Yes.**"), ("b", "**No.**")])
def test_the_bet_on_the_best_ranking_is_answered_by_the_numbers(truth, answer):
    rows = [
        (model, rule, fold, 0.3 if model == (truth if rule != "as logged" else "a") else 0.1)
        for model in "ab"
        for rule in RULES
        for fold in range(3)
    ]
    means = consequences_told.recalls(pd.DataFrame(rows, columns=["model", "rule", "fold", "recall"]))
    assert answer in consequences_told.offline(means)
    assert consequences_told.best_by(means)["truth"] == truth
    assert len(consequences.offline(means, RULES).axes[0].lines) == 2


def test_answers_are_counted_until_they_suffice():
    undone = pd.DataFrame(
        [("honest text", 0, 0.02), ("honest text", 5, 0.0), ("text of a rival", 0, 0.3), ("text of a rival", 5, 0.01)],
        columns=["model", "dial", "mean"],
    ).assign(low=0.0, high=0.4)
    pushed = pd.DataFrame([("with text", 0, 0.0), ("with text", 5, 0.05)], columns=["model", "dial", "mean"]).assign(
        low=0.0, high=0.1
    )
    told = attacks_told.answers(undone, pushed)
    assert (
        "after 5 true answers in 1% (0% to 40%) and 0% (0% to 40%)" in told
        and "Half of the lead is gone after 5." in told
    )
    assert "more than 5 fake profiles (with text)" in told and "5% (0% to 10%; with text)" in told


def test_the_front_begins_at_the_bridge_and_closes_the_gap():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(60, 4))
    members = np.arange(50) < 20
    taste = rng.normal(size=(50, 4)) + 1.0 * members[:, None]
    X = sparse.csr_matrix(taste @ Z.T > 1.0)
    results = front.swept(Z @ Z.T, study.item_folds(X, 2), members, (0.0, 100.0), reg=1.0, k=5)
    points = front.front(results)
    equal = points[points["model"] == "equal scores"]
    assert equal["score gap"].iloc[1] < 0.2 * equal["score gap"].iloc[0]
    assert points.groupby("dial")["ndcg"].nunique()[0.0] == 1
    changes = consequences_told.gap_changes(results)
    closed = changes.loc[("equal scores", "score gap")]
    assert closed["share"] < -0.8 and closed["low"] <= closed["share"] <= closed["high"]
    # Who is served differs between people more than between folds.
    half = results["recall half"].iloc[0]
    assert half > 0 and points["recall gap high"].iloc[0] >= points["recall gap"].iloc[0] + half - 1e-12
    figure = consequences.fair_front(points)
    view = front.view(points, figure)
    assert "image/png" in view._repr_mimebundle_()[0]
    (plot,) = view.children
    assert "recall gap" in plot.marks[1].names[0]
    assert "score gap" in (told := consequences_told.front(points, results, "gender")) and "recall gap is" in told


def test_probes_find_a_concept_and_not_what_was_erased():
    rng = np.random.default_rng(1)
    concept = np.arange(200) % 2
    vectors = rng.normal(size=(200, 5)) + concept[:, None] * np.array([2.0, 0, 0, 0, 0])
    table = probes.summary(probes.probed(vectors, concept, {"sign": (vectors[:, 1] > 0).astype(int)}))
    auc = table.set_index(["asked", "probe", "vectors"])["mean"]
    assert auc["the concept", "linear", "as they are"] > 0.9
    assert auc["the concept", "linear", "erased"] == pytest.approx(0.5, abs=0.02)
    assert auc["sign", "linear", "erased"] > 0.9
    assert len(consequences.probes({"made": table}).axes) == 1
    with pytest.raises(ColdstartError, match="the concept as 0 and 1, each of 10 people or more"):
        probes.probed(vectors, np.zeros(200, int), {})
    with pytest.raises(ColdstartError, match="as 0 and 1"):
        probes.probed(vectors, 2 * concept - 1, {})
    assert len(probes.probed(vectors, concept.tolist(), {}, folds=2)) == 12
