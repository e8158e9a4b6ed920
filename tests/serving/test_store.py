"""What is on disk: what counts, what is refused, and what is found after damage."""

import sqlite3
from itertools import permutations
from threading import Thread

import numpy as np
import pytest

from coldstart_utils.ground import ColdstartError
from coldstart_utils.serving.learning import learn
from coldstart_utils.serving.store import FILE, Event, Item, Refused, Store, Unwritable
from coldstart_utils.serving.versions import load, save, versions
from coldstart_utils.serving.writer import Full, Write, Writer


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    with store.writing():
        for name in ("a", "b"):
            store.add_item(Item(name, name.upper(), "", {"genres": ["x"]}, np.ones(3)))
    yield store
    store.close()


def stored(store, *events):
    with store.writing():
        return store.add_events(events)


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_the_latest_word_counts_in_whatever_order_words_arrive(store, order):
    events = [Event("u", "a", 1.0, 10.0), Event("u", "a", 0.0, 20.0), Event("u", "b", 0.5, 15.0)]
    for n in order:
        stored(store, events[n])
    assert store.reader().answers("u") == [(1, 20.0, 0.0), (2, 15.0, 0.5)] and store.reader().count("u") == 3


def test_the_same_event_twice_is_one_event(store):
    event = Event("u", "a", 1.0, 10.0)
    assert len(stored(store, event, event)) == 1 and stored(store, event) == []
    assert store.reader().count() == 1


def test_another_value_under_the_same_key_is_refused_and_nothing_of_its_list_is_stored(store):
    stored(store, Event("u", "a", 1.0, 10.0))
    with pytest.raises(Refused, match="event 2: at that time the user said 1 of the item"):
        stored(store, Event("u", "b", 1.0, 5.0), Event("u", "a", 0.0, 10.0))
    assert store.reader().count() == 1


def test_an_unknown_item_is_refused(store):
    with pytest.raises(Refused, match="event 1: item 'c' is unknown"):
        stored(store, Event("u", "c"))


def test_a_clock_that_goes_backwards_keeps_the_order_of_arrival_even_after_a_restart(tmp_path):
    times = iter([100.0, 50.0, 20.0, 10.0])
    store = Store(tmp_path, clock=lambda: next(times))
    with store.writing():
        store.add_item(Item("a", "A", "", {}, np.ones(3)))
    stored(store, Event("u", "a", 1.0))
    stored(store, Event("u", "a", 0.0))
    store.close()
    store = Store(tmp_path, clock=lambda: next(times))
    stored(store, Event("u", "a", 0.5))
    ((_, when, value),) = store.reader().answers("u")
    assert value == 0.5 and 100 < when < 100.1


def test_an_item_under_a_known_id_is_the_same_or_refused(store):
    again = Item("a", "A", "", {"genres": ["x"]}, np.zeros(3))
    assert store.add_item(again) is False
    with pytest.raises(Refused, match="exists with other words"):
        store.add_item(Item("a", "A", "other", {"genres": ["x"]}, np.ones(3)))


def test_a_full_disk_stores_nothing_says_so_and_goes_on_when_there_is_room(store):
    pages = store.db.execute("PRAGMA page_count").fetchone()[0]
    store.db.execute(f"PRAGMA max_page_count={pages}")
    many = [Event(f"user {n}" * 20, "a", 1.0, float(n)) for n in range(500)]
    with pytest.raises(Unwritable, match="could not be written"):
        stored(store, *many)
    assert store.reader().count() == 0
    store.db.execute("PRAGMA max_page_count=100000")
    assert len(stored(store, *many)) == 500 and store.reader().count() == 500


def test_a_truncated_store_is_refused_in_a_sentence(folder):
    Store(folder).close()
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(ColdstartError, match=r"damaged|cannot be opened"):
        Store(folder)


def test_what_is_no_store_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"not a database, " * 100)
    with pytest.raises(ColdstartError, match="cannot be opened as a store"):
        Store(tmp_path)
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(ColdstartError, match="expected a store of format 1, found 99"):
        Store(tmp_path)


# --- Models ----------------------------------------------------------------------------------------------------------


def test_a_corrupt_model_is_passed_over_for_the_one_before(folder):
    first = load(folder)
    learn(folder)
    second = load(folder)
    assert second.name != first.name and second.name.startswith("000002-")
    newest = versions(folder)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    told = []
    assert load(folder, told).name == first.name and told == [f"{newest}: damaged, passed over"]


def test_without_a_sound_model_there_is_none(folder):
    for path in versions(folder):
        path.write_bytes(b"")
    assert load(folder) is None


def test_a_model_is_read_back_as_it_was_saved_and_old_ones_are_removed(folder):
    model = load(folder)
    for _ in range(4):
        save(model, folder)
    assert [path.name[:6] for path in versions(folder)] == ["000003", "000004", "000005"]
    again = load(folder)
    assert np.array_equal(again.V, model.V) and again.noise == model.noise and again.tokens.tolist() == [*model.tokens]


# --- The writer ------------------------------------------------------------------------------------------------------


def test_two_writers_in_one_process_share_transactions_and_lose_nothing(store):
    delivered = []
    writer = Writer(store, delivered.extend)

    def load_(name):
        for n in range(50):
            event = Event(name, "a", 1.0, float(n))
            writer.put(Write(lambda store, event=event: store.add_events([event]), print))

    threads = [Thread(target=load_, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert len(delivered) == 150 and all(len(write.result) == 1 for write in delivered)
    assert store.reader().count() == 150


def test_one_refusal_leaves_its_neighbours_in_the_same_transaction_alone(store):
    delivered, held = [], []
    writer = Writer(store, delivered.extend)
    for item in ("a", "nothing", "b"):
        writer.put(Write(lambda store, item=item: store.add_events([Event("u", item, 1.0, 1.0)]), held.append))
    writer.close()
    assert [type(write.fault) for write in delivered] == [type(None), Refused, type(None)]
    assert store.reader().count() == 2


def test_a_full_queue_is_refused(store):
    writer = Writer(store, lambda batch: None, waiting=1)
    writer.close()
    writer.put(Write(lambda store: None, print))
    with pytest.raises(Full, match="try again"):
        writer.put(Write(lambda store: None, print))


def test_a_fault_nobody_foresaw_reaches_who_waits_and_the_writer_goes_on(store):
    delivered = []
    writer = Writer(store, delivered.extend)
    writer.put(Write(lambda store: 1 / 0, print))
    writer.put(Write(lambda store: store.add_events([Event("u", "a", 1.0, 1.0)]), print))
    writer.close()
    assert any(isinstance(write.fault, ZeroDivisionError) for write in delivered)
    assert not store.db.in_transaction
