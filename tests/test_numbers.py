"""The same numbers, written in any type, layout and order, give the same answer: properties of the numeric core."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from coldstart_utils.catalogue import matrices, splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import context
from coldstart_utils.measure import intervals, metrics, ranking
from coldstart_utils.models import als, content, evidence, exploration, k_shot, least_squares, longtail, teachers

settings.register_profile("steady", max_examples=8, deadline=None, derandomize=True, database=None)
settings.load_profile("steady")

USERS, ITEMS, RANK = 9, 7, 3
WARM, NEW = np.arange(5), np.array([5, 6])
# 200 fits into one byte, and sums and products of it do not.
whole = st.lists(st.sampled_from([0, 0, 1, 3, 100, 200]), min_size=USERS * ITEMS, max_size=USERS * ITEMS)


def table(values, rows=USERS, columns=ITEMS):
    """Return whole numbers [rows, columns] of which no row and no column is empty."""
    matrix = np.array(values[: rows * columns]).reshape(rows, columns)
    matrix[np.arange(rows), np.arange(rows) % columns] += 1
    return matrix


def square(A):
    """Return a symmetric positive kernel [items, items] of whole numbers of 0 to 147."""
    F = np.minimum(A[:ITEMS, :RANK], 4).astype(int)
    return F @ F.T + np.eye(ITEMS, dtype=int)


def explored(A):
    when = exploration.replay(A > 0, np.minimum(A[:, :RANK], 3), np.minimum(A[:ITEMS, :RANK], 2), np.eye(RANK),
                              noise=1.0, policy="greedy", places=2)  # fmt: skip
    return exploration.found_audience(when, A > 0, 1, 99)


def factors_of(F):
    return np.hstack([F.U, F.V])


CORE = {
    "ridge": lambda A: least_squares.ridge(A, A[:, :2], 1.0),
    "ridge, wide": lambda A: least_squares.ridge(A.T, A.T[:, :2], 1.0),
    "kernel_ridge": lambda A: least_squares.kernel_ridge(square(A).astype(A.dtype), A[:ITEMS, :2], 1.0),
    "ease": lambda A: teachers.ease(A, 10.0),
    "teachers": lambda A: teachers.teachers(A, rank=RANK)["ALS"][0],
    "principal_scores": lambda A: np.abs(teachers.principal_scores(A, A[:ITEMS], 1)[1]),
    "collaborative_targets": lambda A: np.abs(teachers.collaborative_targets(A)[1]["chosen"][1][:, 0]),
    "bridged": lambda A: teachers.bridged(A[:ITEMS], WARM, {"one": (A[:, :2], A[:5, :2])}, 1.0)["one"]([0, 1], NEW),
    "als_implicit": lambda A: als.als_implicit(A, rank=RANK, reg=5.0, sweeps=2).U,
    "als_explicit": lambda A: als.als_explicit(A, rank=RANK, reg=1.0, sweeps=2).V,
    "damped_biases": lambda A: als.damped_biases(A, 5.0)[2],
    "implicit_objective": lambda A: als.implicit_objective(A, A[:, :RANK], A[:ITEMS, :RANK], 1.0, 1.0),
    "explicit_objective": lambda A: als.explicit_objective(A, A[:, :RANK], A[:ITEMS, :RANK], 1.0),
    "fold_in": lambda A: als.fold_in(A, A[:ITEMS, :RANK], reg=5.0),
    "fold_in, prior": lambda A: als.fold_in(A, A[:ITEMS, :RANK], reg=5.0, prior=A[:, :RANK]),
    "unit_rows": content.unit_rows,
    "content_kernel": lambda A: content.content_kernel([A, A[:, :2]]),
    "product_kernel": lambda A: content.product_kernel(square(A).astype(A.dtype)),
    "neighbour_scores": lambda A: content.neighbour_scores(A, square(A).astype(A.dtype), WARM, NEW, 2),
    "bridge": lambda A: content.bridge(square(A).astype(A.dtype), A[:5, :2], WARM, NEW, 1.0),
    "left_out": lambda A: content.left_out(square(A).astype(A.dtype), A[:5, :2], WARM, 1.0),
    "empirical_prior": lambda A: evidence.empirical_prior(A[:ITEMS, :RANK], WARM)[0],
    "posterior": lambda A: evidence.posterior(A, A[:ITEMS, :RANK], A[:, :RANK], np.eye(RANK), noise=1.0, silence=0.1),
    "ask_first": lambda A: evidence.ask_first(A[:ITEMS, :RANK], np.eye(RANK), 1, noise=1.0),
    "replay": explored,
    "history_vectors": lambda A: context.history_vectors(A, A[:ITEMS, :2]),
    "combine": lambda A: context.combine(A, A, A, "product"),
    "known_sides": lambda A: k_shot.known_sides(A, users_are_new=True, rank=RANK).own,
    "reserve": lambda A: longtail.reserve(A, np.arange(ITEMS) > 3, 1, 3, each=True),
    "hypervolume": lambda A: longtail.hypervolume(A[:, :2]),
    "inverse_propensity": lambda A: longtail.inverse_propensity(A[:, 0], 0.5),
    "effective_number": lambda A: longtail.effective_number(A[:, 0], 0.5),
    "top_k": lambda A: metrics.top_k(A, 4),
    "hit_matrix": lambda A: metrics.hit_matrix(metrics.top_k(A, 4).astype(np.uint64), A),
    "recall_at_k": lambda A: metrics.recall_at_k(A > 0, A[:, 0], 3),
    "ndcg_at_k": lambda A: metrics.ndcg_at_k((A > 0).astype(A.dtype), A[:, 0], 3),
    "f1_at_k": lambda A: metrics.f1_at_k((A > 0).astype(A.dtype), A[:, 0], 3),
    "mrr_at_k": lambda A: metrics.mrr_at_k((A > 0).astype(A.dtype), 3),
    "auc": lambda A: metrics.auc(A, (A > 1).astype(A.dtype)),
    "auc_within": lambda A: metrics.auc_within((A[:, 1] > 0).astype(A.dtype), A[:, 0], np.arange(9) % 2),
    "gini": lambda A: metrics.gini(A[:, 0]),
    "novelty": lambda A: metrics.novelty(np.array([[0, 1], [2, 3]]), A[0]),
    "mmr": lambda A: ranking.mmr(A, square(A).astype(A.dtype), 2, 0.3),
    "two_stages": lambda A: ranking.two_stages(ranking.from_matrix(A), ranking.from_matrix(A), 2)([0, 1], [0, 1, 2]),
    "holm": lambda A: intervals.holm(A[:, 0]),
}  # fmt: skip
SPARSE = [
    "ridge", "ease", "teachers", "collaborative_targets", "als_implicit", "als_explicit", "damped_biases", "unit_rows",
    "content_kernel", "known_sides", "history_vectors",
]  # fmt: skip
each_core = pytest.mark.parametrize("name", CORE)


@each_core
@given(whole, st.sampled_from([np.uint8, np.uint16, np.int16, np.int64, np.float32, np.longdouble]))
def test_small_integers_say_what_floats_say(name, values, kind):
    A = np.minimum(table(values), 200)
    np.testing.assert_allclose(CORE[name](A.astype(kind)), CORE[name](A.astype(float)), rtol=2e-3, atol=2e-3)


@each_core
@given(whole)
def test_booleans_say_what_ones_and_zeros_say(name, values):
    A = table(values) > 0
    if name in ("kernel_ridge", "product_kernel", "neighbour_scores", "bridge", "left_out", "mmr"):
        A = A.astype(np.int8)  # what these build from A are counts
    np.testing.assert_allclose(CORE[name](A), CORE[name](A.astype(float)), rtol=1e-4, atol=1e-5)


@each_core
@given(whole)
def test_layout_says_nothing(name, values):
    A = table(values).astype(float)
    wide = np.zeros((2 * USERS, 2 * ITEMS))
    wide[::2, ::2] = A
    for other in (np.asfortranarray(A), wide[::2, ::2], A[::-1].copy()[::-1]):
        np.testing.assert_allclose(CORE[name](other), CORE[name](A), rtol=1e-4, atol=1e-5)


def spellings(A):
    """Yield one matrix in the forms in which SciPy can hold it, some of them with zeros, repetitions or no order."""
    yield from (sparse.csc_matrix(A), sparse.coo_matrix(A), sparse.lil_matrix(A), sparse.csr_array(A))
    coo, mixed = sparse.coo_matrix(A), np.random.default_rng(0).permutation(np.count_nonzero(A))
    yield sparse.coo_matrix((coo.data[mixed], (coo.row[mixed], coo.col[mixed])), shape=A.shape)
    halves = np.r_[coo.data - 1, np.ones(coo.nnz)], (np.r_[coo.row, coo.row], np.r_[coo.col, coo.col])
    yield sparse.coo_matrix(halves, shape=A.shape)
    unordered = sparse.csr_matrix(A[:, ::-1])
    unordered.indices = A.shape[1] - 1 - unordered.indices
    unordered.has_sorted_indices = False
    yield unordered


def dense(result):
    return result.toarray() if sparse.issparse(result) else np.asarray(result)


@pytest.mark.parametrize("name", SPARSE)
@given(whole)
def test_a_sparse_matrix_says_the_same_in_every_form(name, values):
    A = np.minimum(table(values), 60).astype(float)
    of_one = {
        "ridge": lambda M: least_squares.ridge(M, A[:, :2], 1.0),
        "content_kernel": lambda M: content.content_kernel([M]),
        "history_vectors": lambda M: context.history_vectors(M, A[:ITEMS, :2]),
    }
    function = of_one.get(name, CORE[name])
    expected = dense(function(sparse.csr_matrix(A)))
    for other in spellings(A):
        before = other.copy()
        np.testing.assert_allclose(dense(function(other)), expected, rtol=1e-4, atol=1e-5)
        assert (before != other).nnz == 0  # and nothing of the caller's is changed


@given(whole)
def test_a_stored_zero_is_no_choice(values):
    A = ((table(values) > 0) | (np.arange(ITEMS) == np.arange(USERS)[:, None] % 5 + 2)).astype(float)
    told = sparse.csr_matrix(np.ones_like(A))
    told.data = A.ravel()
    for make in (lambda X: splits.cold_items(X, 0, fraction=0.3), lambda X: splits.warm(X, 0, fraction=0.6)):
        with_zeros, without = make(told), make(sparse.csr_matrix(A))
        for one, two in zip((with_zeros.train, with_zeros.test), (without.train, without.test)):
            assert one.nnz == two.nnz and (one != two).nnz == 0
        perfect = {"": ranking.from_matrix(A)}
        assert ranking.evaluate(perfect, with_zeros, k=4)["ndcg"].mean() == pytest.approx(
            ranking.evaluate(perfect, without, k=4)["ndcg"].mean()
        )
    perfect = ranking.evaluate({"": ranking.from_matrix(A)}, splits.cold_items(told, 0, fraction=0.3), k=2)
    assert perfect["ndcg"].min() == pytest.approx(1)


@given(whole)
def test_a_rating_of_zero_is_a_rating(values):
    A = table(values)
    shape = sparse.csr_matrix((A > 0).astype(float))
    stars = shape.copy()
    stars.data = (A[A > 0] % 5 - 2).astype(float)  # −2 … 2, a fifth of them 0
    moved = stars.copy()
    moved.data = stars.data + 7
    by_stars, by_moved = (teachers.collaborative_targets(shape, R)[1] for R in (stars, moved))
    assert set(by_stars) == set(by_moved)
    if "liked" in by_stars:
        scores = [parts["liked"][0] @ parts["liked"][1].T for parts in (by_stars, by_moved)]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)


def test_ratings_that_are_all_the_same_say_nothing_of_liking():
    X = sparse.csr_matrix(table([1, 0, 0] * 21) > 0)
    for rating in (0, 3):
        same = X.astype(float)
        same.data[:] = rating
        _, parts, targets = teachers.collaborative_targets(X, same)
        assert set(parts) == {"chosen"} and np.isfinite(targets).all() and targets.shape[0] == ITEMS


@given(whole, st.sampled_from([1e-12, 1e-3, 1e6, 1e12]))
def test_a_scale_changes_units_only(values, scale):
    A = table(values).astype(float)
    K = square(A).astype(float)
    np.testing.assert_allclose(content.unit_rows(A * scale), content.unit_rows(A), rtol=1e-9)
    np.testing.assert_allclose(content.product_kernel(K * scale), scale * content.product_kernel(K), rtol=1e-6)
    neighbours = content.neighbour_scores(A, K * scale, WARM, NEW, 2)
    np.testing.assert_allclose(neighbours, scale * content.neighbour_scores(A, K, WARM, NEW, 2), rtol=1e-6)
    carried = content.bridge(K * scale, A[:5], WARM, NEW, scale)
    np.testing.assert_allclose(carried, content.bridge(K, A[:5], WARM, NEW, 1.0), rtol=1e-6, atol=1e-6)
    assert np.array_equal(metrics.top_k(A * scale, 4), metrics.top_k(A, 4))
    assert metrics.gini(A[:, 0] * scale) == pytest.approx(metrics.gini(A[:, 0]))
    np.testing.assert_allclose(longtail.inverse_propensity(A[:, 0] + 1, 0.5) @ (A[:, 0] + 1), (A[:, 0] + 1).sum())


@given(whole, st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(values, random):
    A = table(values).astype(float)
    order = random.sample(range(USERS), USERS)
    np.testing.assert_allclose(teachers.ease(A[order], 10.0), teachers.ease(A, 10.0), atol=1e-9)
    folded = als.fold_in(A, A[:ITEMS, :RANK] + 1, reg=5.0)
    np.testing.assert_allclose(als.fold_in(A[order], A[:ITEMS, :RANK] + 1, reg=5.0), folded[order], atol=1e-5)
    np.testing.assert_allclose(metrics.auc(A[order], A[order] > 1), metrics.auc(A, A > 1)[order])


@pytest.mark.parametrize(
    "name", ["ease", "als_implicit", "unit_rows", "content_kernel", "fold_in", "known_sides", "auc"]
)
def test_empty_rows_and_columns_stay_empty(name):
    A = table([0, 1, 3] * 21).astype(float)
    A[4], A[:, 2] = 0, 0
    result = dense(CORE[name](A))
    assert np.isfinite(result).all() or name == "auc"
    if name != "ease":
        assert np.isnan(result[4]) if name == "auc" else not result[4].any()


def test_places_are_rows_or_a_mask_and_nothing_else():
    assert matrices.places([True, False, True], 3).tolist() == [0, 2]
    assert matrices.places([], 3).tolist() == [] and matrices.places(np.array([2.0, 1.0]), 3).tolist() == [2, 1]
    for wrong in ([-1], [3], [0.5]):
        with pytest.raises(ColdstartError, match="row numbers of 0 to 2"):
            matrices.places(wrong, 3)


BAD = {
    "ridge": lambda A: least_squares.ridge(A, A[:, :2], 1.0),
    "ease": lambda A: teachers.ease(A, 1.0),
    "als": lambda A: als.als_implicit(A, rank=2, reg=1.0),
    "explicit": lambda A: als.als_explicit(A, rank=2, reg=1.0),
    "unit_rows": content.unit_rows,
    "product_kernel": lambda A: content.product_kernel(A[:7]),
    "bridge": lambda A: content.bridge(A[:7], A[:5, :2], WARM, NEW, 1.0),
    "top_k": lambda A: metrics.top_k(A, 2),
    "auc": lambda A: metrics.auc(A, np.eye(9, 7)),
    "cold items": lambda A: splits.cold_items(A, 0, fraction=0.3),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("wrong", [np.nan, "text", 1j])
def test_what_is_no_number_is_told(name, wrong):
    A = table([0, 1, 3] * 21).astype(object if isinstance(wrong, str) else type(wrong) if wrong == 1j else float)
    A[2, 3] = wrong
    with pytest.raises(ColdstartError, match="expected"):
        BAD[name](A)


def test_what_is_too_small_to_learn_from_is_told():
    for call in (
        lambda: content.bridge(np.eye(3), np.ones((0, 2)), [], [1], 1.0),
        lambda: content.left_out(np.eye(3), np.ones((1, 2)), [0], 1.0),
        lambda: evidence.empirical_prior(np.ones((3, 2)), [0]),
        lambda: als.als_explicit(np.zeros((3, 3)), rank=2, reg=1.0),
        lambda: content.neighbour_scores(np.eye(3), np.eye(3), [0, 1], [2], 0),
        lambda: metrics.top_k(np.eye(3), 2.5),
        lambda: metrics.precision_at_k(np.eye(3), 0),
        lambda: evidence.posterior(np.eye(2), np.eye(2), np.eye(2), np.zeros((2, 2)), noise=1.0),
    ):
        with pytest.raises(ColdstartError, match="expected"):
            call()


def test_factors_that_are_all_the_same_still_give_a_belief():
    mean, covariance = evidence.empirical_prior(np.ones((4, 2)), np.arange(4))
    found = evidence.posterior(np.eye(4), np.ones((4, 2)), mean, covariance, noise=1.0)
    assert np.isfinite(found).all()
    assert np.isfinite(evidence.empirical_prior(np.arange(4.0)[:, None], np.arange(4))[1]).all()
