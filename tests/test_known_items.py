"""measure/known_items: ranks, what they are worth, intervals over items, and taste among what fits."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.catalogue import splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import known_items


def test_the_best_of_several_right_items_counts():
    scores = np.array([[3.0, 2.0, 1.0], [0.0, 5.0, 5.0]])
    relevant = sparse.csr_matrix([[0, 1, 1], [0, 0, 2]])
    ranks = known_items.best_ranks({"a": scores, "b": -scores}, relevant)
    assert ranks.to_dict("list") == {"a": [2, 2], "b": [1, 3]}


@pytest.mark.parametrize(
    "metric, worth", [("first", [1, 0, 0, 0]), ("first ten", [1, 1, 1, 0]), ("mrr", [1, 0.5, 0.1, 0])]
)
def test_what_a_rank_is_worth(metric, worth):
    assert known_items.value([1, 2, 10, 11], metric) == pytest.approx(worth)


def test_unknown_words_are_told():
    ranks = pd.DataFrame({"a": [1, 2]})
    with pytest.raises(ColdstartError, match="metric: expected one of first, first ten, mrr, got 'ndcg'"):
        known_items.compare(ranks, [0, 1], metric="ndcg")
    with pytest.raises(ColdstartError, match="baseline: expected one of a, got 'b'"):
        known_items.compare(ranks, [0, 1], "b")


def test_a_clear_gain_is_shown_and_none_is_not():
    rng = np.random.default_rng(0)
    base = rng.integers(1, 40, 400)
    ranks = pd.DataFrame({"base": base, "same": base, "better": np.maximum(base // 4, 1), "worse": base + 9})
    table = known_items.compare(ranks, np.arange(400))
    assert table["better"].to_dict() == {"base": False, "same": False, "better": True, "worse": False}
    assert table.worse["worse"] and table.p["same"] == 1 and table.difference["same"] == 0
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()
    assert table["mean"]["base"] == pytest.approx(np.mean(base <= 10))


def test_questions_about_one_item_do_not_count_as_many():
    """The same answers, asked once by each item or ten times: copies must not narrow the interval."""
    one = pd.DataFrame({"a": np.random.default_rng(1).integers(1, 30, 60)})
    ten = pd.concat([one] * 10, ignore_index=True)
    width = lambda table: (table["high"] - table["low"]).iloc[0]  # noqa: E731
    alone = width(known_items.compare(one, np.arange(60)))
    assert width(known_items.compare(ten, np.tile(np.arange(60), 10))) == pytest.approx(alone)
    assert width(known_items.compare(ten, np.arange(600))) < 0.5 * alone


def by_hand(train, test):
    users, items = np.flatnonzero(np.asarray(test.sum(axis=1)).ravel()), np.arange(test.shape[1])
    parts = [sparse.csr_matrix(part) for part in (train, test, 0 * train)]
    return splits.Split("warm", 3, *parts[:2], items, users, parts[2])


def test_taste_among_the_fitting_by_hand():
    # One user, seven items: 0 is known, of the others 1 and 2 are hidden choices; 6 does not fit.
    train, test = np.zeros((2, 7)), np.zeros((2, 7))
    train[0, 0], test[0, [1, 2, 6]] = 1, 1
    split = by_hand(train, test)
    fits = sparse.csr_matrix([[1, 1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0, 0]])
    by_user = np.array([[9, 5, 1, 3, 2, 0, 8.0], np.zeros(7)])
    by_need = np.array([[0, 0, 9, 0, 0, 0, 0.0], np.zeros(7)])
    found = known_items.taste_among(fits, split, {"taste": (None, by_user), "both": (by_need, by_user)})
    # Of 1 (5) and 2 (1) against 3 (3), 4 (2), 5 (0): three pairs and one of three; the need lifts item 2.
    assert found.set_index("model")["auc"].to_dict() == pytest.approx({"taste": 4 / 6, "both": 1.0})
    assert found["user"].unique().tolist() == [0] and found["need"].unique().tolist() == [0]


def test_without_enough_that_fits_there_is_nothing_to_order():
    X = sparse.csr_matrix(np.eye(4))
    split = by_hand(np.zeros((4, 4)), X)
    found = known_items.taste_among(sparse.csr_matrix(np.eye(4)), split, {"x": (None, np.eye(4))})
    assert found.empty and [*found] == ["user", "need", "fold", "model", "auc"]
