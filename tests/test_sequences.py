"""sequences: moments that know only what came before, rows that lose no step, a training that reads no future."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from coldstart_utils.catalogue.splits import hide_items
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import sequences
from coldstart_utils.measure import ranking, study

# User 0 sits twice, with an hour between; user 1 begins after the cut at 100; user 2 never chooses again.
LOG = pd.DataFrame(
    [
        *[(0, 0, 10.0), (0, 1, 20.0), (0, 2, 20.0), (0, 3, 5000.0), (0, 4, 5000.0), (0, 5, 5010.0)],
        *[(1, 0, 200.0), (1, 2, 210.0), (1, 9, 220.0)],
        *[(2, 3, 30.0), (2, 4, 40.0), (2, 5, 50.0)],
    ],
    columns=["user", "item", "timestamp"],
)


@pytest.fixture(scope="module")
def split():
    return sequences.next_choices(LOG, 10, 100.0)


def test_choices_of_one_second_are_shuffled_and_time_is_kept():
    orders = {tuple(sequences.in_order(LOG, seed)["item"][:6]) for seed in range(20)}
    assert len(orders) == 4  # items 1 and 2, and 3 and 4, in either order
    assert all(order[0] == 0 and order[5] == 5 and set(order[1:3]) == {1, 2} for order in orders)


def test_a_moment_knows_what_came_before_it_and_asks_for_its_second(split):
    asked = {
        (int(person), frozenset(own), frozenset(split.test[row].indices))
        for row, (person, own) in enumerate(zip(split.people, split.histories))
    }
    assert asked == {
        (0, frozenset({0, 1, 2}), frozenset({3, 4})),
        (0, frozenset({0, 1, 2, 3, 4}), frozenset({5})),
        (1, frozenset({0}), frozenset({2})),  # item 9 was unknown at the cut: neither asked nor ranked
    }
    assert split.pause.tolist() == [4980.0, 10.0, 10.0]
    assert sorted(split.candidates) == [0, 1, 2, 3, 4, 5]


def test_what_is_learnt_ends_at_the_cut_while_histories_go_on(split):
    assert split.past["timestamp"].max() <= split.until == 100.0
    assert [times.max() for times in split.times] == [20.0, 5000.0, 200.0]
    assert [len(own) for own in split.histories] == [len(times) for times in split.times]
    assert all(own[-1] in (1, 2, 3, 4, 0) for own in split.histories)


def test_few_moments_of_a_user_are_spread_over_time_for_each_kind_of_pause():
    times = np.concatenate([[0.0], 200 + np.arange(100) * 10.0, 10_000 * np.arange(1, 31)])
    log = pd.DataFrame({"user": 0, "item": np.arange(len(times)), "timestamp": times})
    log = pd.concat([log, log.assign(user=1, timestamp=np.arange(len(log)) / len(log))])
    split = sequences.next_choices(log, len(times), 100.0, most=4)
    own = split.pause[split.people == 0]
    assert (own >= 3600).sum() == 4 and (own < 3600).sum() == 4


def test_what_is_chosen_once_more_is_not_asked_for():
    again = pd.concat([LOG, pd.DataFrame({"user": [0, 0], "item": [5, 3], "timestamp": [5020.0, 5020.0]})])
    assert len(sequences.next_choices(again, 10, 100.0).people) == 3


def test_without_a_moment_to_ask_for_it_is_told():
    with pytest.raises(ColdstartError, match="after the time 6000 nobody with a history chose an item known"):
        sequences.next_choices(LOG, 10, 6000.0)


def test_the_protocol_runs_in_a_study(split):
    found = study.run({"any": study.Arm(lambda s: ranking.from_items(np.arange(10.0)))}, [study.Fold(split, ())], k=2)
    assert found["user"].tolist() == [0, 1, 2]
    assert found["recall"].tolist() == [0.5, 1.0, 0.0]  # 5 and 4; 5 alone is left; 5 and 4, but 2 was wanted


def test_the_nested_cut_is_made_of_what_the_outer_one_knows():
    log = circle(users=30, length=12).assign(timestamp=lambda t: t["timestamp"] + t["user"] / 100)
    log["item"] = log["timestamp"].astype(int)
    outer, nested = sequences.calendar_cut(log, 12)
    assert len(outer.past) == pytest.approx(0.8 * len(log), abs=1)
    assert len(nested.past) == pytest.approx(0.8 * len(outer.past), abs=1)
    assert max(times.max() for times in nested.times) < outer.until
    assert sequences.choices(log, (30, 12)).sum() == len(log)


def test_the_same_people_are_asked_in_a_sitting_and_after_a_pause(split):
    found = pd.DataFrame({"user": [0, 1, 2], "ndcg": [0.1, 0.2, 0.3]})
    groups = {name: part.values.tolist() for name, part in sequences.moment_groups(found, split).items()}
    assert groups == {
        "in a sitting": [[0, 0.2], [1, 0.3]],
        "in a sitting, returning": [[0, 0.2]],
        "after a pause, returning": [[0, 0.1]],
    }
    assert list(sequences.moment_groups(found, split, long=1.0)) == ["all moments"]


def test_weights_of_a_history_stand_at_its_items():
    matrix = sequences.histories_matrix([np.array([2, 0]), np.array([1])], 4, [np.array([0.5, 1.0]), np.array([3.0])])
    assert matrix.toarray().tolist() == [[1.0, 0, 0.5, 0], [0, 3.0, 0, 0]]
    assert sequences.histories_matrix([np.array([1, 3])], 4).toarray().tolist() == [[0, 1, 0, 1]]


def test_every_step_stands_in_exactly_one_window():
    log = pd.DataFrame({"user": np.repeat([0, 1, 2], [11, 5, 1]), "item": np.arange(17), "timestamp": np.arange(17.0)})
    rows = sequences.windows(log, 5)
    steps = [(int(a), int(b)) for row in rows for a, b in pairwise(row) if b >= 0]
    assert steps == [(n, n + 1) for n in range(15) if n != 10]
    assert rows.shape[1] == 6 and (rows == -1).sum(dim=1).tolist() == [0, 0, 1, 5]


def test_padding_stands_at_the_right():
    assert sequences.padded([[1, 2, 3], np.array([4])]).tolist() == [[1, 2, 3], [4, -1, -1]]


def test_what_a_split_hides_is_no_known_event():
    X = sequences.histories_matrix([np.array([0, 1]), np.array([1, 2])], 3)
    log = pd.DataFrame({"user": [0, 0, 1, 1], "item": [0, 1, 1, 2], "timestamp": 0.0})
    known = sequences.known_events(log, hide_items(X, np.array([1])))
    assert known[["user", "item"]].to_numpy().tolist() == [[0, 0], [1, 2]]


# --- A model small enough to check --------------------------------------------------------------------------------


class LastItem(nn.Module):
    """The state is the vector of the latest item alone: what comes next is a table that training can learn."""

    def __init__(self, n=6, d=8):
        super().__init__()
        self.read, self.film = nn.Embedding(n, d), nn.Embedding(n, d)

    def forward(self, rows):
        return self.read(rows.clamp(min=0)), self.film.weight


def loss_of(model):
    def loss(rows):
        states, e = model(rows[:, :-1])
        real = rows[:, 1:] >= 0
        return cross_entropy(states[real] @ e.T, rows[:, 1:][real])

    return loss


def circle(users=40, length=12):
    """Everybody goes round: 0, 1, … 5, 0, …, from a place of their own."""
    items = (np.arange(users)[:, None] + np.arange(length)) % 6
    times = np.tile(np.arange(length, dtype=float), users)
    return pd.DataFrame({"user": np.repeat(np.arange(users), length), "item": items.ravel(), "timestamp": times})


@pytest.mark.parametrize("shuffled", [False, True])
def test_training_learns_an_order_unless_it_is_shuffled(shuffled):
    torch.manual_seed(0)
    model = LastItem()
    sequences.train(model, loss_of(model), circle(), length=11, epochs=15, rate=0.1, batch=8, shuffled=shuffled)
    scores = sequences.scores_after(model, [np.array([0, 1, 2]), np.array([5])], 5)
    assert (scores.argmax(axis=1).tolist() == [3, 0]) != shuffled
    assert not model.training


def test_scores_read_the_end_of_a_history_and_no_padding():
    torch.manual_seed(1)
    model = LastItem().eval()
    alone = sequences.scores_after(model, [np.array([3, 1])], 4)
    long = sequences.scores_after(model, [np.array([0, 0, 0, 0, 3, 1]), np.array([2])], 4)
    np.testing.assert_allclose(long[0], alone[0], rtol=1e-6)
    expected = model.read.weight[1] @ model.film.weight.T
    np.testing.assert_allclose(alone[0], expected.detach().numpy(), rtol=1e-6)
    with pytest.raises(ColdstartError, match="one choice or more in each history"):
        sequences.scores_after(model, [np.array([3, 1]), np.array([], int)], 4)


def test_recorded_trials_hold_the_settings_that_the_chapter_uses():
    table = sequences.recorded_trials()
    assert set(table["question"]) == {"next choices", "new films"}
    for question, models in {
        "next choices": {"ids", "text", "ids, shuffled"},
        "new films": {"in order", "shuffled"},
    }.items():
        chosen = sequences.chosen_settings(question)
        assert set(chosen) == models
        part = table[(table["question"] == question) & (table["change"] == "searched")]
        assert part.groupby("model").size().nunique() == 1  # the same number of trials for each
        assert all(0 < setting["rate"] < 1 and 0 < setting["drop"] <= 0.9 for setting in chosen.values())
    with pytest.raises(ColdstartError, match="question: expected one of next choices, new films, got 'why'"):
        sequences.chosen_settings("why")
