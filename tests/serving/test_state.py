"""What the service knows while other things happen: items that come, models that fail, answers read at once."""

import asyncio
import logging
import socket

import numpy as np
import pytest
from conftest import batch, encode

from coldstart_utils.ground import ColdstartError
from coldstart_utils.serving import replay, start
from coldstart_utils.serving.ranking import Ranking, Rows
from coldstart_utils.serving.state import State
from coldstart_utils.serving.store import Item, Store
from coldstart_utils.serving.versions import load as newest
from coldstart_utils.serving.words import Shelf


class Growing(Rows):
    """Rows of which one more comes whenever somebody looks."""

    @property
    def all(self):
        """The rows so far, before the next one comes."""
        rows = Rows.all.fget(self)
        self.add(rows[0])
        return rows


@pytest.mark.parametrize("approximate", [False, True])
def test_an_item_that_comes_during_a_ranking_does_not_spoil_it(approximate):
    pytest.importorskip("faiss")
    factors = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    ranking = Ranking(factors, approximate=approximate)
    ranking.rows = Growing(factors)
    places, scores = ranking.top(factors[3], 5, hidden=[3])
    assert np.allclose(factors[places % 40] @ factors[3], scores) and 3 not in places


def test_an_item_is_named_before_a_ranking_finds_it(folder, monkeypatch):
    store = Store(folder)
    state = State(newest(folder), store.reader())
    found = []
    monkeypatch.setattr(state.shelf, "add", lambda _: found.append(state.recommend(state.user("u0"), 200)))
    with store.writing():
        store.add_item(Item("x1", "war film at sea", "", {}, encode(["war film at sea"])[0]))
        new = store.item("x1")
    state.add(new)
    assert len(found[0]) == 22  # of 30 items, without the eight that the user chose
    assert "x1" in [entry["item"] for entry in state.recommend(state.user("u0"), 200)]
    store.close()


def test_a_model_that_cannot_serve_is_told_and_the_old_one_serves(opened, monkeypatch, caplog):
    service = opened()

    async def learnt():
        return 0

    async def attempt():
        async with service:
            monkeypatch.setattr(service, "_learn", learnt)
            monkeypatch.setattr("coldstart_utils.serving.live.load", lambda _: None)
            service.retrain()
            await service.learning
            return service.state.recommend(service.state.user("u0"), 3)

    with caplog.at_level(logging.ERROR, "coldstart"):
        assert len(asyncio.run(attempt())) == 3
    assert "cannot serve (ColdstartError" in caplog.text and "no sound model" in caplog.text


def test_the_same_words_are_the_same_in_a_tuple_and_in_a_list(tmp_path):
    store, vector = Store(tmp_path), np.ones(3)
    with store.writing():
        assert store.add_item(Item("a", "title", "", {"genres": ("Drama",)}, vector))
        assert not store.add_item(Item("a", "title", "", {"genres": ("Drama",)}, vector))
        assert not store.add_item(Item("a", "title", "", {"genres": ["Drama"]}, vector))
        with pytest.raises(ColdstartError, match="other words"):
            store.add_item(Item("a", "title", "", {"genres": ["War"]}, vector))
    store.close()


def test_who_said_nothing_keeps_the_prior(folder):
    model = newest(folder)
    found = replay.batch_vectors(folder, model, ["u0", "a stranger"])
    assert found[0] == pytest.approx(batch(folder, "u0")) and found[1] == pytest.approx(model.mean)
    assert replay.batch_vectors(folder, model, ["a stranger"])[0] == pytest.approx(model.mean)


def test_a_policy_of_an_opening_is_one_that_is_known(folder):
    model = newest(folder)
    visitors = replay.Visitors(np.ones((3, model.V.shape[1])), np.zeros(3), np.ones((3, 2), bool))
    shown = {
        policy: replay.opening(model, model.V[:2], visitors, policy=policy, places=1).shown
        for policy in replay.POLICIES
    }
    assert all((own.sum(axis=1) == 1).all() for own in shown.values())
    with pytest.raises(ColdstartError, match="'thomson'"):
        replay.opening(model, model.V[:2], visitors, policy="thomson", places=1)


@pytest.mark.parametrize("host, family", [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_port_in_use_is_found_on_either_loopback(host, family):
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    port = listening.getsockname()[1]
    with listening:
        assert start.taken(host, port)
    assert not start.taken(host, port)


def test_items_of_stop_words_are_searched_by_meaning_until_one_has_a_word():
    shelf = Shelf([Item(name, "It", "", {}, np.eye(3)[n]) for n, name in enumerate("ab")], 3)
    assert shelf.scores("the film", np.array([0.0, 1, 0]), None).argmax() == 1
    shelf.add(Item("c", "a film", "", {}, np.eye(3)[2]))
    assert shelf.scores("the film", np.ones(3), None).argmax() == 2
