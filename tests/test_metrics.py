"""metrics: worked by hand, equal to trec_eval's and scikit-learn's on random data with ties."""

import ir_measures
import numpy as np
import pandas as pd
import pytest
from ir_measures import RR, P, R, Success, nDCG
from scipy import sparse
from sklearn.metrics import roc_auc_score

from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure.metrics import (
    auc,
    auc_within,
    coverage,
    f1_at_k,
    gini,
    graded_ndcg_at_k,
    hit_matrix,
    hit_rate_at_k,
    mrr_at_k,
    ndcg_at_k,
    novelty,
    precision_at_k,
    recall_at_k,
    top_k,
)

# Four users' lists of four: hits at ranks 1 and 3, at rank 2, nowhere, and a user who wants nothing.
HITS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
WANTED = np.array([2, 1, 3, 0])
LOG3 = 1 / np.log2(3)
BY_HAND = {
    "recall at 1": (recall_at_k(HITS, WANTED, 1), [1 / 2, 0, 0, 0]),
    "recall at 3": (recall_at_k(HITS, WANTED, 3), [1, 1, 0, 0]),
    "precision at 1": (precision_at_k(HITS, 1), [1, 0, 0, 0]),
    "precision at 4": (precision_at_k(HITS, 4), [1 / 2, 1 / 4, 0, 0]),
    "f1 at 1": (f1_at_k(HITS, WANTED, 1), [2 / 3, 0, 0, 0]),
    "f1 at 4": (f1_at_k(HITS, WANTED, 4), [2 / 3, 2 / 5, 0, 0]),
    "mrr at 1": (mrr_at_k(HITS, 1), [1, 0, 0, 0]),
    "mrr at 4": (mrr_at_k(HITS, 4), [1, 1 / 2, 0, 0]),
    "hit rate at 1": (hit_rate_at_k(HITS, 1), [1, 0, 0, 0]),
    "hit rate at 2": (hit_rate_at_k(HITS, 2), [1, 1, 0, 0]),
    "ndcg at 1": (ndcg_at_k(HITS, WANTED, 1), [1, 0, 0, 0]),
    "ndcg at 2": (ndcg_at_k(HITS, WANTED, 2), [1 / (1 + LOG3), LOG3, 0, 0]),
    "ndcg at 4": (ndcg_at_k(HITS, WANTED, 4), [1.5 / (1 + LOG3), LOG3, 0, 0]),
}


@pytest.mark.parametrize("found, expected", BY_HAND.values(), ids=BY_HAND)
def test_metrics_by_hand(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_f1_is_the_harmonic_mean():
    hits, wanted = random_lists()[2:]
    p, r = precision_at_k(hits, 10), recall_at_k(hits, wanted, 10)
    some = (p > 0) & (r > 0)
    np.testing.assert_allclose(f1_at_k(hits, wanted, 10)[some], 2 / (1 / p[some] + 1 / r[some]), rtol=1e-14)
    assert some.any() and not some.all() and (f1_at_k(hits, wanted, 10)[~some] == 0).all()


def random_lists(users=80, items=50, seed=0):
    """Return scores with many ties, relevance (some users want nothing), hits of the full ranking, numbers wanted."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (users, items)).astype(float)
    relevant = rng.random((users, items)) < rng.choice([0, 0.02, 0.1, 0.5], (users, 1))
    ranked = top_k(scores, items)
    return scores, relevant, hit_matrix(ranked, sparse.csr_matrix(relevant)), relevant.sum(axis=1)


OURS = {
    nDCG: lambda h, n, k: ndcg_at_k(h, n, k),
    R: lambda h, n, k: recall_at_k(h, n, k),
    P: lambda h, n, k: precision_at_k(h, k),
    RR: lambda h, n, k: mrr_at_k(h, k),
    Success: lambda h, n, k: hit_rate_at_k(h, k),
}


@pytest.mark.parametrize("k", [1, 5, 20, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_metrics_equal_those_of_trec_eval(k, seed):
    scores, relevant, hits, wanted = random_lists(seed=seed)
    # trec_eval breaks ties by its own rule, so it is given our order: score descending, then item ascending.
    place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    user, item = np.indices(scores.shape).reshape(2, -1).astype(str)
    run = pd.DataFrame({"query_id": user, "doc_id": item, "score": -place.ravel().astype(float)})
    qrels = pd.DataFrame({"query_id": user, "doc_id": item, "relevance": relevant.ravel().astype(int)})
    found = {str(measure @ k): np.full(len(scores), np.nan) for measure in OURS}
    for row in ir_measures.iter_calc([measure @ k for measure in OURS], qrels, run):
        found[str(row.measure)][int(row.query_id)] = row.value
    for measure, ours in OURS.items():
        expected = found[str(measure @ k)]
        np.testing.assert_allclose(ours(hits, wanted, k), expected, rtol=1e-12, atol=1e-15, err_msg=str(measure))


# --- The ranking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 2, 3, 20, 10**6])
@pytest.mark.parametrize("k", [1, 7, 39, 40])
def test_top_k_is_the_head_of_the_full_order(levels, k):
    scores = np.random.default_rng(levels).integers(0, levels, (30, 40)) / 7 - 1
    full = np.lexsort([np.broadcast_to(np.arange(40), scores.shape), -scores], axis=1)
    np.testing.assert_array_equal(top_k(scores, k), full[:, :k])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_ties_go_to_the_lower_column(dtype):
    assert top_k(np.array([[1, 2, 2, 2, 0], [3, 1, 1, 1, 3]], dtype), 3).tolist() == [[1, 2, 3], [0, 4, 1]]


def test_excluded_items_come_last():
    assert top_k(np.array([[-np.inf, 1, -np.inf, 2]]), 4).tolist() == [[3, 1, 0, 2]]


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_must_lie_within_the_candidates(k):
    with pytest.raises(ValueError, match=rf"k: expected 1 to 3.*got {k}"):
        top_k(np.zeros((2, 3)), k)


def test_a_score_that_is_nan_is_refused():
    with pytest.raises(ValueError, match="scores: expected numbers, found NaN"):
        top_k(np.array([[0, np.nan, 1]]), 1)


def test_hits_are_stored_and_not_zero():
    relevant = sparse.csr_matrix(([1.0, 0.0, 5.0], ([0, 0, 2], [2, 1, 0])), shape=(3, 3))
    ranked = np.array([[1, 2], [0, 1], [0, 2]])
    assert hit_matrix(ranked, relevant).tolist() == [[False, True], [False, False], [True, False]]


def test_where_nothing_more_was_found_there_is_no_hit():
    relevant = sparse.csr_matrix(np.array([[0.0, 1], [0, 0]]))
    assert hit_matrix(np.array([[0, -1], [-1, 0]]), relevant).tolist() == [[False, False], [False, False]]
    assert graded_ndcg_at_k(np.array([[-1], [-1]]), relevant, 1).tolist() == [0, 0]
    for measure in (hit_matrix, lambda ranked, grades: graded_ndcg_at_k(ranked, grades, 1)):
        for item in (2, -2):
            with pytest.raises(ColdstartError, match="lists: expected items of 0 to 1, or −1 for none"):
                measure(np.array([[item], [0]]), relevant)


def test_without_relevant_items_there_is_no_hit():
    hits = hit_matrix(np.array([[0, 1]]), sparse.csr_matrix((1, 2)))
    assert hits.shape == (1, 2) and not hits.any()


@pytest.mark.parametrize("seed", range(3))
def test_hits_equal_those_of_a_dense_table(seed):
    scores, relevant, hits, _ = random_lists(seed=seed)
    np.testing.assert_array_equal(hits, np.take_along_axis(relevant, top_k(scores, scores.shape[1]), axis=1))


# --- AUC, coverage, concentration, novelty ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_auc_equals_that_of_scikit_learn(seed):
    scores, relevant, _, wanted = random_lists(seed=seed)
    found = auc(scores, relevant)
    defined = (wanted > 0) & (wanted < scores.shape[1])
    expected = [roc_auc_score(r, s) for r, s in zip(relevant[defined], scores[defined])]
    np.testing.assert_allclose(found[defined], expected, rtol=1e-12)
    assert np.isnan(found[~defined]).all() and 0 < defined.sum() < len(found)


@pytest.mark.parametrize("scores, value", [([3, 2, 1], 1), ([1, 2, 3], 0), ([1, 1, 1], 0.5), ([2, 2, 1], 0.75)])
def test_auc_by_hand(scores, value):
    assert auc(np.array([scores], float), np.array([[True, False, False]]))[0] == value


@pytest.mark.parametrize(
    "exposure, value",
    [
        ([1, 1, 1, 1], 0),
        ([0, 0, 0, 1], 0.75),
        ([1, 3], 0.25),
        ([3, 1], 0.25),
        ([1, 2, 3, 4], 0.25),
        ([0, 0], 0),
        ([5], 0),
    ],
)
def test_gini_by_hand(exposure, value):
    assert gini(np.array(exposure)) == pytest.approx(value, rel=1e-12)


def test_gini_is_half_the_relative_mean_difference():
    x = np.random.default_rng(0).pareto(1.2, 200)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), rel=1e-12)
    assert gini(x) == pytest.approx(gini(7 * x), rel=1e-12)


def test_coverage_counts_each_item_once():
    assert coverage(np.array([[0, 1], [1, 2]]), 4) == 0.75
    assert coverage(np.array([[3, 3]]), 4) == 0.25


def test_novelty_is_the_bits_of_the_list():
    popularity = np.array([7, 3, 1, 1])  # with one added: 8, 4, 2, 2 of 16
    np.testing.assert_allclose(novelty(np.array([[0, 1], [2, 3], [0, 2]]), popularity), [1.5, 3, 2], rtol=1e-14)


def test_novelty_of_an_item_nobody_chose_is_finite():
    assert np.isfinite(novelty(np.array([[0]]), np.array([0, 5]))).all()


def test_auc_within_groups_is_scikit_learns_group_by_group():
    rng = np.random.default_rng(7)
    users, labels = rng.integers(10, 30, 400), rng.integers(0, 2, 400)
    scores = rng.integers(0, 6, 400) / 5
    labels[users == 12] = 1
    found = auc_within(labels, scores, users)
    for user, value in zip(np.unique(users), found):
        own = users == user
        if user == 12:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(roc_auc_score(labels[own], scores[own]), rel=1e-12)


def test_what_users_differ_in_does_not_count_within_them():
    users, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert auc_within(labels, np.array([0.1, 0.2, 0.8, 0.9]), users).tolist() == [1, 1]
    assert auc_within(labels, users.astype(float), users).tolist() == [0.5, 0.5]


def test_graded_ndcg_is_that_of_trec_eval():
    rng = np.random.default_rng(4)
    grades = rng.integers(0, 3, (12, 30)) * (rng.random((12, 30)) < 0.4)
    grades[3] = 0
    scores = rng.permutation(12 * 30).reshape(12, 30).astype(float)
    found = graded_ndcg_at_k(top_k(scores, 10), sparse.csr_matrix(grades), 10)
    qrels = pd.DataFrame([(str(u), str(i), int(g)) for (u, i), g in np.ndenumerate(grades)])
    run = pd.DataFrame([(str(u), str(i), s) for (u, i), s in np.ndenumerate(scores)])
    qrels.columns, run.columns = ["query_id", "doc_id", "relevance"], ["query_id", "doc_id", "score"]
    expected = {int(row.query_id): row.value for row in ir_measures.iter_calc([nDCG @ 10], qrels, run)}
    assert found == pytest.approx([expected.get(u, 0.0) for u in range(12)])
