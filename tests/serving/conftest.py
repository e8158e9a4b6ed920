"""A small shop with a store, a model and an encoder that needs no language model."""

import hashlib
import shutil
from functools import partial

import numpy as np
import pytest
from fastapi.testclient import TestClient
from scipy import sparse

from coldstart_utils.models import evidence
from coldstart_utils.serving.learning import learn
from coldstart_utils.serving.live import Service
from coldstart_utils.serving.service import application
from coldstart_utils.serving.state import State
from coldstart_utils.serving.store import Event, Item, Store
from coldstart_utils.serving.versions import load

USERS, ITEMS = 40, 30


def encode(texts):
    """Return a vector for each text: every word has a direction of its own."""
    return np.array([sum((direction(word) for word in text.lower().split()), np.zeros(16)) for text in texts])


def direction(word):
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).standard_normal(16)


def fill(folder):
    """Make a store of two kinds of items and users who choose from one of them, and learn a model."""
    rng, store = np.random.default_rng(0), Store(folder)
    with store.writing():
        for n in range(ITEMS):
            kind = ("war film", "love story")[n % 2]
            attributes = {"genres": [kind.split()[0]], "year": [str(1990 + n % 5)]}
            store.add_item(Item(f"i{n}", f"{kind} number {n}", "", attributes, encode([f"{kind} number {n}"])[0]))
        for u in range(USERS):
            liked = rng.choice(np.arange(u % 2, ITEMS, 2), 8, replace=False)
            store.add_events([Event(f"u{u}", f"i{n}", 1.0, float(t)) for t, n in enumerate(liked)])
    store.close()
    learn(folder)


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder


@pytest.fixture
def folder(filled, tmp_path):
    """The folder of a store with a model, for one test alone."""
    return shutil.copytree(filled, tmp_path / "store")


def service_on(folder, **settings):
    """Return a service on the store in a folder that is not entered yet."""
    store = Store(folder)
    return Service(store, State(load(folder), store.reader()), encode, **settings)


@pytest.fixture
def opened(folder):
    """Return opened(**settings) → a service on the store of this test."""
    return partial(service_on, folder)


@pytest.fixture
def client_of():
    """Return client_of(folder, token=…, at_once=…, **settings of the service) → a client of the whole application."""

    def make(folder, token="", at_once=64, **settings):
        app = application(service_on(folder, **settings), token=token, at_once=at_once)
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return make


@pytest.fixture
def client(client_of, folder):
    """Return `client_of` the store of this test."""
    return partial(client_of, folder)


def batch(folder, user):
    """Return the vector of a user as `evidence.posterior` has it from all that is stored, all at once."""
    store, model = Store(folder), load(folder)
    reader = store.reader()
    state = State(model, reader)
    rows = store.db.execute("SELECT item, time, value FROM events WHERE user = ? ORDER BY time", (user,)).fetchall()
    said = {state.place_of[number]: value for number, _, value in rows}
    V = state.ranking.rows.all.astype(float)
    X = sparse.csr_matrix((list(said.values()), ([0] * len(said), list(said))), shape=(1, len(V)))
    reader.close()
    store.close()
    return evidence.posterior(X, V, model.mean[None], model.covariance, noise=model.noise)[0]
