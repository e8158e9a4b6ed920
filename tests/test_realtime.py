"""What chapter 13 says about a service: its limit, its gauges, and who its visitors are."""

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.book import realtime
from coldstart_utils.serving import load, replay
from coldstart_utils.serving.belief import Belief


def times(p99, refused=0.0):
    """Return a `by_load` table of lists and clicks whose p99 at 100, 200, … a second is given."""
    rows = [
        (path, 100 * 2**n, 1.0, x, refused * (x > 15))
        for path in ("a click", "the next list")
        for n, x in enumerate(p99)
    ]
    return pd.DataFrame(rows, columns=["path", "rate", "p50", "p99", "refused"])


@pytest.mark.parametrize(
    "p99, rate, words, told",
    [
        ([2, 3, 4], 400, "at least 400", "No limit was reached up to 400"),
        ([2, 3, 40], 200, "200", "is 200 requests a second. At 400 the slower p99 is 40 ms"),
        ([20, 30, 40], 100, "below 100", "At no rate tried"),
    ],
)
def test_a_limit_is_said_only_where_one_was_met(p99, rate, words, told):
    knee = realtime.knee(times(p99), 15)
    assert (knee.rate, knee.words) == (rate, words) and told in knee.told
    refused = realtime.knee(times(p99, refused=0.5), 15).told
    assert ("50.0% are refused" in refused) == (p99[-1] > 15)


def test_rates_climb_until_half_of_the_answers_are_late(monkeypatch):
    sent = []

    def offered(address, asks, rate):
        sent.extend(asks)
        return pd.DataFrame({"path": "/events", "status": 200, "ms": [rate / 10] * len(asks)})

    monkeypatch.setattr(load, "offered", offered)
    loads = load.climbed("", iter(range(10_000)), [100, 200, 400], seconds=2, late=15)
    assert [*loads] == [100, 200]
    assert sent == [*range(600)]  # no request is sent twice


def test_gauges_are_counted_half_by_half():
    names = ["coldstart_items_shown_total", "coldstart_best_score_sum", "coldstart_best_score_count"]
    meters = [dict(zip(names, (20 * n, 0.5 * n + (n > 2), n))) for n in range(1, 5)]
    table = realtime.watched(meters)
    assert [*table.loc["places with a film newer than the model"]] == ["0 of 40", "0 of 40"]
    assert [*table.loc["best score of a list, mean"]] == ["0.50", "1.00"]


def test_visitors_are_known_by_their_past_alone():
    V = np.array([[1.0, 0], [0, 1], [1, 1], [2, 0]])
    stream = replay.Stream(np.array(["a", "b", "a", "c"], object), np.array([0, 1, 3, 2]), np.arange(4.0), cut=2)
    prior = Belief(np.zeros(2), np.eye(2), 1.0)
    visitors = replay.visitors_of(prior, V, stream, known=3, k=1)
    assert stream.tested == ["a", "c"]
    assert np.allclose(visitors.mean, [[0.5, 0], [0, 0]])
    assert np.allclose(visitors.worst, [0.5, 0])
    assert visitors.took.tolist() == [[True], [False]]
