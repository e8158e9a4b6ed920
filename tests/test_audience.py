"""The order of the users of a new item: known answers, what is left out, and tuning on nested splits alone."""

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue import splits
from coldstart_utils.measure import audience, metrics, study
from coldstart_utils.measure.ranking import from_matrix


@pytest.fixture
def choices():
    """30 users and 20 items, every item with at least six choices and not everybody's."""
    return sparse.csr_matrix((np.random.default_rng(0).random((30, 20)) < 0.4).astype(float))


def test_the_truth_orders_perfectly_its_opposite_never_and_a_constant_by_chance(choices):
    split, truth = splits.cold_items(choices, 0), choices.toarray()
    scorers = {"truth": from_matrix(truth), "opposite": from_matrix(-truth), "constant": from_matrix(0 * truth)}
    means = audience.order_of_users(scorers, split).groupby("model")["auc"].mean()
    assert means.to_dict() == {"truth": 1, "opposite": 0, "constant": 0.5}


def test_users_whose_choice_is_revealed_are_not_ordered(choices):
    split = splits.k_shot_items(choices, 0, k=3)
    scores = np.random.default_rng(1).random(choices.shape)
    # However badly a method treats those who are known to have chosen it, it is not asked about them.
    punished = scores - 10 * split.support.toarray()
    both = audience.order_of_users({"as it is": from_matrix(scores), "punished": from_matrix(punished)}, split)
    plain, other = (both.loc[both["model"] == name, "auc"].to_numpy() for name in ("as it is", "punished"))
    assert np.array_equal(plain, other)
    item = int(both["item"][0])
    left = np.setdiff1d(range(30), split.support[:, [item]].nonzero()[0])
    expected = metrics.auc(scores[None, left, item], choices.toarray()[None, left, item] > 0)
    assert plain[0] == expected[0]


def test_an_item_that_everybody_left_chose_has_no_order():
    X = np.ones((6, 4))
    X[:3, :2] = 0
    split = splits.hide_items(sparse.csr_matrix(X), np.array([1, 3]))
    found = audience.order_of_users({"any": from_matrix(X)}, split).set_index("item")["auc"]
    assert found[1] == 1 and np.isnan(found[3])


def test_knobs_are_chosen_on_nested_splits(choices):
    folds, asked = study.item_folds(choices, 4, k=2), []

    def fit(split, weight):
        asked.append(split)
        truth = (split.test + split.support).toarray()
        # The answer itself is used best near a weight of 9; what is learnt of a split stays in the split.
        return from_matrix(truth / (1 + abs(np.log(weight / 9))) + np.random.default_rng(0).random(truth.shape))

    found = audience.run_orders({"mine": study.Arm(fit, {"weight": 1.0}), "none": study.Arm(active)}, folds, trials=6)
    assert set(found.loc[found["model"] == "mine", "setting"]) == {"weight 9"}
    assert set(found.loc[found["model"] == "none", "setting"]) == {""}
    assert [sum(split is fold.outer for split in asked) for fold in folds] == [1] * 4
    assert sorted(found.query("model == 'none'")["item"]) == sorted(np.flatnonzero(choices.sum(axis=0) > 2))


def active(split):
    """Return the scorer that shows every item to those who choose most."""
    busy = np.asarray(split.train.sum(axis=1)).ravel()
    return lambda users, items: np.tile(busy[users, None], (1, len(items)))
