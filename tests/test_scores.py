"""Scores: ranks and ties by one rule, mixtures by known answers, weights that are learnt."""

import numpy as np
import pytest

from coldstart_utils.ground import ColdstartError
from coldstart_utils.models.scores import (
    learnt_weights,
    mixture,
    rank_of,
    reciprocal_ranks,
    standardised,
    top_k,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_rank_is_the_place_in_the_full_list_ties_included(rng):
    scores = rng.integers(0, 4, (30, 12)).astype(float)
    items = rng.integers(0, 12, 30)
    places = np.argmax(top_k(scores, 12) == items[:, None], axis=1)
    assert rank_of(scores, items).tolist() == (1 + places).tolist()


def test_standard_scores_have_mean_zero_and_one_scale_and_equal_ones_vanish():
    scores = standardised(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    assert scores[0] == pytest.approx([-1.2247449, 0, 1.2247449])
    assert scores[1].tolist() == [0, 0, 0]


def test_a_mixture_does_not_mind_the_scale_of_its_parts():
    parts = [np.array([[3.0, 1.0, 2.0]]), np.array([[0.1, 0.3, 0.1]])]
    by_hand = standardised(parts[0]) + 2 * standardised(parts[1])
    assert mixture(parts, [1, 2]) == pytest.approx(by_hand)
    assert mixture([1000 * parts[0] + 7, parts[1]], [1, 2]) == pytest.approx(by_hand)


def test_a_part_of_one_row_serves_all_rows():
    popular = np.array([1.0, 5.0])
    mixed = mixture([np.zeros((3, 2)), popular])
    assert mixed.shape == (3, 2) and top_k(mixed, 1).ravel().tolist() == [1, 1, 1]


@pytest.mark.parametrize("parts, weights", [([], None), ([np.zeros((1, 2))], [1, 2])])
def test_weights_must_fit_their_parts(parts, weights):
    with pytest.raises(ColdstartError, match="one or more parts and a weight for each"):
        mixture(parts, weights)


def test_reciprocal_ranks_by_hand_with_ties_to_the_lower_item():
    # Two lists: item 4 is first and third, item 2 second and first; 0 and 7 stand third and second in one of them.
    items, scores = reciprocal_ranks([np.array([[4, 2, 0]]), np.array([[2, 7, 4]])], 3)
    assert items.tolist() == [[2, 4, 7]]
    assert scores[0] == pytest.approx([1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62])
    tied, _ = reciprocal_ranks([np.array([[9, 1]]), np.array([[1, 9]])], 2)
    assert tied.tolist() == [[1, 9]]


def test_lists_may_differ_in_length_but_k_may_not_pass_the_longest():
    items, _ = reciprocal_ranks([np.array([[4, 2, 0]]), np.array([[5]])], 2)
    assert items.tolist() == [[4, 5]]
    for k in (0, 4):
        with pytest.raises(ColdstartError, match="k from 1 to 3"):
            reciprocal_ranks([np.array([[4, 2, 0]]), np.array([[5]])], k)


def test_learnt_weights_find_the_part_that_knows(rng):
    right = rng.integers(0, 20, 300)
    knows, noise = rng.normal(size=(300, 20)), rng.normal(size=(300, 20))
    knows[np.arange(300), right] += 2
    weights = learnt_weights([knows, noise], right)
    assert weights[0] > 1 and abs(weights[1]) < 0.2
    better = rank_of(mixture([knows, noise], weights), right)
    assert better.mean() < rank_of(mixture([knows, noise]), right).mean()


def test_learnt_weights_are_where_the_likelihood_is_highest(rng):
    right, parts = rng.integers(0, 6, 50), list(rng.normal(size=(3, 50, 6)))
    best = learnt_weights(parts, right, reg=0.2)

    def likelihood(weights):
        chance = np.exp(mixture(parts, weights))
        chance = chance[np.arange(50), right] / chance.sum(axis=1)
        return np.log(chance).mean() - 0.1 * weights @ weights

    assert all(likelihood(best) > likelihood(best + step) for step in 0.01 * rng.normal(size=(10, 3)))


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_equal_scores_become_zeros_whatever_rounding_makes_of_their_mean(value, kind):
    row = np.full((2, 1000), value, kind)
    row[1, 0] += 1
    assert not standardised(row)[0].any()
    assert standardised(row)[1].std() == pytest.approx(1, rel=1e-3)
