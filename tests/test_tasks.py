"""Users as tasks: the published protocol, its rule for ties, its grades, and the methods that it is asked of."""

import numpy as np
import pytest
import torch
from scipy import sparse

from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import task_methods, tasks

FIRST = {
    "torch": lambda rows, k: torch.topk(torch.as_tensor(rows), k).indices.numpy(),
    "place": lambda rows, k: np.argsort(-rows, axis=1, kind="stable")[:, :k],
}


@pytest.fixture(scope="module")
def R():
    """60 users, 40 items, 14 to 30 ratings each of 1 to 5; two users with too few and one with too many are added."""
    rng = np.random.default_rng(0)
    rows, columns = [], []
    for user in range(63):
        n = (12, 12, 39)[user - 60] if user >= 60 else rng.integers(14, 31)
        rows += [user] * n
        columns += rng.choice(40, n, replace=False).tolist()
    taste = rng.normal(size=(63, 2)) @ rng.normal(size=(2, 40)) + rng.normal(size=40)
    ratings = np.clip(np.rint(3 + taste[rows, columns]), 1, 5)
    return sparse.csr_matrix((ratings, (rows, columns)), shape=(63, 40))


def test_who_qualifies(R):
    assert tasks.qualifying(R).tolist() == [*range(60), 62]
    assert tasks.qualifying(R, most=38).tolist() == [*range(60)]
    with pytest.raises(ColdstartError, match="30 or more users"):
        tasks.qualifying(R[:20])


def test_everybody_is_tested_once_and_nothing_asked_is_known(R):
    rounds = [*tasks.everybody(R, 0)]
    assert sorted(np.concatenate([one.test.users for one in rounds])) == tasks.qualifying(R).tolist()
    for one in rounds:
        people = [set(np.flatnonzero(np.diff(one.train.indptr))), set(one.valid.users), set(one.test.users)]
        assert not people[0] & people[1] and not people[0] & people[2] and not people[1] & people[2]
        for part in (one.valid, one.test):
            assert part.items.shape == part.labels.shape == (len(part.users), 10)
            for user, asked, labels in zip(part.users, part.items, part.labels):
                assert np.array_equal(R[user, asked].toarray().ravel(), labels)
                own = set(part.support[user].indices)
                assert not own & set(asked) and own | set(asked) == set(R[user].indices)


def test_the_published_split_tests_people_with_few_ratings(R):
    degree = np.diff(R.indptr)
    tested, known = [], []
    for seed in range(20):
        one = tasks.as_published(R, seed)
        assert len(one.test.users) == len(one.valid.users) == 6
        tested.append(degree[one.test.users].mean())
        known.append(np.diff(one.train.indptr)[np.diff(one.train.indptr) > 0].mean())
    assert np.mean(tested) < np.mean(known) - 2


def test_clicks_keep_the_no():
    clicks = tasks.as_clicks(sparse.csr_matrix(np.array([[5.0, 1.0, 4.0, 0.0]])))
    assert clicks.nnz == 3 and clicks.data.tolist() == [1, 0, 1]


def test_grades_by_hand():
    labels = np.array([[5, 4, 3, 2, 1, 1, 1, 1, 1, 1.0]])
    scores = np.array([[0, 0, 9, 8, 7, 6, 5, 0, 0, 0.0]])
    row = tasks.graded(scores, labels, FIRST["place"], clicks=False).iloc[0]
    assert row["precision"] == row["recall"] == 3 / 5 and row["hit"] == row["mrr"] == 1
    discount = 1 / np.log2(np.arange(2, 7))
    assert row["ndcg"] == pytest.approx(discount[:3].sum() / discount.sum())
    row = tasks.graded(scores, labels, FIRST["place"], clicks=True).iloc[0]
    assert row["precision"] == 2 / 5 and row["recall"] == 2 / 4
    assert row["ndcg"] == pytest.approx(discount[:2].sum() / discount[:4].sum())
    nobody = tasks.graded(scores, np.ones((1, 10)), FIRST["place"], clicks=True).iloc[0]
    assert nobody["ndcg"] == nobody["precision"] == 0 and np.isnan(nobody["recall"])


@pytest.mark.parametrize("rule", FIRST)
def test_a_constant_gains_by_a_tie_rule_that_labels_share(rule):
    labels = np.random.default_rng(0).choice([3.0, 4.0], size=(2000, 10))
    alike = tasks.graded(np.zeros_like(labels), labels, FIRST[rule], clicks=False)["precision"].mean()
    scores = np.random.default_rng(1).random(labels.shape)
    apart = tasks.graded(scores, labels, FIRST[rule], clicks=False)["precision"].mean()
    assert alike > apart + 0.1 and apart == pytest.approx(0.5, abs=0.02)


def test_bad_scores_are_refused():
    with pytest.raises(ColdstartError, match="expected scores"):
        tasks.graded(np.zeros((2, 10)), np.zeros((3, 10)), FIRST["place"], clicks=False)
    with pytest.raises(ColdstartError):
        tasks.graded(np.full((2, 10), np.nan), np.zeros((2, 10)), FIRST["place"], clicks=False)


def test_methods_learn_from_known_users_and_support(R):
    rng = np.random.default_rng(0)
    features = {"noise": task_methods.directions(np.cov(rng.normal(size=(40, 5))), 5)}
    rows = task_methods.run_modes(R, features, FIRST["torch"], [0], trials=2)
    assert len(rows) == 2 * 61 * 6 and set(rows["mode"]) == {"rating", "click"}
    means = rows[rows["mode"] == "rating"].groupby("model")["ndcg"].mean()
    assert means["posterior"] > means["item means"] > means["chance"]
    assert (rows.groupby(["model", "mode"])["user"].nunique() == 61).all()


def test_the_posterior_by_hand(R):
    one = next(tasks.everybody(R, 0))
    known, train = task_methods.learn(one.train, {}), one.train.tocoo()
    mean, bias, U, V = known.factors.mean, known.factors.user_bias, known.factors.U, np.c_[np.ones(40), known.factors.V]
    left = train.data - mean - bias[train.row]
    effect = np.bincount(train.col, left, 40) / (np.bincount(train.col, minlength=40) + 5.0)
    belief = np.c_[bias, U][np.unique(train.row)]
    precision = np.linalg.inv(np.cov(belief.T) + 1e-6 * np.eye(belief.shape[1]))
    support = one.test.support[one.test.users[2]]
    own, asked = support.indices, one.test.items[2]
    missed = support.data - mean - effect[own] - V[own] @ belief.mean(axis=0)
    moved = np.linalg.solve(0.3 * precision + V[own].T @ V[own], V[own].T @ missed)
    found = task_methods.by_posterior(known, one.test, noise=0.3, damping=5.0)
    assert found[2] == pytest.approx(effect[asked] + V[asked] @ (belief.mean(axis=0) + moved))


def test_what_the_support_says_brings_the_posterior_nearer_to_the_labels(R):
    one = next(tasks.everybody(R, 0))
    known = task_methods.learn(one.train, {})
    near, far = (task_methods.by_posterior(known, one.test, noise=noise, damping=5.0) for noise in (0.1, 1e9))
    missed = [np.abs(known.factors.mean + found - one.test.labels).mean() for found in (near, far)]
    assert missed[0] < 0.75 * missed[1]


def test_directions_keep_the_kernel():
    Z = np.random.default_rng(0).normal(size=(12, 3))
    found = task_methods.directions(Z @ Z.T, 3)
    centred = Z - Z.mean(axis=0)
    expected = centred @ centred.T
    assert np.allclose(found @ found.T * np.trace(expected) / 12, expected)


def test_the_published_rounds_ask_what_says_nothing_of_taste(R):
    rows = task_methods.run_published(R, FIRST["torch"], [0, 1])
    assert set(rows["model"]) == {"chance", "a constant", "item means"} and len(rows) == 2 * 2 * 3 * 6
