"""k_shot: the two sides of a split, learnt once, and answers that say no."""

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue.splits import interview, k_shot_items, k_shot_users
from coldstart_utils.ground import ColdstartError
from coldstart_utils.models.als import als_implicit
from coldstart_utils.models.k_shot import known_sides, sides, yes_or_no

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
