"""What is learnt from a store: factors of items, guesses of those that nobody chose, and the prior of users."""

import numpy as np
import pandas as pd
import pytest
from conftest import encode
from scipy import sparse

from coldstart_utils.models import evidence, k_shot
from coldstart_utils.serving import learning, load, replay
from coldstart_utils.serving.store import Item
from coldstart_utils.serving.versions import Model

ITEMS, UNKNOWN = 40, [38, 39]


def item(number):
    kind = ("war film", "love story")[number % 2]
    vector = encode([f"{kind} number {number}"])[0]
    return Item(f"i{number}", kind, "", {"genres": [kind.split()[0]]}, vector, number=number)


@pytest.fixture(scope="module")
def items():
    return [item(number) for number in range(ITEMS)]


@pytest.fixture(scope="module")
def X():
    """60 users who choose mostly items of their own kind; two items are chosen by nobody, one by two users alone."""
    chosen = np.random.default_rng(0).random((60, ITEMS)) < np.where(
        np.arange(60)[:, None] % 2 == np.arange(ITEMS) % 2, 0.8, 0.2
    )
    chosen[:, UNKNOWN] = chosen[2:, 37] = False
    chosen[:2, 37] = True
    return sparse.csr_matrix(chosen.astype(float))


def test_an_item_that_nobody_chose_has_the_factor_that_its_content_foretells(items, X):
    model = learning.model_of(items, X, until=7.0)
    guesses = model.factors(np.array([one.vector for one in items]), [one.attributes for one in items])
    assert model.V[UNKNOWN] == pytest.approx(guesses[UNKNOWN], abs=1e-6)
    # Two choices move a guess, and more choices replace it.
    gap = np.linalg.norm(model.V - guesses, axis=1)
    assert gap[37] > 0 and np.median(gap[:37]) > 1e-2
    assert (model.numbers == range(ITEMS)).all() and model.until == 7.0 and model.noise == learning.NOISE


def test_silence_counts_every_item_as_a_no_before_the_first_event(items, X):
    model = learning.model_of(items, X)
    sides = k_shot.known_sides(X, users_are_new=True, rank=learning.RANK, reg=learning.REG)
    means, covariance = evidence.empirical_prior(sides.own, sides.old)
    nothing, weight = sparse.csr_matrix((1, ITEMS)), learning.SILENCE / learning.NOISE
    mean, left = learning.prior_of(X, model.V.astype(float))
    asked = {"noise": learning.NOISE, "silence": weight}
    assert mean == pytest.approx(
        evidence.posterior(nothing, model.V.astype(float), means[:1], covariance, **asked)[0], abs=1e-8
    )
    assert (np.linalg.eigvalsh(left) > 0).all() and np.trace(left) < np.trace(covariance)


def test_where_hardly_anybody_chose_a_factor_is_the_text_turned(items, X):
    model = learning.model_of(items, X[:5])
    assert not model.mean.any() and (model.covariance == np.eye(16)).all()
    vectors = np.array([one.vector for one in items])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    products = model.V @ model.V.T
    assert products == pytest.approx(unit @ unit.T, abs=1e-5)  # as many numbers as before: only turned


# --- Streams and loads -----------------------------------------------------------------------------------------------


def test_knowledge_is_renewed_at_multiples_of_its_period():
    earlier = np.array([1.0, 9.0, 10.0, 14.0])
    assert [replay.known_at(earlier, 15.0, every) for every in (0, 5, 10, np.inf)] == [4, 4, 2, 0]


def visitors(took):
    mean = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return replay.Visitors(mean, np.array([0.5, 0.5, 2.0]), np.array(took))


def opened(policy, places, took, *, second=0.35, seed=0):
    model = Model(*[np.zeros(0)] * 4, 0.5, np.zeros(2), np.zeros((1, 2)), np.eye(2), np.zeros(0), 0.0)
    factors = np.array([[0.9, 0.0], [second, 0.0], [0.0, 1.0]])
    return replay.opening(model, factors, visitors(took), policy=policy, places=places, seed=seed)


def test_new_items_are_shown_by_guess_by_answers_or_where_they_beat_the_last_place():
    no = [[False] * 3] * 3
    best = lambda *asked, **options: opened(*asked, no, **options).shown.argmax(axis=1).tolist()  # noqa: E731
    assert best("fixed", 1) == [0, 0, 2]
    # The first visitor's no brings 0.9 to 0.9 − 0.9/1.5 = 0.3.
    assert best("greedy", 1, second=0.35) == [0, 1, 2] and best("greedy", 1, second=0.25) == [0, 0, 2]
    assert opened("fixed", 0, no).shown.tolist() == [[True, False, False]] * 2 + [[False] * 3]
    drawn = [best("random", 1, seed=seed) for seed in range(20)]
    assert len(set(map(tuple, drawn))) > 5 and drawn[3] == best("random", 1, seed=3)


def test_takers_are_reached_where_an_item_was_shown_to_them():
    found = opened("fixed", 1, [[True, True, False], [True, False, False], [False, False, True]])
    assert found.reached.tolist() == [[1, 0, 0], [2, 0, 0], [2, 0, 1]]


def test_percentiles_and_refusals_of_a_load_by_path():
    rows = pd.DataFrame({"path": ["/a"] * 101 + ["/b"] * 2, "ms": [*range(101), 4.0, 8.0]})
    rows["status"] = [200] * 101 + [200, 503]
    table = load.percentiles(rows)
    assert table.loc["/a"].to_dict() == {"p50": 50, "p95": 95, "p99": 99, "refused": 0}
    assert table.loc["/b", "p50"] == 6 and table.loc["/b", "refused"] == 0.5
