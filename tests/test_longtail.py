"""Bands, places at a price or by quota, hypervolume, and weights."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue import splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import metrics
from coldstart_utils.models import longtail

rng = np.random.default_rng(0)


# --- Bands ---


def test_bands_by_hand():
    bands = longtail.popularity_bands([10, 0, 50, 20, 10, 10])
    assert {name: items.tolist() for name, items in bands.items()} == {"head": [2], "middle": [3, 0], "tail": [4, 5]}


def test_bands_share_out_the_items_that_have_a_count():
    counts = rng.integers(0, 50, 300)
    bands = longtail.popularity_bands(counts)
    everything = np.concatenate(list(bands.values()))
    assert sorted(everything) == np.flatnonzero(counts).tolist()
    assert (np.diff(counts[everything]) <= 0).all()
    head, middle = counts[bands["head"]], counts[bands["middle"]]
    assert head.sum() >= counts.sum() / 2 > head[:-1].sum()
    assert head.sum() + middle.sum() >= 0.8 * counts.sum() > head.sum() + middle[:-1].sum()


def test_bands_do_not_depend_on_the_scale_of_counts():
    counts = rng.integers(1, 9, 60)
    one, other = longtail.popularity_bands(counts), longtail.popularity_bands(counts * 7)
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("counts", [[1, -1, 2], [1, np.nan, 2]])
def test_bands_refuse_counts_that_are_none(counts):
    with pytest.raises(ColdstartError, match="0 or more"):
        longtail.popularity_bands(counts)


@pytest.mark.parametrize("counts", [[5], [0, 0, 0], [9, 1]])
def test_bands_refuse_to_leave_one_empty(counts):
    with pytest.raises(ColdstartError, match="leave no item for the"):
        longtail.popularity_bands(counts)


# --- Places ---


def placed(scores, members, m, k, each):
    ranked = metrics.top_k(longtail.reserve(scores, members, m, k, each=each), k)
    return members[ranked].sum(axis=1), np.take_along_axis(scores, ranked, axis=1).sum(axis=1)


@pytest.mark.parametrize("m", [0, 1, 2, 3])
def test_a_quota_gives_the_best_list_with_so_many_members(m):
    scores, members, k = rng.standard_normal((5, 7)), np.arange(7) % 2 == 0, 3
    held, total = placed(scores, members, m, k, True)
    for user in range(5):
        lists = [list(places) for places in combinations(range(7), k) if members[list(places)].sum() >= m]
        assert held[user] >= m
        assert total[user] == pytest.approx(max(scores[user, places].sum() for places in lists))


@pytest.mark.parametrize("m", [1, 2])
def test_no_lists_with_as_many_members_beat_one_price(m):
    scores, members, k = rng.standard_normal((3, 6)), np.arange(6) >= 3, 3
    held, total = placed(scores, members, m, k, False)
    lists = [list(places) for places in combinations(range(6), k)]
    options = [[(row[places].sum(), members[places].sum()) for places in lists] for row in scores]
    ways = [np.sum(way, axis=0) for way in product(*options)]
    assert held.sum() >= 3 * m
    assert total.sum() == pytest.approx(max(value for value, places in ways if places == held.sum()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_places_are_held_in_single_precision_and_after_a_shuffle(dtype):
    scores, members = rng.standard_normal((200, 90)).astype(dtype), rng.random(90) < 0.4
    held, _ = placed(scores, members, 4, 10, True)
    order = rng.permutation(90)
    again, _ = placed(scores[:, order], members[order], 4, 10, True)
    assert held.min() >= 4 and np.array_equal(held, again)
    assert placed(scores, members, 6, 10, False)[0].mean() == pytest.approx(6)


def test_members_who_hold_their_places_get_no_bonus():
    scores = np.array([[5.0, 4.0, 1.0, 0.0]])
    members = np.array([True, True, False, False])
    assert np.array_equal(longtail.reserve(scores, members, 2, 2, each=True), scores)


def test_places_can_be_filled_when_one_side_is_short():
    scores, members = rng.standard_normal((4, 6)), np.arange(6) < 5
    assert placed(scores, members, 4, 4, True)[0].tolist() == [4] * 4
    assert placed(scores, members, 4, 4, False)[0].mean() == 4
    assert placed(scores, np.ones(6, bool), 2, 4, True)[0].tolist() == [4] * 4


@pytest.mark.parametrize("m", [-1, 3, 4])
def test_more_places_than_members_are_refused(m):
    with pytest.raises(ColdstartError, match="expected 0 to 2 places"):
        longtail.reserve(np.zeros((2, 5)), np.arange(5) < 2, m, 3, each=True)


# --- Hypervolume ---


def test_hypervolume_by_hand():
    assert longtail.hypervolume([[1, 3], [2, 2], [3, 1]]) == 6
    assert longtail.hypervolume([[2, 2]], reference=(1, 0)) == 2


def test_a_dominated_point_adds_nothing_and_order_does_not_matter():
    points = rng.random((20, 2))
    area = longtail.hypervolume(points)
    assert longtail.hypervolume(points[::-1]) == pytest.approx(area)
    assert longtail.hypervolume(np.vstack([points, points * 0.9])) == pytest.approx(area)
    assert longtail.hypervolume(np.vstack([points, [[1.1, 1.1]]])) > area


def test_hypervolume_agrees_with_counting():
    points = rng.random((15, 2))
    sample = rng.random((40_000, 2))
    share = (sample[:, None] <= points).all(axis=2).any(axis=1).mean()
    assert longtail.hypervolume(points) == pytest.approx(share, rel=0.03)


@pytest.mark.parametrize("points", [[1, 2], [[1, 2, 3]], [[1, np.inf]]])
def test_hypervolume_refuses_what_is_no_front(points):
    with pytest.raises(ColdstartError, match="two numbers"):
        longtail.hypervolume(points)


# --- Weights ---


def test_weights_have_mean_one_over_interactions():
    counts = rng.integers(0, 100, 50)
    for weights in (longtail.inverse_propensity(counts, 0.7), longtail.effective_number(counts, 0.99)):
        assert weights @ counts == pytest.approx(counts.sum())
        assert np.isfinite(weights).all() and (np.diff(weights[np.argsort(counts)]) <= 1e-12).all()


def test_effective_number_lies_between_equal_weights_and_one_by_n():
    counts = np.array([1, 2, 5, 40])
    assert longtail.effective_number(counts, 0) == pytest.approx(np.ones(4))
    assert longtail.inverse_propensity(counts, 0) == pytest.approx(np.ones(4))
    assert longtail.effective_number(counts, 1 - 1e-9) == pytest.approx(
        longtail.inverse_propensity(counts, 1.0), rel=1e-5
    )


def test_effective_number_is_the_sum_of_a_series():
    counts = np.array([1, 3, 7])
    series = np.array([sum(0.8**j for j in range(n)) for n in counts])
    weights = longtail.effective_number(counts, 0.8)
    assert weights / weights[0] == pytest.approx(1 / series)


def test_weights_refuse_settings_out_of_range():
    with pytest.raises(ColdstartError, match="beta"):
        longtail.effective_number([1, 2], 1.0)
    with pytest.raises(ColdstartError, match="power"):
        longtail.inverse_propensity([1, 2], -0.5)


# --- On a split ---


def test_the_tail_of_a_split_gets_its_places_and_nobody_an_item_they_know():
    X = sparse.csr_matrix((rng.random((30, 40)) < np.linspace(0.9, 0.05, 40)).astype(float))
    split = splits.warm(X, 0)
    bands = longtail.bands_of(split)
    assert split.item_counts.sum() == split.train.nnz
    assert set(np.concatenate(list(bands.values()))) == set(split.warm_items)
    scores = rng.random(X.shape)
    changed = longtail.reranked(split, scores, 2, 4, each=True)[split.users]
    lists = metrics.top_k(np.where(split.train[split.users].toarray() > 0, -np.inf, changed), 4)
    assert np.isin(lists, bands["tail"]).sum(axis=1).min() >= 2
    untouched = longtail.reranked(split, scores, 0, 4, each=False)[split.users]
    new = split.train[split.users].toarray() == 0
    assert np.array_equal(untouched[new], scores[split.users][new])
