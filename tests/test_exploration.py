"""The replayed bandit, what it starts from, and when new items found their audience."""

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue import splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import study
from coldstart_utils.models import exploration


def world(users=40, new=12, rank=3, seed=0):
    random = np.random.default_rng(seed)
    U, V = random.standard_normal((users, rank)), random.standard_normal((new, rank))
    return (V @ U.T > 0.8).T.astype(float), U, V


def shown(policy, setting=0.0, **options):
    choices, U, V = world()
    return exploration.replay(
        choices, U, np.zeros_like(V), np.eye(3), noise=0.1, policy=policy, setting=setting, **options
    )


@pytest.mark.parametrize("policy", exploration.POLICIES)
def test_every_visit_shows_so_many_items_and_none_twice(policy):
    when = shown(policy, 0.5, visits=3, places=2)
    turns, sizes = np.unique(when[when < 120], return_counts=True)
    assert turns.tolist() == list(range(120)) and (sizes == 2).all()
    assert ((when < 120).sum(axis=1) == 6).all()
    assert np.array_equal(when, shown(policy, 0.5, visits=3, places=2))


def test_items_run_out():
    when = shown("greedy", visits=5, places=5)
    assert when.max() < 200 and ((when < 120).sum(axis=1) == 12).all()


def test_the_belief_is_that_of_bayesian_least_squares():
    # Each visitor sees the one item that the posterior in closed form, of all that was shown before, puts first.
    choices, U, V = world(new=6)
    mean = 0.1 * V
    when = exploration.replay(choices, U, mean, np.eye(3), noise=0.5, policy="greedy", visits=1, places=1)
    for user, visit in enumerate(when.min(axis=1)):
        expected = []
        for item in range(6):
            seen = when[:, item] < visit
            precision = np.eye(3) + U[seen].T @ U[seen] / 0.5
            missed = choices[seen, item] - U[seen] @ mean[item]
            expected.append(U[user] @ (mean[item] + np.linalg.solve(precision, U[seen].T @ missed / 0.5)))
        assert np.argmin(when[user]) == np.argmax(expected)


def test_feedback_finds_takers_sooner_than_chance():
    choices, U, V = world(users=200, new=40)
    options = {"noise": 0.1, "visits": 2, "places": 5}

    def taken(policy, setting):
        when = exploration.replay(choices, U, np.zeros_like(V), np.eye(3), policy=policy, setting=setting, **options)
        return choices[when < 400].mean()

    chance = taken("greedy", 1.0)
    assert chance == pytest.approx(choices.mean(), rel=0.15)
    assert all(taken(*rule) > 1.5 * chance for rule in (("greedy", 0.0), ("thompson", 0.0), ("ucb", 1.0)))


def test_replay_refuses_another_policy_and_no_noise():
    choices, U, V = world()
    for policy, noise in (("softmax", 0.1), ("ucb", 0.0)):
        with pytest.raises(ColdstartError, match="greedy, thompson, ucb"):
            exploration.replay(choices, U, V, np.eye(3), noise=noise, policy=policy)
    for chance in (-0.1, 1.5, np.nan):
        with pytest.raises(ColdstartError, match="a chance of 0 to 1 as the setting of 'greedy'"):
            shown("greedy", chance)


# --- Audience and explorer ---


def test_an_audience_is_found_when_the_last_taker_it_needs_saw_the_item():
    when = np.array([[0, 9, 4], [3, 1, 9], [2, 5, 9]])
    choices = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]])
    assert exploration.found_audience(when, choices, 2, 9).tolist() == [2, 9, 9]
    assert exploration.found_audience(when, choices, 1, 9).tolist() == [0, 5, 4]
    with pytest.raises(ColdstartError, match="1 to 3"):
        exploration.found_audience(when, choices, 4, 9)


@pytest.fixture(scope="module")
def new_items():
    random = np.random.default_rng(3)
    V = random.standard_normal((300, 3))
    X = sparse.csr_matrix((random.standard_normal((80, 3)) @ V.T > 0.8).astype(float))
    return splits.cold_items(X, 0), V @ V.T


def test_an_explorer_ranks_in_the_order_of_showing_and_is_a_method_of_a_study(new_items):
    split, K = new_items
    explorer = exploration.Explorer("greedy", K=K, visits=2)
    new, when = explorer.replayed(split)
    scores = explorer.fit(split)(split.users, new)
    assert (np.argsort(-scores, kind="stable") == np.argsort(when[split.users], kind="stable")).all()
    results = study.run({"explorer": explorer}, [study.Fold(split, ())])
    assert len(results) == len(split.users) and explorer.knobs == {}


def test_what_was_found_only_grows_and_a_prior_finds_sooner(new_items):
    split, K = new_items
    informed, blind = (exploration.Explorer("greedy", K=kernel, visits=2).found(split, 5) for kernel in (K, None))
    assert informed[0] == 0 and (np.diff(informed) >= 0).all() and informed[-1] <= 1
    assert informed.sum() > blind.sum()
    with pytest.raises(ColdstartError, match="no new item has 80 takers"):
        exploration.Explorer("greedy", visits=1).found(split, 80)
