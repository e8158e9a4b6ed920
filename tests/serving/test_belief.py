"""One answer after another is the same as all at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from coldstart_utils.models import evidence
from coldstart_utils.serving.belief import Belief


def case(seed, rank, n):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((rank, rank))
    prior = Belief(rng.standard_normal(rank), root @ root.T + 0.1 * np.eye(rank), 0.1)
    return rng, prior, rng.standard_normal((n, rank)), rng.uniform(-1, 1, n)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), rank=st.integers(1, 12), n=st.integers(0, 40))
def test_one_after_another_in_any_order_equals_the_batch_posterior(seed, rank, n):
    rng, prior, V, y = case(seed, rank, n)
    belief = prior
    for j in rng.permutation(n):
        belief = belief.after(V[j], y[j])
    X = sparse.csr_matrix((y, (np.zeros(n, int), np.arange(n))), shape=(1, n)) if n else sparse.csr_matrix((1, 1))
    about = V if n else np.zeros((1, rank))
    expected = evidence.posterior(X, about, prior.mean[None], prior.covariance, noise=0.1)[0]
    assert np.allclose(belief.mean, expected, atol=1e-8)
    together = prior.after_all(V, y)
    assert np.allclose(together.mean, expected, atol=1e-8)
    assert np.allclose(together.covariance, belief.covariance, atol=1e-8)


def test_by_hand():
    belief = Belief(np.zeros(2), np.eye(2), 1.0).after(np.array([1.0, 0.0]), 1.0)
    assert belief.mean.tolist() == [0.5, 0] and belief.covariance.tolist() == [[0.5, 0], [0, 1]]


def test_a_corrected_answer_equals_the_answer_given_so_at_first():
    _, prior, V, y = case(1, 5, 9)
    changed = prior.after_all(V, y).corrected(V[3], 0.7 - y[3])
    assert np.allclose(changed.mean, prior.after_all(V, np.where(np.arange(9) == 3, 0.7, y)).mean, atol=1e-10)


@pytest.mark.parametrize("n", [3, 9])
def test_parts_of_a_score_add_up_to_it(n):
    rng, prior, V, y = case(2, 5, n)
    belief, items = prior.after_all(V, y), rng.standard_normal((4, 5))
    start, adds = belief.parts(prior, V, y, items)
    assert np.allclose(start + adds.sum(axis=1), items @ belief.mean)


def test_thousands_of_updates_stay_within_the_promise():
    rng, prior, _, _ = case(3, 16, 0)
    V, y = rng.standard_normal((5_000, 16)) / 4, rng.uniform(0, 1, 5_000)
    belief = prior
    for v, value in zip(V, y):
        belief = belief.after(v, value)
    assert np.abs(belief.mean - prior.after_all(V, y).mean).max() < 1e-8
