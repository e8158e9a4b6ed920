"""ranking and study: full rankings, nothing known shown again, paired intervals, one clear error for a bad scorer."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from coldstart_utils.catalogue import splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import ranking, study

ANY = np.random.default_rng(0)
MATRIX = sparse.csr_matrix((ANY.random((40, 30)) < 0.3).astype(float))


@pytest.fixture
def split():
    return splits.cold_items(MATRIX, 0)


def test_the_truth_ranks_perfectly_and_its_opposite_not_at_all(split):
    truth = split.test.toarray()
    result = ranking.evaluate(
        {"truth": ranking.from_matrix(truth), "opposite": ranking.from_matrix(-truth)}, split, k=2
    )
    means = result.groupby("model")[["ndcg", "mrr", "recall"]].mean()
    assert means.loc["truth", "ndcg"] == means.loc["truth", "mrr"] == 1
    assert means.loc["opposite", "recall"] < means.loc["truth", "recall"] / 2


def test_every_tested_user_has_a_row_for_every_model(split):
    scorer = ranking.from_items(np.arange(30.0))
    result = ranking.evaluate({"a": scorer, "b": scorer}, split)
    assert result.groupby("model")["user"].apply(list).to_dict() == dict.fromkeys("ab", split.users.tolist())


def test_what_a_user_has_already_is_not_recommended():
    split = splits.k_shot_users(MATRIX, 0, k=3)
    known = ranking.from_matrix((split.train + split.support).toarray())
    result = ranking.evaluate({"known first": known}, split, k=len(split.candidates))
    # All that remains is found, as the known items are moved behind it.
    assert (result["recall"] == 1).all()


def test_tail_recall_counts_unpopular_items_only(split):
    popularity = np.asarray(split.test.sum(axis=0)).ravel()
    result = ranking.evaluate({"popular": ranking.from_items(popularity)}, split, k=3)
    assert result["tail_recall"].mean() < result["recall"].mean()


def test_exposure_of_one_list_for_all_and_of_random_lists(split):
    shown = ranking.exposure(
        {"one": ranking.from_items(np.arange(30.0)), "many": ranking.from_matrix(ANY.random((40, 30)))},
        split,
        k=2,
    ).set_index("model")
    assert shown.loc["one", "coverage"] == 2 / len(split.candidates)
    assert shown.loc["many", "coverage"] == 1
    assert shown.loc["one", "gini"] > shown.loc["many", "gini"]


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        (lambda u, i: np.zeros((len(u), 1)), "expected scores of shape"),
        (lambda u, i: np.full((len(u), len(i)), np.nan), "finite scores"),
        (lambda u, i: np.full((len(u), len(i)), np.inf), "finite scores"),
    ],
)
def test_bad_scores_are_refused_by_name(split, scores, told):
    with pytest.raises(ColdstartError, match=f"'mine'.*{told}"):
        ranking.evaluate({"mine": scores}, split)


def frame(values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Models × (seed, user) values of ndcg, two seeds."""
    parts = [
        pd.DataFrame({"model": name, "seed": seed, "user": range(len(v)), "ndcg": v + seed / 10})
        for name, v in values.items()
        for seed in (0, 1)
    ]
    return pd.concat(parts)


def test_differences_are_paired():
    noise = ANY.random(200)
    table = study.compare(frame({"base": noise, "better": noise + 0.01}), "base").set_index("model")
    # Values vary by 0.3, but every user gains exactly 0.01.
    assert table.loc["better", "diff_low"] == pytest.approx(0.01, rel=1e-9)
    assert table.loc["better", "diff_high"] == pytest.approx(0.01, rel=1e-9)
    assert table.loc["better", "high"] - table.loc["better", "low"] > 0.05
    assert table.loc["base", "difference"] == 0
    assert table.loc["base", "n"] == 200


def test_the_bootstrap_agrees_with_the_normal_interval():
    values = ANY.normal(0.3, 0.1, 800)
    row = study.compare(frame({"a": values}), "a").iloc[0]
    half = 1.96 * values.std() / np.sqrt(800)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.1)


def test_over_seeds_the_interval_is_students():
    rounds = pd.DataFrame(
        {"model": list("aaabbb"), "seed": [0, 1, 2] * 2, "user": 0, "ndcg": [0.1, 0.2, 0.3, 0.2, 0.2, 0.5]}
    )
    row = study.compare(rounds, "a", unit="seed").set_index("model").loc["b"]
    expected = stats.ttest_rel([0.2, 0.2, 0.5], [0.1, 0.2, 0.3]).confidence_interval()
    assert (row["diff_low"], row["diff_high"]) == pytest.approx((expected.low, expected.high))
    assert row["n"] == 3


def test_a_model_meets_the_baseline_on_the_splits_that_both_ran():
    whole = frame({"base": np.array([0.1, 0.3, 0.2]), "full": np.array([0.2, 0.4, 0.3])})
    later = pd.DataFrame({"model": "late", "seed": 1, "user": range(3), "ndcg": np.array([0.3, 0.3, 0.3])})
    table = study.compare(pd.concat([whole, later]), "base").set_index("model")
    # On seed 1 the base has (0.2, 0.4, 0.3); over both seeds its mean would be lower by 0.05.
    assert table.loc["late", "difference"] == pytest.approx(0.0, abs=1e-12)
    assert table.loc["full", "difference"] == pytest.approx(0.1) and list(table.index) == ["base", "full", "late"]
    assert study.told(table.loc[["full"]]) == ["+0.100 (+0.100 to +0.100)"]


def test_within_users_only_the_order_of_their_own_pairs_counts():
    pairs = pd.DataFrame({"user": [7, 7, 7, 2, 2, 5], "item": [0, 1, 3, 0, 1, 2], "label": [1, 0, 0, 1, 1, 0]})
    scores = np.zeros((8, 4))
    scores[7] = [0.5, 0.1, 0.9, 0.7]  # liked 0.5 beats 0.1 and loses to 0.7
    found = ranking.within_users(ranking.from_matrix(scores), pairs).set_index("user")["auc"]
    assert found[7] == 0.5 and found[[2, 5]].isna().all()


def test_one_split_says_nothing_about_splits():
    one = pd.DataFrame({"model": list("ab"), "seed": 0, "user": 0, "ndcg": [0.1, 0.9]})
    assert np.isinf(study.compare(one, "a", unit="seed")["diff_low"]).all()


@pytest.mark.parametrize("wrong", [{"baseline": "c"}, {"metric": "speed"}, {"unit": "day"}])
def test_unknown_names_are_refused(wrong):
    with pytest.raises(ColdstartError, match=next(iter(wrong))):
        study.compare(frame({"a": np.ones(3)}), **({"baseline": "a"} | wrong))


def test_tune_takes_the_best_setting_and_the_first_of_equals(split):
    truth = split.test.toarray()
    make = lambda weight: ranking.from_matrix(weight * truth)  # noqa: E731
    assert study.tune(make, [-1, 0, 1, 2], split) == 1


def test_recall_by_band_is_recall_of_the_items_in_it(split):
    items = np.sort(split.candidates)
    bands = {"left": items[:3], "right": items[3:], "nobody": np.array([], int)}
    scorer = {"any": ranking.from_matrix(ANY.random((40, 30)))}
    result = ranking.evaluate(scorer, split, k=3, bands=bands).set_index("user")
    wanted = {name: np.asarray(split.test[:, ids].sum(axis=1)).ravel()[split.users] for name, ids in bands.items()}
    hits = sum(result[f"recall {name}"].fillna(0) * wanted[name] for name in bands)
    assert np.allclose(hits, result["recall"] * (wanted["left"] + wanted["right"]))
    assert (result["recall left"].isna() == (wanted["left"] == 0)).all() and result["recall nobody"].isna().all()


def test_places_of_bands_add_up_and_impressions_count_lists(split):
    items = np.sort(split.candidates)
    scorer = {"one list": ranking.from_items(np.arange(30.0))}
    row = ranking.exposure(scorer, split, k=2, bands={"last": items[-2:], "rest": items[:-2]}).iloc[0]
    assert row["places last"] == 1 and row["places rest"] == 0 and row["coverage"] == pytest.approx(2 / len(items))
    shown = ranking.impressions(scorer, split, k=2)["one list"]
    assert shown[items[-2:]].tolist() == [len(split.users)] * 2 and shown.sum() == 2 * len(split.users)


def test_several_metrics_are_compared_one_by_one(split):
    scorers = {name: ranking.from_matrix(ANY.random((40, 30))) for name in "ab"}
    results = ranking.evaluate(scorers, split)
    both = study.compare(results, "a", metric=["ndcg", "recall"])
    single = [study.compare(results, "a", metric=metric) for metric in ("ndcg", "recall")]
    pd.testing.assert_frame_equal(both, pd.concat(single, ignore_index=True))


def test_factors_score_by_their_product():
    U, V = ANY.standard_normal((40, 3)), ANY.standard_normal((30, 3))
    users, items = np.array([4, 1]), np.array([7, 0, 9])
    np.testing.assert_allclose(ranking.from_factors(U, V)(users, items), (U @ V.T)[np.ix_(users, items)])


def test_climbing_goes_up_one_number_at_a_time_and_stays_where_nothing_helps():
    asked = []

    def value(settings):
        asked.append(settings)
        return -abs(settings["a"] - 2) - abs(settings["b"] - 0.5)

    start = {"a": 1.0, "b": 1.0, "c": 7.0}
    assert study.climb(value, start, {"a": 2.0, "b": 2.0}) == {"a": 2.0, "b": 0.5, "c": 7.0}
    assert start["a"] == 1.0 and all(settings["c"] == 7.0 for settings in asked)
    assert study.climb(lambda settings: 0.0, start, {"a": 2.0}) == start
