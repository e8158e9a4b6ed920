"""Floor 2: least squares, from one closed form to factors for items that nobody has rated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import linalg, sparse

from .runtime import ColdstartError

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix

# --- One equation ----------------------------------------------------------------------------------------------------


def ridge(X: Matrix, Y: Array, reg: float) -> Array:
    """Return W [d, t] that minimises ‖XW − Y‖² + reg·‖W‖² (Hoerl & Kennard 1970), X [n, d], Y [n, t].

    W = (XᵀX + reg·I)⁻¹XᵀY, or the same through the smaller system W = Xᵀ(XXᵀ + reg·I)⁻¹Y when n < d.
    Raises ColdstartError if `reg` is not positive.
    """
    _positive(reg)
    n, d = X.shape
    if n < d:
        return X.T @ kernel_ridge(_dense(X @ X.T), Y, reg)
    return _solve(_dense(X.T @ X), X.T @ Y, reg)


def kernel_ridge(K: Array, Y: Array, reg: float) -> Array:
    """Return the dual weights A = (K + reg·I)⁻¹Y [n, t]; predictions for new rows are K_new A. K [n, n] = XXᵀ.

    Raises ColdstartError if `reg` is not positive.
    """
    _positive(reg)
    return _solve(K, Y, reg)


def _solve(gram: Array, right: Array, reg: float) -> Array:
    gram = gram.copy()
    gram.flat[:: len(gram) + 1] += reg
    return linalg.solve(gram, right, assume_a="pos", overwrite_a=True)


def _positive(value: float, name: str = "reg") -> None:
    if not value > 0:
        raise ColdstartError(f"{name}: expected a number above 0, got {value!r}")


def _dense(matrix: Matrix) -> Array:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


# --- Item-item least squares: the collaborative teacher --------------------------------------------------------------


def ease(X: sparse.csr_matrix, reg: float) -> Array:
    """Return item-item weights B [items, items] with zero diagonal that minimise ‖X − XB‖² + reg·‖B‖² (EASE, Steck
    2019).

    B = I − P·diag(1/P_ii), P = (XᵀX + reg·I)⁻¹. Scores of all users are X @ B.
    """
    _positive(reg)
    P = linalg.inv(_dense(X.T @ X) + reg * np.eye(X.shape[1]), overwrite_a=True, assume_a="pos")
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


# --- Content of items ------------------------------------------------------------------------------------------------


def content_kernel(blocks: Sequence[Matrix], weights: Sequence[float] | None = None) -> Array:
    """Return K [items, items] = Σ_b w_b X_b X_bᵀ over blocks of item features, each row scaled to unit length in each
    block.

    Blocks add like kernels: long texts cannot drown genre and year. A row of zeros stays zero. A weight (else 1) is a
    penalty: ridge on K shrinks block b by reg/w_b. Raises ColdstartError for no block, or weights that do not fit.
    """
    if not blocks:
        raise ColdstartError("content_kernel: expected at least one block of item features")
    weights = [1.0] * len(blocks) if weights is None else list(weights)
    if len(weights) != len(blocks) or not all(0 <= weight < np.inf for weight in weights):
        raise ColdstartError(f"content_kernel: expected {len(blocks)} weights of 0 or more, got {weights}")
    return sum(w * _dense(unit @ unit.T) for w, unit in zip(weights, map(unit_rows, blocks)))


def product_kernel(K: Array, spread: float = 1.0) -> Array:
    """Return s·exp(−D²/(spread·s)) [items, items], D²_ij = K_ii + K_jj − 2K_ij, s the mean of K_ii: a Gaussian kernel.

    Of a sum K = Σ_b K_b it is a product over blocks: in K one block can make two items alike, here all must agree
    (Shawe-Taylor & Cristianini 2004, ch. 3); the wider the spread, the nearer to the sum. Raises ColdstartError if K
    is zero everywhere or `spread` not positive.
    """
    _positive(spread, "spread")
    diagonal = np.diagonal(K)
    _positive(scale := float(diagonal.mean()), "product_kernel: the mean of the diagonal of K")
    return scale * np.exp((2 * K - diagonal[:, None] - diagonal) / (spread * scale))


def unit_rows(matrix: Matrix) -> Matrix:
    """Return the matrix [n, d], dense or sparse, with every row scaled to length 1; a row of zeros stays zero."""
    if sparse.issparse(matrix):
        return sparse.diags_array(1 / np.maximum(sparse.linalg.norm(matrix, axis=1), 1e-12)) @ matrix
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)


def neighbour_scores(X: sparse.csr_matrix, K: Array, warm: Array, cold: Array, k: int) -> Array:
    """Return scores [users, cold]: for each cold item the summed similarity of its k nearest warm items the user chose.

    K [items, items] is a similarity, X [users, items] the interactions. Warm items that tie for the last of the k
    places (shared genres) share them in equal parts: no order of ids may choose, and no item get more neighbours.
    """
    similarity = K[np.ix_(warm, cold)]
    k = min(k, len(warm))
    cut = np.partition(similarity, len(warm) - k, axis=0)[len(warm) - k]
    above, tied = similarity > cut + 1e-9, np.abs(similarity - cut) <= 1e-9
    share = (k - above.sum(axis=0)) / tied.sum(axis=0)
    return X[:, warm] @ (similarity * (above + tied * share))


def bridge(K: Array, targets: Array, warm: Array, new: Array, reg: float) -> Array:
    """Return what `targets` [warm, t] of the warm items say about `new` items [new, t], by ridge on their content.

    targets are item parts of a collaborative model: factors, so that an item nobody has rated gets one (Gantner et al.
    2010), or the weights of a teacher to distil. K[new, warm] (K[warm, warm] + reg·I)⁻¹ targets, ridge by its kernel
    (Saunders et al. 1998).
    """
    inside, across = K[np.ix_(warm, warm)], K[np.ix_(new, warm)]
    if targets.shape[1] > len(new):
        return kernel_ridge(inside, across.T, reg).T @ targets
    return across @ kernel_ridge(inside, targets, reg)


def left_out(K: Array, targets: Array, warm: Array, reg: float) -> Array:
    """Return by how much a `bridge` misses each warm item that it did not learn from [warm, t], all in one solve.

    The leave-one-out residual of ridge is (A·targets)_i / A_ii, A = (K[warm, warm] + reg·I)⁻¹ (PRESS, Allen 1974).
    """
    _positive(reg)
    A = linalg.inv(K[np.ix_(warm, warm)] + reg * np.eye(len(warm)), overwrite_a=True, assume_a="pos")
    return A @ targets / np.diag(A)[:, None]


def teachers(
    X: sparse.csr_matrix, *, rank: int = 64, reg: float = 10.0, ease_reg: float = 300.0
) -> dict[str, tuple[Matrix, Array]]:
    """Return collaborative models of X [users, warm items] as (user part, item part) whose product is the scores.

    'ALS' gives (U [users, rank], V [warm, rank]), 'EASE' gives (X, Bᵀ [warm, warm]). A `bridge` of the item part to
    cold items carries either over.
    """
    als = als_implicit(X, rank=min(rank, *X.shape), reg=reg, sweeps=8)
    return {"ALS": (als.U, als.V), "EASE": (X, ease(X, ease_reg).T)}


def principal_scores(users: Matrix, items: Array, rank: int) -> tuple[Array, Array]:
    """Return P [users, rank] with orthonormal columns and T [items, rank] so that P Tᵀ comes nearest to users @ itemsᵀ.

    The best approximation of that rank (Eckart & Young 1936). Since P keeps lengths, an error in a row of T is the
    error in the scores of that item for all users: the measure by which a student of a teacher is to be judged.
    """
    P, s, Qt = linalg.svd(users @ items.T, full_matrices=False)
    return P[:, :rank], Qt[:rank].T * s[:rank]


def collaborative_targets(
    train: sparse.csr_matrix, ratings: sparse.csr_matrix | None = None
) -> tuple[Array, dict[str, tuple[Array, Array]], Array]:
    """Return the warm items of `train` [users, items], what two teachers learnt of them, and both as one target.

    'chosen' is EASE; 'liked', where there are `ratings` [users, items], explicit ALS on those of the pairs in `train`.
    Each is (P, T) of `principal_scores`, T [warm, 64 or 16]. The target [items, sum] holds every T at a mean squared
    length of 1 a row, and zeros for items without interactions.
    """
    warm = np.flatnonzero(np.diff(train.tocsc().indptr))
    X = train[:, warm]
    parts = {"chosen": principal_scores(X, ease(X, 300.0).T, 64)}
    if ratings is not None:
        R = ratings.multiply(train > 0).tocsr()[:, warm]
        als = als_explicit(R, rank=min(20, *R.shape), reg=0.1)
        parts["liked"] = principal_scores(np.c_[np.ones(len(als.U)), als.U], np.c_[als.item_bias, als.V], 16)
    targets = np.zeros((train.shape[1], sum(T.shape[1] for _, T in parts.values())), np.float32)
    targets[warm] = np.hstack([T / np.sqrt((T**2).sum(axis=1).mean()) for _, T in parts.values()])
    return warm, parts, targets


def bridged(
    Z: Array, warm: Array, parts: Mapping[str, tuple[Array, Array]], reg: float
) -> dict[str, Callable[[Array, Array], Array]]:
    """Return for each of the `parts` (P, T [warm, t]) the scorer P[u]·t, t by the `bridge` on vectors Z [items, d]."""
    K = Z @ Z.T
    return {
        task: lambda users, items, P=P, T=T: P[users] @ bridge(K, T, warm, items, reg).T
        for task, (P, T) in parts.items()
    }


# --- Alternating least squares ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factors:
    """U [users, rank], V [items, rank] and, for explicit ratings, `mean`, `user_bias` [users], `item_bias` [items].

    `objective` holds its value after every sweep, if it was asked for by `trace=True`.
    """

    U: Array
    V: Array
    mean: float
    user_bias: Array
    item_bias: Array
    objective: tuple[float, ...]

    def predict(self, users: Array, items: Array) -> Array:
        """Return the predicted ratings or preferences [n] of pairs (users [n], items [n])."""
        dot = np.einsum("nk,nk->n", self.U[users], self.V[items])
        return self.mean + self.user_bias[users] + self.item_bias[items] + dot

    def score(self, users: Array, items: Array) -> Array:
        """Return the predictions [len(users), len(items)] of every pair."""
        return self.mean + self.user_bias[users, None] + self.item_bias[items] + self.U[users] @ self.V[items].T


def als_implicit(
    X: sparse.csr_matrix,
    *,
    rank: int,
    reg: float,
    alpha: float = 1.0,
    sweeps: int = 10,
    seed: int = 0,
    solver: str = "exact",
    trace: bool = False,
) -> Factors:
    """Return factors of implicit feedback X [users, items] >= 0 (Hu, Koren & Volinsky 2008).

    Minimises Σ_ui c_ui (p_ui − x_u·y_i)² + reg·(Σ‖x_u‖² + Σ‖y_i‖²), p = [X > 0], c = 1 + alpha·X, over all pairs.
    `solver` is 'exact', or 'cg': two conjugate-gradient steps a row, compiled (extra `[fast]`, Takács et al. 2011). A
    row without an interaction gets zeros. Raises ColdstartError for a bad rank, reg, solver, or negative feedback.
    """
    _positive(reg)
    _positive(alpha, "alpha")
    _check(X, rank, solver)
    if X.nnz and X.data.min() < 0:
        raise ColdstartError("als_implicit: expected feedback of 0 or more, found a negative value")
    X = sparse.csr_matrix(X, copy=True)
    X.eliminate_zeros()
    X, XT, U, V = _start(X, rank, seed)
    history = []
    for _ in range(sweeps):
        U = _implicit_half(X, U, V, reg, alpha, solver)
        V = _implicit_half(XT, V, U, reg, alpha, solver)
        if trace:
            history.append(implicit_objective(X, U, V, reg, alpha))
    zeros = np.zeros(X.shape[0]), np.zeros(X.shape[1])
    return Factors(U, V, 0.0, *zeros, tuple(history))


def _implicit_half(X: sparse.csr_matrix, old: Array, V: Array, reg: float, alpha: float, solver: str) -> Array:
    gram = V.T @ V
    gram.flat[:: len(gram) + 1] += reg
    if solver == "cg":
        from .fast import implicit_cg

        return implicit_cg(X.indptr, X.indices, X.data, old, V, gram, alpha, 2)
    weight = alpha * X.data
    return solve_rows(X, 1 / weight, (1 + weight) / weight, V, gram)


def implicit_objective(X: sparse.csr_matrix, U: Array, V: Array, reg: float, alpha: float) -> float:
    """Return the objective of `als_implicit`, in time and memory that grow with interactions, not pairs."""
    everywhere = np.vdot(U.T @ U, V.T @ V)
    total = 0.0
    for rows in _slices(X.indptr, 2_000_000 // V.shape[1] + 1):
        part = slice(X.indptr[rows.start], X.indptr[rows.stop])
        user = np.repeat(np.arange(rows.start, rows.stop), np.diff(X.indptr[rows.start : rows.stop + 1]))
        dot = np.einsum("nk,nk->n", U[user], V[X.indices[part]]).astype(float)
        total += float(((1 + alpha * X.data[part]) * (1 - dot) ** 2 - dot**2).sum())
    return float(everywhere + total + reg * (np.vdot(U, U) + np.vdot(V, V)))


def als_explicit(
    R: sparse.csr_matrix,
    *,
    rank: int,
    reg: float,
    bias_reg: float = 5.0,
    sweeps: int = 15,
    seed: int = 0,
    trace: bool = False,
) -> Factors:
    """Return damped biases and factors of explicit ratings R [users, items]; every stored entry is a rating.

    First the biases (mean, then items, then users, each damped by `bias_reg` ratings; Koren 2009), then factors of
    what they leave: Σ_known (r − u·v)² + reg·(Σ n_u‖u‖² + Σ n_i‖v‖²), weighted by degree (ALS-WR, Zhou et al. 2008).
    """
    _positive(reg)
    _check(R, rank, "exact")
    mean, user_bias, item_bias = damped_biases(R, bias_reg)
    rest = R.tocoo()
    rest = sparse.csr_matrix(
        (rest.data - mean - user_bias[rest.row] - item_bias[rest.col], (rest.row, rest.col)), shape=R.shape
    )
    rest, restT, U, V = _start(rest, rank, seed)
    history = []
    for _ in range(sweeps):
        U = _explicit_half(rest, V, reg)
        V = _explicit_half(restT, U, reg)
        if trace:
            history.append(explicit_objective(rest, U, V, reg))
    return Factors(U, V, mean, user_bias, item_bias, tuple(history))


def _explicit_half(R: sparse.csr_matrix, V: Array, reg: float) -> Array:
    damping = reg * np.repeat(np.diff(R.indptr), np.diff(R.indptr)).astype(V.dtype)
    return solve_rows(R, damping, R.data, V, np.eye(V.shape[1], dtype=V.dtype))


def explicit_objective(R: sparse.csr_matrix, U: Array, V: Array, reg: float) -> float:
    """Return the objective of `als_explicit` for the residual ratings R."""
    coo = R.tocoo()
    error = coo.data - np.einsum("nk,nk->n", U[coo.row], V[coo.col])
    degree_u, degree_i = np.diff(R.indptr), np.bincount(coo.col, minlength=R.shape[1])
    return float(error @ error + reg * (degree_u @ (U**2).sum(1) + degree_i @ (V**2).sum(1)))


def damped_biases(R: sparse.csr_matrix, damping: float) -> tuple[float, Array, Array]:
    """Return the mean rating, user biases [users] and item biases [items], shrunk as if by `damping` ratings of 0."""
    coo = R.tocoo()
    mean = float(coo.data.mean())
    rest = coo.data - mean
    item_bias = np.bincount(coo.col, rest, R.shape[1]) / (np.bincount(coo.col, minlength=R.shape[1]) + damping)
    rest = rest - item_bias[coo.col]
    user_bias = np.bincount(coo.row, rest, R.shape[0]) / (np.bincount(coo.row, minlength=R.shape[0]) + damping)
    return mean, user_bias, item_bias


def fold_in(X: sparse.csr_matrix, V: Array, *, reg: float, alpha: float = 1.0) -> Array:
    """Return the factors [rows of X, rank] of new users from their interactions with known items V [items, rank].

    One half sweep of `als_implicit`; transposed, X.T and U fold in new items. A row without interactions gets zeros.
    Raises ColdstartError for a bad reg, another number of items than V has, or values that are negative or not finite.
    """
    _positive(reg)
    _positive(alpha, "alpha")
    if X.shape[1] != len(V):
        raise ColdstartError(f"fold_in: expected interactions with {len(V)} items, got {X.shape[1]} columns")
    X = sparse.csr_matrix(X, dtype=V.dtype, copy=True)
    X.eliminate_zeros()
    if X.nnz and not (np.isfinite(X.data).all() and X.data.min() >= 0):
        raise ColdstartError("fold_in: expected feedback of 0 or more, found a negative value or NaN")
    return _implicit_half(X, np.zeros((X.shape[0], V.shape[1]), V.dtype), V, reg, alpha, "exact")


def empirical_prior(factors: Array, old: Array, K: Array | None = None, *, reg: float = 10.0) -> tuple[Array, Array]:
    """Return what is believed of all n factors before a rating: means [n, rank] and one covariance [rank, rank].

    `factors` [n, rank] are known for the rows `old`. The mean is a `bridge` from K [n, n] around their average (only
    the average without K), the covariance that of its misses when left out: empirical Bayes (Efron & Morris 1975).
    """
    mean = np.tile(factors[old].mean(axis=0, dtype=float), (len(factors), 1))
    misses = factors[old] - mean[old]
    if K is not None:
        mean += bridge(K, misses, old, np.arange(len(factors)), reg)
        misses = left_out(K, misses, old, reg)
    covariance = np.cov(misses.T)
    # Factors may lie in fewer directions than they have numbers; the others get a thousandth of the mean spread.
    return mean, covariance + 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def posterior(
    X: sparse.csr_matrix, V: Array, prior: Array, covariance: Array, *, noise: float, silence: float = 0.0
) -> Array:
    """Return the posterior means [rows of X, rank] of factors x ~ N(prior, covariance) after the answers stored in X.

    An answer y_j (1 yes, a stored 0 no) about V_j is x·V_j and noise of variance `noise`. With J the answered, x = m +
    (noise·Λ + V_JᵀV_J)⁻¹V_Jᵀ(y − V_J m), Bayesian linear regression (Lindley & Smith 1972). Λ = covariance⁻¹, m =
    prior; `silence` counts every item as a no with that weight beforehand, Λ += silence·VᵀV, m = Λ⁻¹covariance⁻¹prior.
    Without it a row without answers keeps its prior [rows of X, rank]. Raises ColdstartError for shapes that do not
    fit, NaN, a noise that is not positive or a negative silence.
    """
    _positive(noise, "noise")
    if not silence >= 0:
        raise ColdstartError(f"silence: expected a number of 0 or more, got {silence!r}")
    X, rank = sparse.csr_matrix(X, dtype=float), V.shape[1]
    shapes = {"answers": (X.shape[0], len(V)), "prior": (X.shape[0], rank), "covariance": (rank, rank)}
    for (name, expected), found in zip(shapes.items(), (X, prior, covariance)):
        if found.shape != expected:
            raise ColdstartError(f"posterior: expected {name} of shape {expected}, got {found.shape}")
        if not np.isfinite(found.data if found is X else found).all():
            raise ColdstartError(f"posterior: expected finite {name}, found NaN or infinity")
    inverse = linalg.inv(covariance)
    precision = inverse + silence * (V.T @ V)
    if silence:
        prior = prior @ linalg.solve(precision, inverse, assume_a="pos").T
    row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    unexplained = X.data - np.einsum("nk,nk->n", prior[row], V[X.indices])
    return prior + solve_rows(X, np.full(X.nnz, noise), unexplained, V, precision)


def ask_first(V: Array, covariance: Array, n: int, *, noise: float) -> Array:
    """Return the n items [n] whose answers shrink the uncertainty about x ~ N(m, covariance) fastest, first to last.

    Each next item has the largest v·C·v, C the covariance given the ones before: the greatest gain in log det C⁻¹, a
    greedy D-optimal design (Fedorov 1972). It needs no answers. Raises ColdstartError unless 1 <= n <= items.
    """
    _positive(noise, "noise")
    if not 1 <= n <= len(V):
        raise ColdstartError(f"ask_first: expected 1 to {len(V)} items, got {n!r}")
    C, chosen = covariance.astype(float), []
    for _ in range(n):
        gain = np.einsum("nk,nk->n", V @ C, V)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        seen = C @ V[chosen[-1]]
        C = C - np.outer(seen, seen) / (noise + seen @ V[chosen[-1]])
    return np.array(chosen)


def solve_rows(X: sparse.csr_matrix, e: Array, f: Array, V: Array, Q: Array) -> Array:
    """Return x [rows, rank] that minimises Σ_J (v_j·x − f_j)²/e_j + xᵀQx for every row of X, with entries at items J.

    `e` and `f` stand in the order of X.data, Q [rank, rank] is positive definite. Z = V·L⁻ᵀ, with Q = LLᵀ, turns Q into
    the identity; with B = E^-½ Z_J and g = E^-½ f the solution is (I + BᵀB)⁻¹Bᵀg, a system of size rank, and just as
    well Bᵀ(I + BBᵀ)⁻¹g, one of size |J|: the push-through identity. Each row takes the smaller.
    """
    back = linalg.inv(linalg.cholesky(Q.astype(float), lower=True))
    Z = (V @ back.T).astype(V.dtype)
    scale = (1 / np.sqrt(e)).astype(V.dtype)
    g = (f * scale).astype(V.dtype)
    # One LAPACK call a row: Cholesky is half the work of numpy.linalg.solve, and rows of any length need no padding.
    (posv,) = linalg.get_lapack_funcs(("posv",), (Z,))

    def solve(gram: Array, right: Array) -> Array:
        gram.flat[:: len(gram) + 1] += 1
        return posv(gram.T, right, overwrite_a=True)[1]

    result = np.zeros((X.shape[0], V.shape[1]), V.dtype)
    for row, (begin, end) in enumerate(pairwise(X.indptr.tolist())):
        if begin == end:
            continue
        B, right = Z[X.indices[begin:end]] * scale[begin:end, None], g[begin:end]
        small = len(B) < B.shape[1]
        result[row] = solve(B @ B.T, right) @ B if small else solve(B.T @ B, right @ B)
    return result @ back.astype(V.dtype)


def _slices(indptr: Array, entries: int) -> Iterator[slice]:
    start, rows = 0, len(indptr) - 1
    while start < rows:
        stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + entries, side="right")) - 1)
        yield slice(start, min(stop, rows))
        start = stop


def _start(X: sparse.csr_matrix, rank: int, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix, Array, Array]:
    X = sparse.csr_matrix(X, dtype=np.float32)
    XT = X.T.tocsr()
    rng = np.random.default_rng(seed)
    U, V = (rng.standard_normal((n, rank), np.float32) * 0.1 for n in X.shape)
    # A start value that no interaction ever corrects would stay in the objective and be recommended from.
    U[np.diff(X.indptr) == 0] = 0
    V[np.diff(XT.indptr) == 0] = 0
    return X, XT, U, V


def _check(X: sparse.csr_matrix, rank: int, solver: str) -> None:
    if not 1 <= rank <= min(X.shape):
        raise ColdstartError(f"rank: expected 1 to {min(X.shape)}, got {rank!r}")
    if solver not in ("exact", "cg"):
        raise ColdstartError(f"solver: expected 'exact' or 'cg', got {solver!r}")
    if X.nnz and not np.isfinite(X.data).all():
        raise ColdstartError("interactions: expected finite numbers, found NaN or infinity")
