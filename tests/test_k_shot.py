"""k_shot: the two sides of a split, learnt once, and answers that say no."""

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue.splits import interview, k_shot_items, k_shot_users, revealed
from coldstart_utils.ground import ColdstartError
from coldstart_utils.models.als import als_implicit
from coldstart_utils.models.evidence import empirical_prior
from coldstart_utils.models.k_shot import (
    Sides,
    by_answers,
    by_both,
    by_prior,
    by_ratings,
    by_sum,
    known_sides,
    recent_mean,
    sides,
    within_reach,
    yes_or_no,
)

ANY = np.random.default_rng(0)
X = sparse.csr_matrix((ANY.random((50, 40)) < 0.35).astype(float))


def test_to_a_new_item_the_users_answer():
    split = k_shot_items(X, 0, k=3)
    known, als = sides(split), als_implicit(split.train, rank=40, reg=10.0, sweeps=8)
    assert np.array_equal(known.own, als.V) and np.array_equal(known.other, als.U)
    assert known.old.tolist() == split.warm_items.tolist()
    users, items = np.arange(3), np.arange(4)
    assert known.scorer(known.own)(users, items) == pytest.approx(als.U[users] @ als.V[items].T)


def test_known_users_have_one_length_and_enough_choices():
    split = k_shot_users(X, 0, k=3)
    known = sides(split, least=15)
    assert known.old.tolist() == np.flatnonzero(np.diff(split.train.indptr) >= 15).tolist()
    lengths = np.linalg.norm(known.own, axis=1)
    assert lengths[known.old] == pytest.approx(lengths[known.old[0]])
    assert not known.own[split.users].any()
    users, items = np.arange(3), np.arange(4)
    assert known.scorer(known.own)(users, items).shape == (3, 4)


def test_equal_data_share_one_fit_and_other_data_do_not():
    first, again = (known_sides(X.copy(), users_are_new=False) for _ in range(2))
    assert first.own is again.own
    other = X.copy()
    other.data[0] = 2.0
    assert known_sides(other, users_are_new=False).own is not first.own
    with pytest.raises(ColdstartError, match="least: expected at least two rows with 99 choices, found 0"):
        known_sides(X, users_are_new=True, least=99)


def test_answers_say_no_where_an_item_was_asked_and_not_chosen():
    split = k_shot_users(X, 0, k=0)
    asked = split.candidates[:4]
    with pytest.raises(ColdstartError, match="expected items that the split does not rank"):
        yes_or_no(split, asked)
    told = interview(split, asked)
    answers = yes_or_no(told, asked)
    assert np.diff(answers.indptr)[told.users].tolist() == [4] * len(told.users)
    assert answers.nnz == 4 * len(told.users)
    assert (answers[told.users][:, asked] != X[told.users][:, asked]).nnz == 0
    assert yes_or_no(told, asked[:0]).nnz == 0


def prior(split):
    known = sides(split)
    return empirical_prior(known.own, known.old)


@pytest.mark.parametrize("make", [k_shot_users, k_shot_items])
def test_the_posterior_starts_from_its_prior_and_the_sum_from_either_part(make):
    split = make(X, 0, k=4)
    users, items = split.users[:5], split.candidates[:6]
    guess, ratings = by_prior(split, prior)(users, items), by_ratings(split, 4, 10.0, 5.0)(users, items)
    deaf = by_both(split, 4, prior, noise=1e9, silence=1e-9)(users, items)
    assert deaf == pytest.approx(guess, abs=1e-4)
    none = by_answers(split, revealed(split, 0), prior, 0.1, 1e-9)(users, items)
    assert none == pytest.approx(guess, abs=1e-4)
    for weight, part in ((1e6, guess), (1e-6, ratings)):
        mixed = by_sum(split, 4, prior, 10.0, 5.0, weight)(users, items)
        level = (part - part.mean(1, keepdims=True)) / np.maximum(part.std(1, keepdims=True), 1e-12)
        assert mixed / max(weight, 1) == pytest.approx(level, abs=1e-4)


def test_only_those_who_came_before_draw_the_mean():
    known = Sides(np.array([[1.0], [3.0], [0.0]]), np.ones((1, 1)), np.array([0, 1]), True)
    moved = recent_mean(known, np.zeros((3, 1)), np.array([0.0, 2.0, 3.0]), half_life=1.0)
    shares = np.array([1 / 8, 1 / 2])
    assert moved.ravel() == pytest.approx([0, 1 / 4 / (10 + 1 / 4), (shares @ [1, 3]) / (10 + shares.sum())])
    for half_life in (0.0, -1.0):
        with pytest.raises(ColdstartError, match="half_life: expected a number above 0"):
            recent_mean(known, np.zeros((3, 1)), np.zeros(3), half_life=half_life)


def test_numbers_of_ratings_within_reach():
    # A tenth of all, and ten at least, must have ten more than are revealed.
    assert within_reach(np.full(12, 13), (0, 1, 3, 4)) == ([0, 1, 3], 13)
    assert within_reach(np.r_[np.full(11, 30), np.ones(89)], (0, 5, 20)) == ([0, 5, 20], 30)
    assert within_reach(np.r_[np.full(11, 30), np.ones(99)], (0, 5, 20)) == ([1], 2)
    assert within_reach(np.full(9, 99), (1,), needed=False) == ([], 0)
    assert within_reach(np.r_[np.full(10, 2), np.ones(5)], (1, 5)) == ([1], 2)
    with pytest.raises(ColdstartError, match="ten users and ten items with two choices, found 9"):
        within_reach(np.full(9, 99), (1,))
