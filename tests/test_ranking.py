"""ranking: full rankings, nothing known shown again, one clear error for a bad scorer."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.catalogue import splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import ranking

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


def test_within_users_only_the_order_of_their_own_pairs_counts():
    pairs = pd.DataFrame({"user": [7, 7, 7, 2, 2, 5], "item": [0, 1, 3, 0, 1, 2], "label": [1, 0, 0, 1, 1, 0]})
    scores = np.zeros((8, 4))
    scores[7] = [0.5, 0.1, 0.9, 0.7]  # liked 0.5 beats 0.1 and loses to 0.7
    found = ranking.within_users(ranking.from_matrix(scores), pairs).set_index("user")["auc"]
    assert found[7] == 0.5 and found[[2, 5]].isna().all()


def test_who_is_chosen_and_who_is_liked_may_be_told_by_two_scorers(split):
    rng = np.random.default_rng(1)
    chosen, liked = (ranking.from_matrix(rng.random((40, 30))) for _ in range(2))
    pairs = pd.DataFrame({"user": np.repeat(split.users, 30), "item": np.tile(np.arange(30), len(split.users))})
    pairs["label"] = rng.integers(2, size=len(pairs))
    both = ranking.chosen_and_liked({"chosen": chosen, "liked": liked}, split, pairs, k=3)
    asked = pairs[pairs["item"].isin(split.candidates)]
    expected = ranking.within_users(liked, asked).set_index("user")["auc"]
    assert both["auc"].to_numpy() == pytest.approx(expected[both["user"]].to_numpy(), nan_ok=True)
    assert both["auc"].notna().any()
    pd.testing.assert_series_equal(both["ndcg"], ranking.evaluate({"": chosen}, split, k=3)["ndcg"])
    alone = ranking.chosen_and_liked({"chosen": liked}, split, pairs, k=3)
    pd.testing.assert_series_equal(alone["auc"], both["auc"])


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


def test_factors_score_by_their_product():
    U, V = ANY.standard_normal((40, 3)), ANY.standard_normal((30, 3))
    users, items = np.array([4, 1]), np.array([7, 0, 9])
    np.testing.assert_allclose(ranking.from_factors(U, V)(users, items), (U @ V.T)[np.ix_(users, items)])


def test_recall_at_other_lengths_is_that_of_a_longer_list(split):
    scorers = {"any": ranking.from_matrix(np.random.default_rng(1).random(MATRIX.shape))}
    found = ranking.evaluate(scorers, split, k=3, recall_at=(2, 5, 1000))
    assert (found["recall@5"] == ranking.evaluate(scorers, split, k=5)["recall"]).all()
    assert (found["recall@2"] <= found["recall"]).all() and (found["recall@1000"] == 1).all()
    pd.testing.assert_series_equal(found["ndcg"], ranking.evaluate(scorers, split, k=3)["ndcg"])


def test_mmr_takes_the_best_and_then_what_is_unlike_it():
    scores = np.array([[1.0, 0.9, 0.5, 0.1, 0.0], [0.0, -np.inf, 1.0, 0.2, 0.9]])
    alike = np.eye(5)
    alike[0, 1] = alike[1, 0] = 1  # the first two are twins
    assert ranking.mmr(scores, alike, 2, 0.0).tolist() == [[0, 1], [2, 4]]
    assert ranking.mmr(scores, alike, 2, 0.5).tolist() == [[0, 2], [2, 4]]
    with pytest.raises(ColdstartError, match="diversity of 0 to 1, got 2"):
        ranking.mmr(scores, alike, 2, 2)


def test_a_diversified_scorer_ranks_the_list_of_mmr_first(split):
    scores, alike = np.random.default_rng(1).random(MATRIX.shape), np.corrcoef(MATRIX.toarray().T)
    lists = ranking.mmr(scores[:, split.candidates], alike[np.ix_(split.candidates, split.candidates)], 3, 0.4)
    scorer = ranking.diversified(ranking.from_matrix(scores), alike, 3, 0.4)
    order = np.argsort(-scorer(np.arange(40), split.candidates), axis=1, kind="stable")
    assert (order[:, :3] == lists).all()


def test_the_second_stage_ranks_what_the_first_picked():
    first, second = ranking.from_items(np.array([3.0, 2, 1, 0])), ranking.from_items(np.array([0.0, 5, -9, 9]))
    scorer = ranking.two_stages(first, second, 3)
    assert np.argsort(-scorer(np.arange(2), np.arange(4)), axis=1).tolist() == [[1, 0, 2, 3]] * 2
    all_picked = ranking.two_stages(first, second, 99)(np.arange(2), np.arange(4))
    assert (all_picked == [[0, 5, -9, 9]] * 2).all()
    with pytest.raises(ColdstartError, match="expected 1 candidate or more, got 0"):
        ranking.two_stages(first, second, 0)


def test_the_oracle_orders_by_what_is_chosen(split):
    wanted = split.test.toarray().sum(axis=0)[split.candidates]
    assert (ranking.oracle_popularity(split)(split.users, split.candidates) == wanted).all()
