"""models: closed forms are the minimum, sweeps fall towards it, scikit-learn, implicit and autograd agree."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from coldstart_utils.ground import ColdstartError
from coldstart_utils.models.als import (
    als_explicit,
    als_implicit,
    damped_biases,
    explicit_objective,
    fold_in,
    implicit_objective,
)
from coldstart_utils.models.compiled import implicit_cg
from coldstart_utils.models.content import bridge, content_kernel, left_out, neighbour_scores, product_kernel, unit_rows
from coldstart_utils.models.evidence import ask_first, empirical_prior, posterior
from coldstart_utils.models.least_squares import kernel_ridge, ridge, solve_rows
from coldstart_utils.models.teachers import bridged, collaborative_targets, ease, principal_scores, teachers


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def counts():
    """Feedback 1 … 4 of 50 users on 30 items; users 3 and 7 and items 5 and 11 have none."""
    full = rng().integers(1, 5, (50, 30)) * (rng(1).random((50, 30)) < rng(2).uniform(0.05, 0.6, (50, 1)))
    full[np.arange(50), np.arange(50) % 30] = full[np.arange(50), (np.arange(50) + 1) % 30] = 1
    full[[3, 7]] = 0
    full[:, [5, 11]] = 0
    return sparse.csr_matrix(full.astype(float))


EMPTY_USERS, EMPTY_ITEMS = [3, 7], [5, 11]


def implicit_dense(X, U, V, reg, alpha):
    """Return the objective of Hu, Koren & Volinsky as they write it, over all pairs (torch)."""
    X = torch.as_tensor(X.toarray(), dtype=torch.float64)
    p, c = (X > 0).double(), 1 + alpha * X
    return (c * (p - U @ V.T) ** 2).sum() + reg * ((U**2).sum() + (V**2).sum())


def explicit_dense(R, U, V, reg):
    known = torch.as_tensor(R.astype(bool).toarray()).double()
    error = known * (torch.as_tensor(R.toarray(), dtype=torch.float64) - U @ V.T)
    return (error**2).sum() + reg * (known.sum(1) @ (U**2).sum(1) + known.sum(0) @ (V**2).sum(1))


def tensors(*arrays):
    return [torch.tensor(np.asarray(a, float), requires_grad=True) for a in arrays]


# --- Ridge -----------------------------------------------------------------------------------------------------------

SHAPES = pytest.mark.parametrize("n, d", [(40, 7), (7, 40), (20, 20)])
KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])


@SHAPES
@KINDS
@pytest.mark.parametrize("reg", [0.1, 10])
def test_ridge_is_that_of_scikit_learn(n, d, kind, reg):
    X, Y = rng().standard_normal((n, d)), rng(1).standard_normal((n, 3))
    expected = Ridge(alpha=reg, fit_intercept=False, solver="cholesky").fit(X, Y).coef_.T
    np.testing.assert_allclose(ridge(kind(X), Y, reg), expected, rtol=1e-8)


@SHAPES
def test_primal_and_dual_are_one(n, d):
    X, Y, new = rng().standard_normal((n, d)), rng(1).standard_normal((n, 2)), rng(2).standard_normal((5, d))
    primal = new @ np.linalg.solve(X.T @ X + 2 * np.eye(d), X.T @ Y)
    np.testing.assert_allclose(new @ X.T @ kernel_ridge(X @ X.T, Y, 2.0), primal, rtol=1e-9)
    np.testing.assert_allclose(new @ ridge(X, Y, 2.0), primal, rtol=1e-9)


@SHAPES
def test_the_gradient_of_ridge_vanishes_at_its_solution(n, d):
    X, y, reg, step = rng().standard_normal((n, d)), rng(1).standard_normal(n), 0.7, 1e-5

    def loss(w):
        return 0.5 * ((X @ w - y) ** 2).sum() + 0.5 * reg * (w**2).sum()

    w = ridge(X, y[:, None], reg)[:, 0]
    slopes = [(loss(w + step * e) - loss(w - step * e)) / (2 * step) for e in np.eye(d)]
    elsewhere = [(loss(step * e) - loss(-step * e)) / (2 * step) for e in np.eye(d)]
    assert np.linalg.norm(slopes) < 1e-6 * np.linalg.norm(elsewhere)


@SHAPES
def test_autograd_agrees_on_the_gradient_of_half_the_squared_error(n, d):
    # ∇ ½(f − y)² = (f − y)·∇f, with f = Xw and ∇f = X: at zero its size, at ridge's solution nothing is left of it.
    X, y, reg = rng().standard_normal((n, d)), rng(1).standard_normal(n), 0.7
    solution = ridge(X, y[:, None], reg)[:, 0]
    size = np.linalg.norm(X.T @ y)
    for weights in (np.zeros(d), rng(2).standard_normal(d), solution):
        (w,) = tensors(weights)
        (0.5 * ((torch.tensor(X) @ w - torch.tensor(y)) ** 2).sum() + 0.5 * reg * (w**2).sum()).backward()
        by_hand = X.T @ (X @ weights - y) + reg * weights
        np.testing.assert_allclose(w.grad.numpy(), by_hand, rtol=1e-9, atol=1e-10 * size)
    assert np.linalg.norm(by_hand) < 1e-10 * size


def test_ridge_leaves_its_input_alone():
    X, Y = rng().standard_normal((6, 4)), rng(1).standard_normal((6, 2))
    K = X @ X.T
    before = X.copy(), Y.copy(), K.copy()
    ridge(X, Y, 1.0)
    kernel_ridge(K, Y, 1.0)
    for array, copy in zip((X, Y, K), before):
        np.testing.assert_array_equal(array, copy)


# --- EASE ------------------------------------------------------------------------------------------------------------


def test_ease_is_one_ridge_a_column_without_itself(counts):
    X, reg = counts.toarray(), 3.0
    B = ease(counts, reg)
    assert (np.diag(B) == 0).all()
    for j in range(X.shape[1]):
        others = np.delete(np.arange(X.shape[1]), j)
        alone = Ridge(alpha=reg, fit_intercept=False, solver="cholesky").fit(X[:, others], X[:, j]).coef_
        np.testing.assert_allclose(B[others, j], alone, rtol=1e-7, atol=1e-12)


def test_no_other_weights_with_zero_diagonal_are_better(counts):
    X, reg = counts.toarray(), 3.0

    def loss(B):
        return ((X - X @ B) ** 2).sum() + reg * (B**2).sum()

    B = ease(counts, reg)
    for seed in range(5):
        step = rng(seed).standard_normal(B.shape) * 0.01
        np.fill_diagonal(step, 0)
        assert loss(B + step) > loss(B)


# --- Content ---------------------------------------------------------------------------------------------------------


@KINDS
def test_blocks_weigh_the_same_whatever_their_scale(kind):
    short, long = rng().random((6, 3)), rng(1).random((6, 50)) * 1000
    long[2] = 0
    K = content_kernel([kind(short), kind(long)])
    np.testing.assert_allclose(np.diag(K), [2, 2, 1, 2, 2, 2], rtol=1e-9)
    np.testing.assert_allclose(K, content_kernel([kind(7 * short), kind(long / 3)]), rtol=1e-9)
    cosine = short[0] @ short[1] / np.linalg.norm(short[0]) / np.linalg.norm(short[1])
    np.testing.assert_allclose(content_kernel([kind(short)])[0, 1], cosine, rtol=1e-9)


def test_sparse_and_dense_blocks_mix():
    a, b = rng().random((5, 4)), (rng(1).random((5, 9)) < 0.4).astype(float)
    mixed = content_kernel([a, sparse.csr_matrix(b)])
    assert isinstance(mixed, np.ndarray)
    np.testing.assert_allclose(mixed, content_kernel([a, b]), rtol=1e-9)


def test_a_weight_is_a_penalty_of_its_own():
    a, b = rng().random((7, 4)), rng(1).standard_normal((7, 3))
    units, Y = [unit_rows(block) for block in (a, b)], rng(3).standard_normal((len(a), 2))
    columns, penalties = np.hstack(units), np.repeat([2 / 4, 2 / 0.5], [block.shape[1] for block in units])
    directly = columns @ np.linalg.solve(columns.T @ columns + np.diag(penalties), columns.T @ Y)
    K = content_kernel([a, b], [4, 0.5])
    np.testing.assert_allclose(K @ kernel_ridge(K, Y, 2.0), directly, rtol=1e-8)
    np.testing.assert_allclose(content_kernel([a, b], [1, 0]), content_kernel([a]), rtol=1e-12)


@pytest.mark.parametrize("weights", [[1], [1, -1], [1, np.nan], [1, np.inf]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ColdstartError, match="expected 2 weights"):
        content_kernel([np.eye(3), np.eye(3)], weights)


def test_the_product_kernel_is_a_product_over_blocks_and_a_sum_when_wide():
    a, b = rng().random((7, 4)), rng(1).standard_normal((7, 3))
    own = [content_kernel([block]) for block in (a, b)]
    distance = [np.add.outer(np.diag(K), np.diag(K)) - 2 * K for K in own]
    np.testing.assert_allclose(product_kernel(sum(own)), 2 * np.exp(-distance[0] / 2) * np.exp(-distance[1] / 2))
    wide = product_kernel(sum(own), 1e6)[np.triu_indices(len(a), 1)]
    assert np.corrcoef(wide, sum(own)[np.triu_indices(len(a), 1)])[0, 1] > 0.999999


@pytest.mark.parametrize("K, spread, told", [(np.eye(2), 0, "spread"), (np.zeros((2, 2)), 1, "diagonal")])
def test_a_product_needs_a_spread_and_something_to_multiply(K, spread, told):
    with pytest.raises(ColdstartError, match=told):
        product_kernel(K, spread)


@KINDS
def test_rows_become_units_and_zeros_stay(kind):
    matrix = kind(np.array([[3.0, 4], [0, 0], [0, -2]]))
    found = unit_rows(matrix)
    assert sparse.issparse(found) == sparse.issparse(matrix)
    np.testing.assert_allclose(found.toarray() if sparse.issparse(found) else found, [[0.6, 0.8], [0, 0], [0, -1]])


def test_no_content_is_refused():
    with pytest.raises(ColdstartError, match="at least one block"):
        content_kernel([])


@pytest.mark.parametrize(
    "k, scores", [(1, [0.9, 0]), (2, [0.9 + 0.5, 0.3]), (3, [0.9 + 0.5, 0.3 + 0.2]), (9, [1.4, 0.5])]
)
def test_neighbours_by_hand(k, scores):
    # Items 0 1 2 are warm, 3 4 cold; the user chose 0 and 1.
    K = np.eye(5)
    K[:3, 3], K[:3, 4] = [0.9, 0.5, 0.1], [0.2, 0.3, 0.7]
    X = sparse.csr_matrix([[1.0, 1, 0, 0, 0]])
    found = neighbour_scores(X, K, np.array([0, 1, 2]), np.array([3, 4]), k)
    np.testing.assert_allclose(found, [scores], rtol=1e-12)


def test_neighbours_that_tie_share_the_last_places():
    # Three of four warm items tie for the second place; whoever chose one of them gets a third of it, in any order.
    K = np.eye(5)
    K[:4, 4] = [0.5, 0.9, 0.5, 0.5 + 1e-15]
    X = sparse.csr_matrix([[1.0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 0]])
    for warm in ([0, 1, 2, 3], [3, 2, 1, 0]):
        found = neighbour_scores(X, K, np.array(warm), np.array([4]), 2)[:, 0]
        np.testing.assert_allclose(found, [0.5 / 3, 0.9, 0.9 + 0.5], rtol=1e-12)


@pytest.mark.parametrize("features", [4, 100])
@pytest.mark.parametrize("columns", [6, 25])
def test_the_bridge_is_ridge_on_features(features, columns):
    content, targets = rng().standard_normal((30, features)), rng(1).standard_normal((20, columns))
    order = rng(2).permutation(30)
    warm, new = order[:20], order[20:]
    found = bridge(content @ content.T, targets, warm, new, 0.5)
    # The intercept: both sides centred over the known items, the mean of the targets added again.
    mean, level = content[warm].mean(axis=0), targets.mean(axis=0)
    expected = level + (content[new] - mean) @ ridge(content[warm] - mean, targets - level, 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_the_bridge_predicts_the_mean_where_content_says_nothing():
    targets = rng().standard_normal((8, 3)) + 5
    found = bridge(np.zeros((10, 10)), targets, np.arange(8), np.array([8, 9]), 1.0)
    np.testing.assert_allclose(found, np.tile(targets.mean(axis=0), (2, 1)))
    # A constant in the features is a part of the intercept: it changes nothing.
    content = rng(1).standard_normal((10, 4))
    plain, shifted = (bridge(C @ C.T, targets, np.arange(8), np.array([8, 9]), 1.0) for C in (content, content + 7))
    np.testing.assert_allclose(plain, shifted, rtol=1e-8)


def test_the_bridge_carries_a_linear_world_to_new_items():
    content, world = rng().standard_normal((60, 5)), rng(1).standard_normal((5, 3))
    found = bridge(content @ content.T, content[:50] @ world, np.arange(50), np.arange(50, 60), 1e-8)
    np.testing.assert_allclose(found, content[50:] @ world, rtol=1e-5)


@pytest.mark.parametrize("rank", [4, 64])
def test_teachers_give_users_and_items_whose_product_is_the_score(counts, rank):
    found = teachers(counts, rank=rank, reg=0.5, ease_reg=3.0)
    assert set(found) == {"ALS", "EASE"}
    users, items = found["EASE"]
    np.testing.assert_allclose(users @ items.T, counts @ ease(counts, 3.0), rtol=1e-9, atol=1e-12)
    users, items = found["ALS"]
    assert users.shape == (50, min(rank, 30)) and items.shape == (30, min(rank, 30))
    chosen = counts.toarray() > 0
    assert (users @ items.T)[chosen].mean() > 2 * abs((users @ items.T)[~chosen].mean())


# --- The least squares of every row ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 4, 12, 29])
def test_rows_are_solved_as_one_by_one(counts, rank):
    V, e = rng().standard_normal((30, rank)), rng(1).uniform(0.5, 2, counts.nnz)
    f, A = rng(2).standard_normal(counts.nnz), rng(3).standard_normal((rank, rank))
    Q = A @ A.T + np.eye(rank)
    found = solve_rows(counts, e, f, V, Q)
    degree = np.diff(counts.indptr)
    assert rank == 1 or rank == 29 or ((degree[degree > 0] < rank).any() and (degree > rank).any())
    for row in range(50):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        V_J = V[counts.indices[part]]
        left, right = Q + V_J.T @ np.diag(1 / e[part]) @ V_J, V_J.T @ (f[part] / e[part])
        np.testing.assert_allclose(found[row], np.linalg.solve(left, right), rtol=1e-7, atol=1e-12)
    assert (found[EMPTY_USERS] == 0).all()


def test_rows_do_not_see_one_another(counts):
    V, Q = rng().standard_normal((30, 6)), np.eye(6)
    whole = solve_rows(counts, np.ones(counts.nnz), counts.data, V, Q)
    for row in (0, 3, 20, 49):
        own = counts[row]
        np.testing.assert_allclose(whole[[row]], solve_rows(own, np.ones(own.nnz), own.data, V, Q), rtol=1e-9)


# --- Implicit feedback -----------------------------------------------------------------------------------------------

SOLVERS = pytest.mark.parametrize("solver", ["exact", "cg"])


@pytest.mark.parametrize("alpha", [0.5, 1, 40])
@pytest.mark.parametrize("rank", [1, 8])
def test_the_implicit_objective_is_its_definition(counts, rank, alpha):
    U, V = rng().standard_normal((50, rank)), rng(1).standard_normal((30, rank))
    expected = implicit_dense(counts, torch.tensor(U), torch.tensor(V), 0.3, alpha)
    assert implicit_objective(counts, U, V, 0.3, alpha) == pytest.approx(expected.item(), rel=1e-9)


@SOLVERS
@pytest.mark.parametrize("rank", [2, 8, 25])
def test_the_implicit_objective_falls_at_every_sweep(counts, solver, rank):
    found = als_implicit(counts, rank=rank, reg=0.5, alpha=2, sweeps=12, solver=solver, trace=True)
    fall = np.array(found.objective)
    assert len(fall) == 12
    assert (fall[1:] <= fall[:-1] * (1 + 1e-6)).all() and fall[-1] < 0.99 * fall[0]
    assert fall[-1] == pytest.approx(implicit_objective(counts, found.U, found.V, 0.5, 2), rel=1e-4)


def test_the_last_half_sweep_leaves_no_gradient(counts):
    found = als_implicit(counts, rank=6, reg=0.5, alpha=2, sweeps=2)
    U, V, zero = tensors(found.U, found.V, np.zeros_like(found.V))
    implicit_dense(counts, U, V, 0.5, 2).backward()
    implicit_dense(counts, U.detach(), zero, 0.5, 2).backward()
    assert V.grad.norm() < 1e-4 * zero.grad.norm() < U.grad.norm()


def test_the_gradient_of_the_implicit_objective_agrees_with_finite_differences(counts):
    u, v = rng().standard_normal((50, 3)), rng(1).standard_normal((30, 3))
    U, V = tensors(u, v)
    implicit_dense(counts, U, V, 0.5, 2).backward()
    for seed in range(5):
        du, dv = rng(seed).standard_normal(u.shape), rng(seed + 9).standard_normal(v.shape)
        above, below = (implicit_objective(counts, u + s * du, v + s * dv, 0.5, 2) for s in (1e-5, -1e-5))
        along = (U.grad * torch.tensor(du)).sum() + (V.grad * torch.tensor(dv)).sum()
        assert (above - below) / 2e-5 == pytest.approx(along.item(), rel=1e-4)


@SOLVERS
@pytest.mark.parametrize("sweeps", [0, 1, 3])
def test_who_has_no_interaction_has_no_factor(counts, solver, sweeps):
    # The trap: start values that nothing corrects would stay, and be recommended from.
    found = als_implicit(counts, rank=5, reg=0.5, sweeps=sweeps, solver=solver)
    assert (found.U[EMPTY_USERS] == 0).all() and (found.V[EMPTY_ITEMS] == 0).all()
    assert (np.delete(found.U, EMPTY_USERS, 0) != 0).any(axis=1).all()
    assert (np.delete(found.V, EMPTY_ITEMS, 0) != 0).any(axis=1).all()
    assert (found.score(np.arange(50), np.array(EMPTY_ITEMS)) == 0).all()


@SOLVERS
def test_a_stored_zero_is_no_interaction(counts, solver):
    padded = counts.copy()
    padded.data[::3] = 0
    bare = padded.copy()
    bare.eliminate_zeros()
    options = {"rank": 4, "reg": 0.5, "sweeps": 3, "solver": solver, "trace": True}
    found, expected = als_implicit(padded, **options), als_implicit(bare, **options)
    np.testing.assert_allclose(found.U, expected.U, rtol=1e-5, atol=1e-7)
    assert found.objective[-1] == pytest.approx(expected.objective[-1], rel=1e-6)
    assert padded.nnz == counts.nnz, "the matrix that was given stays as it was"


@SOLVERS
def test_the_seed_decides_the_factors(counts, solver):
    first, again, other = (
        als_implicit(counts, rank=4, reg=0.5, sweeps=2, solver=solver, seed=seed).U for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 0.01


def test_interactions_stay_as_they_are(counts):
    before = counts.copy()
    als_implicit(counts, rank=4, reg=0.5, sweeps=1)
    fold_in(counts, np.ones((30, 2), np.float32), reg=1.0)
    assert abs(before - counts).max() == 0 and counts.dtype == before.dtype


def test_predictions_are_the_scores_of_pairs(counts):
    for found in (als_implicit(counts, rank=4, reg=0.5, sweeps=2), als_explicit(counts, rank=4, reg=0.5, sweeps=2)):
        users, items = np.array([0, 9, 20]), np.array([4, 0, 29])
        np.testing.assert_allclose(found.predict(users, items), np.diag(found.score(users, items)), rtol=1e-5)


@pytest.fixture(scope="module")
def exact(ml100k):
    return als_implicit(ml100k.matrix(), rank=32, reg=5.0, alpha=1.0, sweeps=15, trace=True)


def test_the_objective_is_that_of_the_implicit_library(ml100k, exact):
    from implicit.cpu.als import AlternatingLeastSquares

    X = ml100k.matrix()
    confidence = X.copy()
    confidence.data = 1 + X.data  # what it is given is c, not the feedback
    with threadpool_limits(1, "blas"):
        theirs = AlternatingLeastSquares(
            factors=32, regularization=5.0, alpha=1.0, iterations=15, use_cg=False, num_threads=1, random_state=0
        )
        theirs.fit(confidence.astype(np.float32), show_progress=False)
    reached = implicit_objective(X, theirs.user_factors, theirs.item_factors, 5.0, 1.0)
    assert exact.objective[-1] == pytest.approx(reached, rel=0.005)


def test_conjugate_gradients_come_near_the_exact_solution(ml100k, exact):
    near = als_implicit(ml100k.matrix(), rank=32, reg=5.0, alpha=1.0, sweeps=15, solver="cg", trace=True)
    assert near.objective[-1] == pytest.approx(exact.objective[-1], rel=0.02)


def test_as_many_steps_as_the_rank_solve_every_row(counts):
    X, V = counts.astype(np.float32), rng().standard_normal((30, 4)).astype(np.float32)
    gram = V.T @ V + 0.5 * np.eye(4, dtype=np.float32)
    start = rng(1).standard_normal((50, 4)).astype(np.float32)
    exactly = fold_in(X, V, reg=0.5, alpha=1.0)
    solved, nearly = (implicit_cg(X.indptr, X.indices, X.data, start, V, gram, 1.0, steps) for steps in (5, 1))
    size = np.linalg.norm(exactly)
    assert np.linalg.norm(solved - exactly) < 1e-3 * size < np.linalg.norm(nearly - exactly)


# --- Fold-in ---------------------------------------------------------------------------------------------------------


def test_folding_in_is_one_half_sweep(counts):
    options = {"rank": 6, "reg": 0.5, "alpha": 2.0, "seed": 3}
    now, after = als_implicit(counts, sweeps=3, **options), als_implicit(counts, sweeps=4, **options)
    np.testing.assert_allclose(fold_in(counts, now.V, reg=0.5, alpha=2.0), after.U, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(fold_in(counts.T, now.U, reg=0.5, alpha=2.0), now.V, rtol=1e-3, atol=1e-5)


def test_folding_in_minimises_the_objective_of_the_new_user(counts):
    V = rng().standard_normal((30, 5))
    (u,) = tensors(fold_in(counts[:4], V, reg=0.5, alpha=2.0))
    zero = torch.zeros_like(u, requires_grad=True)
    for start in (u, zero):
        implicit_dense(counts[:4], start, torch.tensor(V), 0.5, 2.0).backward()
    assert u.grad.norm() < 1e-9 * zero.grad.norm()


def test_nobody_is_folded_in_as_zero(counts):
    folded = fold_in(counts, rng().standard_normal((30, 5)), reg=0.5)
    assert (folded[EMPTY_USERS] == 0).all() and (np.delete(folded, EMPTY_USERS, 0) != 0).any(axis=1).all()


def test_a_prior_is_what_the_penalty_pulls_to():
    X = sparse.csr_matrix((rng().random((30, 20)) < 0.3) * 1.0)
    U, prior = rng().standard_normal((30, 4)), rng().standard_normal((20, 4))
    pulled = fold_in(X.T, U, reg=2.0, alpha=1.5, prior=prior)
    for item, choices in enumerate(X.toarray().T):
        confidence = 1 + 1.5 * choices
        gram = (U * confidence[:, None]).T @ U + 2 * np.eye(4)
        exact = np.linalg.solve(gram, U.T @ (confidence * choices) + 2 * prior[item])
        np.testing.assert_allclose(pulled[item], exact, rtol=1e-6, atol=1e-9)
    plain = fold_in(X.T, U, reg=2.0, alpha=1.5)
    np.testing.assert_allclose(fold_in(X.T, U, reg=2.0, alpha=1.5, prior=0 * prior), plain, atol=1e-9)
    with pytest.raises(ColdstartError, match="prior of shape"):
        fold_in(X.T, U, reg=2.0, prior=prior[:5])


def test_more_ratings_fold_in_nearer_to_the_trained_factor(ml100k, exact):
    X = ml100k.matrix()
    most = np.argsort(-np.diff(X.indptr))[:50]
    full = fold_in(X[most], exact.V, reg=5.0, alpha=1.0)

    def distance(k):
        first = X[most].copy()
        place = np.concatenate([np.random.default_rng(0).permutation(n) for n in np.diff(first.indptr)])
        first.data = (place < k).astype(float)
        first.eliminate_zeros()
        return np.linalg.norm(fold_in(first, exact.V, reg=5.0, alpha=1.0) - full)

    far = [distance(k) for k in (1, 5, 20, 100)]
    assert far == sorted(far, reverse=True) and far[-1] < 0.7 * far[0]


# --- Explicit ratings ------------------------------------------------------------------------------------------------


def test_biases_by_hand():
    R = sparse.csr_matrix([[5.0, 3, 0], [4, 0, 0]])
    mean, users, items = damped_biases(R, 2.0)
    assert mean == 4
    np.testing.assert_allclose(items, [1 / 4, -1 / 3, 0], rtol=1e-12)
    np.testing.assert_allclose(users, [(1 - 1 / 4 - 1 + 1 / 3) / 4, -1 / 4 / 3], rtol=1e-12)


def test_the_explicit_objective_is_its_definition(counts):
    U, V = rng().standard_normal((50, 4)), rng(1).standard_normal((30, 4))
    expected = explicit_dense(counts, torch.tensor(U), torch.tensor(V), 0.2).item()
    assert explicit_objective(counts, U, V, 0.2) == pytest.approx(expected, rel=1e-10)


def residual(R, found):
    coo = R.tocoo()
    rest = coo.data - found.mean - found.user_bias[coo.row] - found.item_bias[coo.col]
    return sparse.csr_matrix((rest, (coo.row, coo.col)), shape=R.shape)


@pytest.mark.parametrize("rank", [2, 20])
def test_the_explicit_objective_falls_at_every_sweep(counts, rank):
    found = als_explicit(counts, rank=rank, reg=0.1, sweeps=10, trace=True)
    fall = np.array(found.objective)
    assert len(fall) == 10 and (fall[1:] <= fall[:-1] * (1 + 1e-6)).all() and fall[-1] < 0.95 * fall[0]
    assert fall[-1] == pytest.approx(explicit_objective(residual(counts, found), found.U, found.V, 0.1), rel=1e-4)
    assert (found.U[EMPTY_USERS] == 0).all() and (found.V[EMPTY_ITEMS] == 0).all()


def test_explicit_ratings_too_large_for_their_penalty_are_told():
    draw = rng()
    R = sparse.csr_matrix(np.where(draw.random((40, 50)) < 0.2, draw.uniform(1, 2e34, (40, 50)), 0))
    with np.errstate(all="ignore"), pytest.raises(ColdstartError, match=r"ratings that differ by .* need a larger reg"):
        als_explicit(R, rank=10, reg=0.05)
    assert np.isfinite(als_explicit(R * (5 / R.max()), rank=10, reg=0.05).U).all()


def test_the_last_explicit_half_sweep_leaves_no_gradient(counts):
    found = als_explicit(counts, rank=4, reg=0.1, sweeps=2)
    U, V, zero = tensors(found.U, found.V, np.zeros_like(found.V))
    rest = residual(counts, found)
    explicit_dense(rest, U, V, 0.1).backward()
    explicit_dense(rest, U.detach(), zero, 0.1).backward()
    assert V.grad.norm() < 1e-4 * zero.grad.norm()


def test_factors_predict_ratings_better_than_biases(ml100k):
    R = ml100k.matrix("rating").tocoo()
    tested = rng().random(R.nnz) < 0.2
    train = sparse.csr_matrix((R.data[~tested], (R.row[~tested], R.col[~tested])), shape=R.shape)
    found = als_explicit(train, rank=32, reg=0.15, sweeps=10)
    user, item, rating = R.row[tested], R.col[tested], R.data[tested]

    def rmse(predicted):
        return np.sqrt(np.mean((rating - predicted) ** 2))

    biases = rmse(found.mean + found.user_bias[user] + found.item_bias[item])
    factors = rmse(found.predict(user, item))
    assert factors < 0.92 and factors < 0.98 * biases and biases < 0.9 * rmse(np.full(len(rating), found.mean))


# --- Bad input -------------------------------------------------------------------------------------------------------

SMALL = sparse.csr_matrix([[1.0, 0, 2], [0, 3, 1]])
WITH_REG = {
    "ridge": lambda reg: ridge(np.eye(3), np.eye(3), reg),
    "kernel_ridge": lambda reg: kernel_ridge(np.eye(3), np.eye(3), reg),
    "ease": lambda reg: ease(SMALL, reg),
    "bridge": lambda reg: bridge(np.eye(3), np.eye(2), np.arange(2), np.array([2]), reg),
    "als_implicit": lambda reg: als_implicit(SMALL, rank=2, reg=reg),
    "als_explicit": lambda reg: als_explicit(SMALL, rank=2, reg=reg),
    "fold_in": lambda reg: fold_in(SMALL, np.ones((3, 2)), reg=reg),
}


@pytest.mark.parametrize("reg", [0, -1, float("nan")])
@pytest.mark.parametrize("call", WITH_REG.values(), ids=WITH_REG)
def test_regularisation_must_be_positive(call, reg):
    with pytest.raises(ColdstartError, match=f"reg: expected a number above 0, got {reg}"):
        call(reg)


@pytest.mark.parametrize("rank", [0, -2, 3])
@pytest.mark.parametrize("als", [als_implicit, als_explicit])
def test_rank_must_fit_the_matrix(als, rank):
    with pytest.raises(ColdstartError, match=f"rank: expected 1 to 2, got {rank}"):
        als(SMALL, rank=rank, reg=1.0)


def test_an_unknown_solver_is_refused():
    with pytest.raises(ColdstartError, match="solver: expected 'exact' or 'cg', got 'lu'"):
        als_implicit(SMALL, rank=1, reg=1.0, solver="lu")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("als", [als_implicit, als_explicit])
def test_what_is_no_number_is_refused(als, value):
    with pytest.raises(ColdstartError, match="expected finite numbers, found NaN or infinity"):
        als(sparse.csr_matrix([[1.0, value], [2, 0]]), rank=1, reg=1.0)


def test_negative_feedback_is_refused():
    with pytest.raises(ColdstartError, match="0 or more, found a negative"):
        als_implicit(sparse.csr_matrix([[1.0, -1], [2, 0]]), rank=1, reg=1.0)


def test_fold_in_refuses_what_does_not_fit():
    V = np.ones((4, 2), np.float32)
    with pytest.raises(ColdstartError, match="4 items, got 3"):
        fold_in(sparse.csr_matrix(np.ones((1, 3))), V, reg=1.0)
    for wrong in (-1.0, np.nan):
        with pytest.raises(ColdstartError, match=r"negative value|NaN"):
            fold_in(sparse.csr_matrix([[1, wrong, 0, 0]]), V, reg=1.0)


def test_feedback_of_zero_is_no_feedback_and_alpha_must_count():
    V = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    stored = sparse.csr_matrix(([1.0, 0.0], ([0, 0], [0, 2])), shape=(1, 3))
    np.testing.assert_array_equal(fold_in(stored, V, reg=1.0), fold_in(sparse.csr_matrix([[1.0, 0, 0]]), V, reg=1.0))
    with pytest.raises(ColdstartError, match="alpha"):
        fold_in(stored, V, reg=1.0, alpha=0.0)


def test_principal_scores_keep_lengths_and_are_exact_at_full_rank():
    users, items = rng(1).standard_normal((9, 4)), rng(2).standard_normal((6, 4))
    P, T = principal_scores(users, items, 4)
    assert np.allclose(P.T @ P, np.eye(4)) and np.allclose(P @ T.T, users @ items.T)
    P, T = principal_scores(users, items, 2)
    singular = np.linalg.svd(users @ items.T, compute_uv=False)
    assert ((P @ T.T - users @ items.T) ** 2).sum() == pytest.approx((singular[2:] ** 2).sum(), rel=1e-9)
    error = rng(3).standard_normal((6, 2))
    assert (error**2).sum(axis=1) == pytest.approx(((P @ error.T) ** 2).sum(axis=0), rel=1e-9)


def test_what_two_teachers_learnt_becomes_one_target():
    choices = sparse.random(40, 12, 0.4, "csr", np.float64, random_state=3)
    stars = choices.copy()
    stars.data = rng(1).integers(1, 6, stars.nnz).astype(float)
    choices.data[:] = 1
    train = choices.tolil()
    train[:, 4] = 0
    train = train.tocsr()
    train.eliminate_zeros()
    warm, parts, targets = collaborative_targets(train, stars)
    assert list(parts) == ["chosen", "liked"] and 4 not in warm and len(warm) == 11
    P, T = parts["chosen"]
    assert np.allclose(P @ T.T, train[:, warm] @ ease(train[:, warm], 300.0))
    assert not targets[4].any() and (targets**2).sum(axis=1).mean() * 12 / 11 == pytest.approx(2, rel=1e-5)
    # What is hidden must not be learnt: stars of pairs outside `train` change nothing.
    loud = stars.tolil()
    loud[:, 4] = 5
    assert np.array_equal(collaborative_targets(train, loud.tocsr())[2], targets)
    assert list(collaborative_targets(train)[1]) == ["chosen"]


def test_bridged_scores_are_the_teachers_where_content_is_each_items_own():
    train = sparse.random(30, 8, 0.5, "csr", np.float64, random_state=1)
    warm, parts, _ = collaborative_targets(train, train)
    scorers = bridged(np.eye(8), warm, parts, 1e-9)
    for task, (P, T) in parts.items():
        assert np.allclose(scorers[task](np.array([3, 5]), warm[:4]), P[[3, 5]] @ T[:4].T, atol=1e-6)


# --- What is believed before a rating, and after ---------------------------------------------------------------------


def test_left_out_is_what_leaving_out_gives():
    features, Y = rng().standard_normal((9, 4)), rng().standard_normal((12, 2))[:6]
    K, warm = features @ features.T, np.array([0, 2, 3, 5, 6, 8])
    for place, item in enumerate(warm):
        others = np.delete(warm, place)
        guess = bridge(K, np.delete(Y, place, 0), others, np.array([item]), 0.7)[0]
        np.testing.assert_allclose(left_out(K, Y, warm, 0.7)[place], Y[place] - guess, rtol=1e-9)


def test_empirical_prior_without_content_is_mean_and_spread():
    factors = rng().standard_normal((40, 3))
    old = np.arange(5, 40)
    mean, covariance = empirical_prior(factors, old)
    np.testing.assert_allclose(mean, np.tile(factors[old].mean(axis=0), (40, 1)))
    np.testing.assert_allclose(covariance, np.cov(factors[old].T), rtol=0.01, atol=0.01)


def test_empirical_prior_believes_content_that_tells():
    features = rng().standard_normal((60, 3))
    factors, old = features @ rng().standard_normal((3, 2)), np.arange(10, 60)
    alone, spread = empirical_prior(factors, old)
    mean, misses = empirical_prior(factors, old, features @ features.T, reg=0.1)
    assert np.trace(misses) < 0.05 * np.trace(spread)
    assert ((mean - factors)[:10] ** 2).sum() < 0.1 * ((alone - factors)[:10] ** 2).sum()


def test_posterior_in_one_dimension_is_the_weighted_mean():
    answers = sparse.csr_matrix((np.array([1.0, 0.0, 0.0]), ([0, 0, 0], [0, 1, 2])), shape=(1, 3))
    x = posterior(answers, np.ones((3, 1)), np.array([[0.6]]), np.array([[0.04]]), noise=0.25)
    w = 3 / (3 + 0.25 / 0.04)
    np.testing.assert_allclose(x, [[(1 - w) * 0.6 + w / 3]])


def test_posterior_is_fold_in_when_silence_is_a_no():
    V, X = rng().standard_normal((8, 3)), sparse.csr_matrix([[1.0, 0, 1, 0, 0, 0, 1, 0]])
    ours = posterior(X, V, np.zeros((1, 3)), np.eye(3) / 2.0, noise=1 / 4, silence=1.0)
    np.testing.assert_allclose(fold_in(X, V, reg=2.0, alpha=4.0), (1 + 1 / 4) * ours)


def test_posterior_with_silence_is_regression_on_weighted_zeros():
    V, m, C = rng().standard_normal((6, 2)), np.array([[0.4, -0.2]]), np.array([[0.5, 0.1], [0.1, 0.3]])
    ours = posterior(sparse.csr_matrix([[1.0, 0, 0, 0, 0, 0]]), V, m, C, noise=0.5, silence=0.3)
    precision = np.linalg.inv(C) + 0.3 * V.T @ V + np.outer(V[0], V[0]) / 0.5
    np.testing.assert_allclose(ours[0], np.linalg.solve(precision, np.linalg.inv(C) @ m[0] + V[0] / 0.5))


def test_posterior_keeps_its_prior_without_answers_and_leaves_it_for_many():
    V, m = rng().standard_normal((50, 2)), np.array([[1.0, -1.0], [1.0, -1.0]])
    truth = np.array([0.3, 0.7])
    answers = sparse.csr_matrix(np.vstack([np.zeros(50), V @ truth]))
    none, many = posterior(answers, V, m, np.eye(2), noise=1e-6)
    np.testing.assert_array_equal(none, m[0])
    np.testing.assert_allclose(many, truth, rtol=1e-4)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"X": sparse.csr_matrix((2, 4))}, r"answers of shape \(2, 5\), got \(2, 4\)"),
        ({"prior": np.zeros((1, 3))}, r"prior of shape \(2, 3\), got \(1, 3\)"),
        ({"covariance": np.eye(2)}, r"covariance of shape \(3, 3\), got \(2, 2\)"),
        ({"prior": np.full((2, 3), np.nan)}, "finite prior"),
        ({"noise": 0.0}, "noise: expected a number above 0"),
        ({"silence": -1.0}, "silence: expected a number of 0 or more"),
    ],
)
def test_posterior_refuses_what_does_not_fit(change, said):
    given = {"X": sparse.csr_matrix((2, 5)), "V": np.ones((5, 3)), "prior": np.zeros((2, 3)), "covariance": np.eye(3)}
    with pytest.raises(ColdstartError, match=said):
        posterior(**given | {"noise": 1.0} | change)


def test_ask_first_gains_most_at_every_step():
    V, C, noise = rng().standard_normal((7, 3)), np.diag([3.0, 1.0, 0.2]), 0.5
    volume = lambda items: np.linalg.slogdet(np.linalg.inv(C) + V[items].T @ V[items] / noise)[1]  # noqa: E731
    asked = ask_first(V, C, 4, noise=noise).tolist()
    assert len(set(asked)) == 4
    for n in range(4):
        left = [item for item in range(7) if item not in asked[:n]]
        assert asked[n] == max(left, key=lambda item: volume([*asked[:n], item]))


def test_with_a_goal_ask_first_leaves_the_least_variance_of_the_scores():
    V, C, noise = rng().standard_normal((7, 3)), np.diag([3.0, 1.0, 0.2]), 0.5
    goal = V.T @ V
    left = lambda items: np.trace(goal @ np.linalg.inv(np.linalg.inv(C) + V[items].T @ V[items] / noise))  # noqa: E731
    asked = ask_first(V, C, 4, noise=noise, goal=goal).tolist()
    for n in range(4):
        others = [item for item in range(7) if item not in asked[:n]]
        assert asked[n] == min(others, key=lambda item: left([*asked[:n], item]))


@pytest.mark.parametrize("n", [0, 8])
def test_ask_first_refuses_more_questions_than_items(n):
    with pytest.raises(ColdstartError, match="expected 1 to 7 items"):
        ask_first(np.ones((7, 2)), np.eye(2), n, noise=1.0)
