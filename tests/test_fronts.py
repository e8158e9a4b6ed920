"""Methods with a dial: which setting loses so much, and what it gives there."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.measure import fronts, ranking, study


def swept(values, model="a", fold=0):
    """Two users whose mean NDCG along the dial is as given; what is gained grows with the dial."""
    rows = [
        {
            "model": model,
            "fold": fold,
            "user": user,
            "dial": float(dial),
            "ndcg": value + shift,
            "gain": dial * (user + 1),
        }
        for dial, value in values.items()
        for user, shift in ((0, -0.1), (1, 0.1))
    ]
    return pd.DataFrame(rows)


def test_the_dial_that_loses_so_much_lies_between_those_tried():
    path = swept({0: 0.5, 1: 0.5, 3: 0.4})
    (dial,) = fronts.dial_at_loss(path, 0.1)
    assert dial == pytest.approx(2.0)
    read = fronts.at_dial(path, fronts.dial_at_loss(path, 0.1)).set_index("user")
    assert read["ndcg"].mean() == pytest.approx(0.45)
    assert read["gain"].tolist() == pytest.approx([2.0, 4.0])


def test_the_first_crossing_counts_and_what_loses_too_little_goes_to_its_end():
    back = swept({0: 0.5, 1: 0.4, 2: 0.5, 3: 0.1})
    assert fronts.dial_at_loss(back, 0.1).item() == pytest.approx(0.5)
    cheap = swept({0: 0.5, 2: 0.49})
    assert fronts.dial_at_loss(cheap, 0.1).item() == 2.0
    assert fronts.at_dial(cheap, fronts.dial_at_loss(cheap, 0.1))["ndcg"].mean() == pytest.approx(0.49)


def test_a_gain_before_the_loss_is_passed_over():
    path = swept({0: 0.5, 1: 0.6, 2: 0.45})
    assert fronts.dial_at_loss(path, 0.1).item() == pytest.approx(2.0)


def test_models_and_folds_are_read_apart():
    both = pd.concat([swept({0: 0.5, 1: 0.4}), swept({0: 0.5, 1: 0.45}, fold=1), swept({0: 1.0, 2: 0.8}, model="b")])
    dials = fronts.dial_at_loss(both, 0.1)
    assert dials.to_dict() == pytest.approx({("a", 0): 0.5, ("a", 1): 1.0, ("b", 0): 1.0})
    assert len(fronts.at_dial(both, dials)) == 6
    assert fronts.best_dial(both).to_dict() == {("a", 0): 0, ("a", 1): 0, ("b", 0): 0}


def test_a_dial_of_one_value_is_read_as_it_is():
    path = swept({0: 0.5})
    assert fronts.at_dial(path, fronts.dial_at_loss(path, 0.1))["ndcg"].mean() == pytest.approx(0.5)


def test_sweep_asks_test_and_nested_and_stops_where_the_budget_is_spent():
    X = sparse.csr_matrix((np.random.default_rng(0).random((40, 30)) < 0.3).astype(float))
    folds = study.choice_folds(X, 3)

    def towards_chance(split, dial):
        good = split.test.toarray() + split.train.toarray()
        noise = np.random.default_rng(1).random(good.shape)
        return ranking.from_matrix((1 - dial) * good + dial * noise)

    def bands(split):
        return {"first": np.arange(15)}

    rows = fronts.sweep(towards_chance, (0, 0.5, 1), folds, name="worse", bands=bands, k=5, until=0.05, exposed=True)
    assert set(rows["fold"]) == {0, 1, 2}
    assert set(rows.loc[rows["asked"] == "test", "dial"]) == {0, 0.5, 1}
    assert rows.loc[rows["asked"] == "test", "places first"].between(0, 1).all()
    dials = rows[rows["asked"] == "nested"].groupby("fold")["dial"].nunique()
    lost = rows[(rows["asked"] == "nested") & (rows["dial"] == 0.5)].groupby("fold")["ndcg"].mean()
    assert all((dials[fold] == 2) == (lost[fold] < 0.95) for fold in dials.index)


def test_what_a_dial_loses_is_a_share_of_its_start():
    path = swept({0: 0.5, 1: 0.4})
    assert fronts.loss_at(path, fronts.dial_at_loss(path, 0.1))["a"] == pytest.approx(0.1)
    assert fronts.loss_at(path, fronts.dial_at_loss(path, 0.5))["a"] == pytest.approx(0.2)


def test_along_the_dial_differences_are_to_its_start():
    folds = pd.concat([swept({0: 0.5, 1: 0.45, 2: 0.4}), swept({0: 0.6, 1: 0.55, 2: 0.48}, fold=1)])
    points = fronts.along(folds)
    assert points["dial"].tolist() == [0, 1, 2]
    assert points["difference"].tolist() == pytest.approx([0, -0.05, -0.11])
    assert points["mean"].tolist() == pytest.approx([0.55, 0.5, 0.44])


def test_a_band_is_better_only_if_folds_and_users_say_so():
    random = np.random.default_rng(0)
    rows = []
    for fold in range(5):
        for user in range(60):
            base = random.random()
            rows.append(("base", fold, user, base, base))
            # Every fold gains in the head; in the tail a few users gain a lot.
            rows.append(("new", fold, user, base + 0.1 + 0.01 * random.random(), base + 3.0 * (user == 0)))
    results = pd.DataFrame(rows, columns=["model", "fold", "user", "recall head", "recall tail"]).assign(recall=0.0)
    table = fronts.by_band(results, "base", ["head", "tail"])
    assert table.groupby("band", sort=False)["better"].any().to_dict() == {"head": True, "tail": False}
    assert not table["worse"].any()
    alone = study.compare(results, "base", metric="recall tail", unit="fold")
    assert alone["better"]["new"]
