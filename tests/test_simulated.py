"""A world with known preferences: what a log of it says, and where it leads."""

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import simulated


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    fame = np.linspace(0.1, 0.6, 240)
    taste = (np.arange(80)[:, None] % 3 == np.arange(240) % 3) * 0.3
    return sparse.csr_matrix(rng.random((80, 240)) < fame * (0.7 + taste))


@pytest.fixture(scope="module")
def made(X):
    return simulated.world(X, items=200)


def test_in_the_world_no_item_is_better_than_another_and_fame_shows(made):
    assert made.liking.shape == (80, 200) and made.seen.shape == (200,)
    assert made.liking.mean(axis=0).std() < 0.03
    assert made.seen.max() == 1 and (made.seen >= 0.02).all() and made.seen.std() > 0.05


def test_clicks_divided_by_their_chance_find_the_truth_that_the_log_hides(made):
    """Monte Carlo: over many logs the weighted recall of a fixed list is that of all that is liked."""
    fixed = {"fame": np.broadcast_to(made.seen, made.liking.shape)}
    found = []
    for seed in range(60):
        log = simulated.logged(made, np.random.default_rng(seed))
        found.append(simulated.offline(made, log, fixed, k=40).groupby("rule")["recall"].mean())
    mean = np.mean(found, axis=0)
    means = dict(zip(found[0].index, mean))
    error = np.std(found, axis=0).max() / np.sqrt(60)
    assert means["as logged"] - means["truth"] > 5 * error
    # A ratio of two sums has a small bias of its own.
    assert abs(means["divided by p"] - means["truth"]) < 0.3 * (means["as logged"] - means["truth"])


def test_clicks_divided_by_their_chance_are_where_saito_s_loss_is_least(made):
    log = simulated.logged(made, np.random.default_rng(0))
    scores = simulated.scorers(log, made.seen, rank=5)
    y, p = log.known.astype(float), np.maximum(made.seen, 0.1)

    def loss(f):
        return (y / p * (1 - f) ** 2 + (1 - y / p) * f**2).sum()

    best, rng = scores["on y/p"], np.random.default_rng(1)
    U, s, Vt = np.linalg.svd(best, full_matrices=False)
    near = [(U[:, :5] * s[:5]) @ (Vt[:5] + 0.01 * rng.normal(size=Vt[:5].shape)) for _ in range(5)]
    assert all(loss(best) < loss(other) for other in (scores["on y"], scores["on y/√p"], *near))
    assert scores["fame"][0].tolist() == y.sum(axis=0).tolist()


def test_low_rank_is_the_nearest_matrix():
    Y = np.random.default_rng(0).normal(size=(9, 14))
    U, s, Vt = np.linalg.svd(Y, full_matrices=False)
    for one in (Y, Y.T):
        best = (U[:, :3] * s[:3]) @ Vt[:3]
        assert simulated.low_rank(one, 3) == pytest.approx(best if one is Y else best.T)


def test_rows_of_a_comparison(made):
    table = simulated.compared(made, range(2), k=10)
    assert len(table) == 2 * 4 * 3 and table["recall"].between(0, 1).all()
    assert set(table["rule"]) == set(simulated.RULES)


def test_without_exploration_nobody_finds_what_is_new(made):
    none, some = (simulated.rounds(made, explore, n=12, k=10) for explore in (0.0, 1.0))
    assert none["found"].iloc[-1] < some["found"].iloc[-1]
    assert some["gini"].iloc[-1] < none["gini"].iloc[-1]


def test_a_list_has_different_items_that_nobody_knew():
    rng = np.random.default_rng(0)
    known = rng.random((20, 40)) < 0.3
    lists = simulated._lists(rng, rng.random((20, 40)), known, 0.5, 6)
    assert all(len(set(row)) == 6 for row in lists)
    assert not np.take_along_axis(known, lists, axis=1).any()


def test_where_all_items_are_equally_famous_there_is_no_world_to_make():
    with pytest.raises(ColdstartError, match="unequal fame, found that all have 2 choices"):
        simulated.world(sparse.csr_matrix(np.roll(np.eye(6), 1, axis=1) + np.eye(6)))


@pytest.mark.parametrize("asked", [{"power": -1.0}, {"least": 0.0}, {"least": 2.0}])
def test_a_world_that_cannot_be_is_refused(X, asked):
    with pytest.raises(ColdstartError, match="expected a power of 0 or more and a least chance"):
        simulated.world(X, **asked)


def test_exploration_is_a_share(made):
    with pytest.raises(ColdstartError, match=r"explore: expected 0 to 1, got 1\.5"):
        simulated.rounds(made, 1.5)
