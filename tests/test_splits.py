"""splits: what is asked was never known, nothing is lost, and a seed decides everything."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue.splits import (
    Split,
    check_no_leak,
    cold_items,
    hide_items,
    interview,
    k_shot_items,
    k_shot_users,
    known_and_new,
    revealed,
    temporal,
    temporal_cold_items,
    warm,
    warm_and_cold,
)
from coldstart_utils.ground import ColdstartError


@pytest.fixture(scope="module")
def matrix():
    """Ratings 1 … 5 of 60 users and 40 items, about a third of all pairs, every row and column used."""
    rng = np.random.default_rng(0)
    full = rng.integers(1, 6, (60, 40)) * (rng.random((60, 40)) < 0.35)
    full[np.arange(60), np.arange(60) % 40] = 3
    return sparse.csr_matrix(full.astype(float))


@pytest.fixture(scope="module")
def times(matrix):
    stamps = np.random.default_rng(1).permutation(matrix.nnz) + 1.0
    return sparse.csr_matrix((stamps, matrix.indices, matrix.indptr), shape=matrix.shape)


PROTOCOLS = {
    "cold_items": lambda m, seed: cold_items(m, seed),
    "cold_items, half": lambda m, seed: cold_items(m, seed, fraction=0.5),
    "cold users": lambda m, seed: k_shot_users(m, seed, k=0),
    "k_shot_users": lambda m, seed: k_shot_users(m, seed, k=3),
    "k_shot_items": lambda m, seed: k_shot_items(m, seed, k=3),
}
protocols = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


def pairs(part):
    return set(zip(*(axis.tolist() for axis in part.nonzero())))


def items_of(part):
    return set(part.nonzero()[1].tolist())


@protocols
def test_parts_are_disjoint_and_nothing_is_lost(matrix, protocol):
    split = protocol(matrix, 0)
    parts = [pairs(split.train), pairs(split.support), pairs(split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == matrix.nnz
    assert abs(split.train + split.support + split.test - matrix).max() == 0, "the ratings themselves are kept"


@protocols
def test_the_seed_decides(matrix, protocol):
    first, again, other = protocol(matrix, 0), protocol(matrix, 0), protocol(matrix, 1)
    assert pairs(first.test) == pairs(again.test) and pairs(first.support) == pairs(again.support)
    assert pairs(first.test) != pairs(other.test)


@protocols
def test_the_order_of_candidates_is_seeded_and_tells_nothing(matrix, protocol):
    # Ties are broken by place among the candidates, and ids often follow fame.
    orders = [protocol(matrix, seed).candidates for seed in range(20)]
    assert orders[0].tolist() == protocol(matrix, 0).candidates.tolist()
    agreement = [np.corrcoef(order, np.arange(len(order)))[0, 1] for order in orders]
    assert abs(np.mean(agreement)) < 0.25
    assert all(len(np.unique(order)) == len(order) for order in orders)


@protocols
def test_users_are_those_who_are_asked(matrix, protocol):
    split = protocol(matrix, 0)
    assert split.users.tolist() == sorted({user for user, _ in pairs(split.test)})


@pytest.mark.parametrize("fraction, cold", [(0.2, 8), (0.5, 20), (0.9, 36)])
def test_cold_items_are_unseen_and_ranked_among_themselves(matrix, fraction, cold):
    split = cold_items(matrix, 0, fraction=fraction)
    assert len(split.candidates) == cold
    assert items_of(split.train) == set(range(40)) - set(split.candidates.tolist())
    assert items_of(split.test) == set(split.candidates.tolist())
    assert split.warm_items.tolist() == sorted(items_of(split.train))
    assert split.support.nnz == 0


def test_a_nested_split_leaves_the_outer_cold_items_alone(matrix):
    outer = cold_items(matrix, 0)
    inner = cold_items(outer.train, 0, among=outer.warm_items)
    assert set(inner.candidates) < set(outer.warm_items)
    assert len(inner.candidates) == round(0.2 * 32)
    outer_cold = set(outer.candidates.tolist())
    assert not outer_cold & (items_of(inner.train) | items_of(inner.test) | set(inner.candidates.tolist()))
    assert pairs(inner.train) | pairs(inner.test) == pairs(outer.train)


def test_items_outside_among_keep_what_is_known(matrix):
    split = cold_items(matrix, 0, among=np.arange(10))
    assert set(split.candidates) < set(range(10))
    assert abs(split.train[:, 10:] - matrix[:, 10:]).max() == 0


@pytest.mark.parametrize("k", [0, 1, 3, 7])
def test_k_ratings_of_a_new_user_are_revealed(matrix, k):
    split = k_shot_users(matrix, 0, k=k)
    new = k_shot_users(matrix, 0, k=0).users
    assert split.train[new].nnz == 0 and len(new) == 12
    degree = np.diff(matrix.indptr)[new]
    assert np.diff(split.support.indptr)[new].tolist() == np.minimum(degree, k).tolist()
    assert split.support.nnz == np.diff(split.support.indptr)[new].sum()
    assert sorted(split.candidates) == split.warm_items.tolist()


@pytest.mark.parametrize("k", [0, 1, 3, 7])
def test_k_ratings_of_a_new_item_are_revealed(matrix, k):
    split, cold = k_shot_items(matrix, 0, k=k), cold_items(matrix, 0)
    degree = np.diff(matrix.tocsc().indptr)[cold.candidates]
    # One that has revealed all it had cannot be asked for; one that never had any stays, as in `cold_items`.
    assert sorted(split.candidates) == sorted(cold.candidates[(degree > k) | (degree == 0)])
    assert pairs(split.train) == pairs(cold.train)
    shown = np.diff(split.support.tocsc().indptr)
    assert shown[cold.candidates].tolist() == np.minimum(degree, k).tolist()
    assert shown.sum() == split.support.nnz


def test_no_shot_is_cold(matrix):
    nothing_shown, cold = k_shot_items(matrix, 3, k=0), cold_items(matrix, 3)
    assert pairs(nothing_shown.test) == pairs(cold.test) and nothing_shown.support.nnz == 0


@pytest.mark.parametrize("protocol", [k_shot_users, k_shot_items])
def test_what_is_revealed_at_k_is_revealed_at_more(matrix, protocol):
    supports = [pairs(protocol(matrix, 0, k=k).support) for k in range(6)]
    assert all(fewer < more for fewer, more in itertools.pairwise(supports))
    assert len({frozenset(pairs(protocol(matrix, 0, k=k).train)) for k in range(6)}) == 1


def test_what_is_revealed_is_a_random_choice(matrix):
    places = []
    for seed in range(20):
        split = k_shot_users(matrix, seed, k=2)
        for user in split.users:
            row = matrix[user].indices.tolist()
            places += [row.index(item) / (len(row) - 1) for item in split.support[user].indices]
    assert np.mean(places) == pytest.approx(0.5, rel=0.1) and np.std(places) > 0.25


def test_items_that_only_new_users_know_are_dropped():
    # User 2 alone rated item 3: where user 2 is new, item 3 is cold, which this protocol does not ask for.
    matrix = sparse.csr_matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]])
    dropped = 0
    for seed in range(20):
        split = k_shot_users(matrix, seed, k=1, fraction=1 / 3)
        known = pairs(split.train) | pairs(split.support) | pairs(split.test)
        lost = pairs(matrix) - known
        assert lost == ({(2, 3)} if split.users.tolist() == [2] else set())
        assert set(split.candidates) == items_of(split.train)
        dropped += len(lost)
    assert dropped > 0


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_temporal_asks_for_what_came_later(matrix, times, fraction):
    split = temporal(matrix, times, fraction=fraction)
    when = {pair: times[pair] for pair in pairs(matrix)}
    latest_known = max(when[pair] for pair in pairs(split.train))
    assert latest_known < min(when[pair] for pair in pairs(split.test))
    assert len(pairs(split.train)) == pytest.approx((1 - fraction) * matrix.nnz, rel=0.01)
    dropped = pairs(matrix) - pairs(split.train) - pairs(split.test)
    assert {item for _, item in dropped}.isdisjoint(split.candidates), "only cold items are dropped"
    assert sorted(split.candidates) == split.warm_items.tolist()


def test_temporal_needs_a_time_for_each_interaction(matrix):
    with pytest.raises(ColdstartError, match="one timestamp for every interaction"):
        temporal(matrix, matrix[:, ::-1].tocsr())


def leaky(split, **changed):
    """Return the split with fields changed and unchecked."""
    made = object.__new__(Split)
    for field in dataclasses.fields(Split):
        object.__setattr__(made, field.name, changed.get(field.name, getattr(split, field.name)))
    return made


LEAKS = {
    "a pair that is trained on": (cold_items, {}, lambda s: {"train": s.train + s.test}, "already|training data"),
    "a pair that is revealed": (k_shot_users, {"k": 1}, lambda s: {"support": s.support + s.test}, "training data"),
    "a cold item": (
        cold_items,
        {},
        lambda s: {"train": s.train + one(s.test.shape, free(s), s.candidates[0])},
        "a cold item has training interactions",
    ),
    "a k-shot item": (
        k_shot_items,
        {"k": 1},
        lambda s: {"train": s.train + one(s.test.shape, free(s), s.candidates[0])},
        "a cold item has training interactions",
    ),
    "a new user": (
        k_shot_users,
        {"k": 1},
        lambda s: {"train": s.train + s.support},
        "a new user has training interactions",
    ),
    "twice a candidate": (
        cold_items,
        {},
        lambda s: {"candidates": np.append(s.candidates, s.candidates[0])},
        "an item stands twice among the candidates",
    ),
    "no candidate": (
        cold_items,
        {},
        lambda s: {"candidates": s.candidates[1:]},
        "a tested item is not among the candidates",
    ),
}


def one(shape, row, column):
    return sparse.csr_matrix(([1.0], ([row], [column])), shape=shape)


def free(split):
    """Return a user for whom the first candidate is unknown, neither asked nor revealed."""
    column = (split.test + split.support)[:, [split.candidates[0]]].toarray().ravel()
    return int(np.argmin(column))


@pytest.mark.parametrize("protocol, options, damage, message", LEAKS.values(), ids=LEAKS)
def test_each_kind_of_leak_is_caught(matrix, protocol, options, damage, message):
    split = protocol(matrix, 0, **options)
    check_no_leak(split)
    with pytest.raises(ColdstartError, match=f"split {split.kind}: .*({message})"):
        check_no_leak(leaky(split, **damage(split)))
    with pytest.raises(ColdstartError, match=message):
        dataclasses.replace(split, **damage(split))


@pytest.mark.parametrize("fraction", [0, 0.001, 0.999, 1, -0.2, 1.5])
@pytest.mark.parametrize("protocol", [cold_items, lambda *a, **b: k_shot_users(*a, k=1, **b)])
def test_a_share_that_leaves_one_side_empty_is_refused(matrix, protocol, fraction):
    with pytest.raises(ColdstartError, match="one side empty"):
        protocol(matrix, 0, fraction=fraction)


@pytest.mark.parametrize("protocol", [k_shot_users, k_shot_items])
def test_k_is_not_negative(matrix, protocol):
    with pytest.raises(ColdstartError, match="k: expected 0 or more, got -1"):
        protocol(matrix, 0, k=-1)


@pytest.mark.parametrize("protocol", [k_shot_users, k_shot_items])
def test_revealing_everything_leaves_nothing_to_ask(matrix, protocol):
    with pytest.raises(ColdstartError, match="nothing is left to ask for"):
        protocol(matrix, 0, k=1000)


def test_one_moment_has_no_later(matrix):
    with pytest.raises(ColdstartError, match="split temporal: nothing is left to ask for"):
        temporal(matrix, matrix.astype(bool).astype(float))


def test_movielens_splits_as_the_chapters_use_them(ml100k):
    matrix = ml100k.matrix()
    split = cold_items(matrix, 0)
    assert len(split.candidates) == 336 and len(split.warm_items) == 1346
    late = temporal(matrix, ml100k.matrix("timestamp"))
    stamps = ml100k.matrix("timestamp")
    assert stamps[late.train.nonzero()].max() < stamps[late.test.nonzero()].min()


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_a_share_of_each_users_choices_is_hidden_and_warm_items_are_asked(matrix, fraction):
    split = warm(matrix, 0, fraction=fraction)
    degrees, kept = np.diff(matrix.indptr), np.diff(split.train.indptr)
    assert np.array_equal(degrees - kept, np.round(fraction * degrees))
    assert set(split.candidates) == set(split.warm_items)
    assert pairs(split.train) | pairs(split.test) <= pairs(matrix)
    lost = pairs(matrix) - pairs(split.train) - pairs(split.test)
    assert {item for _, item in lost}.isdisjoint(split.warm_items)


def test_a_nested_warm_split_asks_for_what_the_outer_one_knows(matrix):
    outer = warm(matrix, 0)
    inner = warm(outer.train, 1000)
    assert pairs(inner.test) <= pairs(outer.train) and pairs(inner.test).isdisjoint(pairs(outer.test))
    assert pairs(warm(matrix, 0).test) == pairs(outer.test) != pairs(warm(matrix, 1).test)
    with pytest.raises(ColdstartError, match="nothing is left to ask for"):
        warm(matrix, 0, fraction=0.0)


def test_new_items_are_chosen_among_those_given(matrix):
    among = np.arange(0, 40, 2)
    split = k_shot_items(matrix, 0, k=2, among=among)
    assert set(split.candidates) <= set(among) and len(split.candidates) == round(0.2 * len(among))


def test_what_is_shown_at_k_is_shown_at_more_and_the_new_side_stands_in_rows(matrix):
    users, items = k_shot_users(matrix, 1, k=4), k_shot_items(matrix, 1, k=4)
    for split, whole in ((users, users.support), (items, items.support.T)):
        shown = [pairs(revealed(split, k)) for k in (0, 2, 3, 4)]
        assert shown[0] == set() and shown[1] < shown[2] < shown[3] == pairs(whole)
        assert np.diff(revealed(split, 2).indptr).max() == 2
        assert shown[1] == pairs(revealed(split, 2))
    with pytest.raises(ColdstartError, match="k: expected 0 or more, got -1"):
        revealed(users, -1)


def test_an_interview_reveals_the_choices_among_its_items_and_ranks_none_of_them(matrix):
    split = k_shot_users(matrix, 1, k=3)
    asked = split.candidates[:5]
    told = interview(split, asked)
    whole = pairs(split.support) | pairs(split.test)
    assert pairs(told.support) == {(u, i) for u, i in whole if i in asked}
    assert pairs(told.test) == {(u, i) for u, i in whole if i not in asked}
    assert set(told.candidates) == set(split.candidates) - set(asked)
    assert told.train is split.train
    with pytest.raises(ColdstartError, match="interview: expected a split of kind 'k_shot_users'"):
        interview(k_shot_items(matrix, 1, k=3), asked)


def test_without_items_they_are_neither_ranked_nor_asked_for(matrix):
    split = k_shot_users(matrix, 0, k=0)
    gone = split.candidates[:30]
    rest = split.without(gone)
    assert rest.candidates.tolist() == split.candidates[30:].tolist()
    assert pairs(rest.test) == {(u, i) for u, i in pairs(split.test) if i not in gone}
    assert rest.users.tolist() == sorted({u for u, _ in pairs(rest.test)})


def test_the_latest_items_are_new_in_time(matrix):
    # Items 30 to 39 first appear in the last part of the time.
    coo = matrix.tocoo()
    moments = np.where(coo.col >= 30, 1000.0, 1.0) + np.arange(coo.nnz) / 1000
    times = sparse.csr_matrix((moments, (coo.row, coo.col)), shape=matrix.shape)
    share = (coo.col >= 30).mean()
    split = temporal_cold_items(matrix, times, fraction=share * 0.99)
    assert split.kind == "cold_items" and set(split.candidates) <= set(range(30, 40))
    assert split.train[:, split.candidates].nnz == 0
    latest_known = times.toarray()[split.train.nonzero()].max()
    assert latest_known < times.toarray()[split.test.nonzero()].min()


def test_new_and_known_items_are_ranked_in_one_list(matrix):
    cold = np.array([3, 5, 8])
    split = warm_and_cold(matrix, cold, 1)
    assert set(cold) < set(split.candidates) and split.train[:, cold].nnz == 0
    assert split.test[:, cold].nnz == matrix[:, cold].nnz
    known = np.setdiff1d(split.candidates, cold)
    assert 0 < split.test[:, known].nnz < split.train[:, known].nnz
    assert not pairs(split.train) & pairs(split.test)


def test_users_and_items_to_be_new_can_be_named(matrix):
    new = np.array([4, 7])
    assert set(hide_items(matrix, new).candidates) == {4, 7}
    assert set(k_shot_items(matrix, 0, k=2, new=new).candidates) == {4, 7}
    assert k_shot_users(matrix, 0, k=2, new=new).users.tolist() == [4, 7]


def test_known_and_new_share_out_the_candidates(matrix):
    split = warm_and_cold(matrix, np.arange(5))
    parts = known_and_new(split)
    assert parts["new"].tolist() == list(range(5))
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.sort(split.candidates))
    assert (split.item_counts[parts["known"]] > 0).all() and not split.item_counts[parts["new"]].any()


def test_items_are_named_by_number_or_by_a_mask(matrix):
    some, split = np.array([0, 3, 4]), warm(matrix, 0)
    mask = np.isin(np.arange(matrix.shape[1]), some)
    assert split.without(mask).candidates.tolist() == split.without(some).candidates.tolist()
    asked = k_shot_users(matrix, 0, k=0)
    assert interview(asked, mask).support.nnz == interview(asked, some).support.nnz
    with pytest.raises(ColdstartError, match="or a mask of"):
        interview(asked, mask[:-1])
