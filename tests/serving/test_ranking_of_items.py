"""The best items for a factor, exactly and by an index, with what came since; and users who leave memory."""

import numpy as np
import pytest

from coldstart_utils.serving import state
from coldstart_utils.serving.ranking import Ranking, Rows, best
from coldstart_utils.serving.store import Store
from coldstart_utils.serving.versions import load


@pytest.fixture(scope="module")
def factors():
    return np.random.default_rng(0).normal(size=(6_400, 8)).astype(np.float32)


def by_sorting(V, x, k, hidden=()):
    scores = V @ x.astype(np.float32)
    scores[[*hidden]] = -np.inf
    order = np.argsort(-scores, kind="stable")[:k]
    return order[scores[order] > -np.inf]


def test_the_best_items_are_those_of_a_full_order_without_the_hidden(factors):
    ranking, x = Ranking(factors[:50]), np.random.default_rng(1).normal(size=8)
    first = by_sorting(factors[:50], x, 3)
    places, scores = ranking.top(x, 10, hidden=first)
    assert places.tolist() == by_sorting(factors[:50], x, 10, first).tolist()
    assert scores == pytest.approx(factors[places] @ x, rel=1e-5) and not set(places) & set(first)
    assert len(ranking.top(x, 99, hidden=range(45))[0]) == 5


def test_ties_go_to_the_item_that_came_first():
    assert best(np.array([7, 3, 5, 9]), np.array([1.0, 2.0, 1.0, 1.0]), 2)[0].tolist() == [3, 5]
    assert best(np.array([7, 3]), np.array([-np.inf, 0.0]), 2)[0].tolist() == [3]


def test_an_index_finds_nearly_the_same_and_all_that_came_after_it(factors):
    ranking, questions = Ranking(factors, approximate=True), np.random.default_rng(2).normal(size=(20, 8))
    found = [ranking.top(x, 10)[0] for x in questions]
    right = [by_sorting(factors, x, 10) for x in questions]
    assert ranking.indexed == 6_400
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, right)]) > 0.9
    x = questions[0]
    ranking.add(9 * x)
    assert ranking.top(x, 3)[0].tolist() == [6_400, *found[0][:2]]
    hidden = [6_400, *found[0][:2]]
    assert ranking.top(x, 5, hidden)[0].tolist() == found[0][2:7].tolist()


def test_rows_keep_their_order_as_they_grow():
    rows, more = Rows(np.zeros((1, 2))), np.random.default_rng(0).normal(size=(200, 2))
    for row in more:
        rows.add(row)
    assert np.array_equal(rows.all, np.vstack([np.zeros((1, 2)), more]))


def test_a_user_who_left_memory_is_read_again_and_the_same(folder, monkeypatch):
    monkeypatch.setattr(state, "REMEMBERED", 2)
    known = state.State(load(folder), Store(folder).reader())
    before = known.user("u0").belief.mean
    for name in ("u1", "u0", "u2", "u3"):  # u1 was asked about longest ago, then u0
        known.user(name)
    assert [*known.users] == ["u2", "u3"]
    assert known.user("u0").belief.mean == pytest.approx(before, abs=1e-12)
