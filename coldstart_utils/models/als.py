"""Alternating least squares: factors of users and items, and fold-in of new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..catalogue.matrices import feedback, floats, stored
from ..ground import ColdstartError
from .least_squares import check_positive, solve_rows

Array = np.ndarray


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


# --- Implicit feedback ------------------------------------------------------------------------------------------------


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
    row without an interaction gets zeros. Raises ColdstartError for a bad rank, reg, sweeps or solver, and for negative
    feedback.
    """
    check_positive(reg)
    check_positive(alpha, "alpha")
    X = feedback(X)
    _check(X, rank, sweeps, solver)
    if X.nnz and X.data.min() < 0:
        raise ColdstartError("als_implicit: expected feedback of 0 or more, found a negative value")
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
        from .compiled import implicit_cg

        return implicit_cg(X.indptr, X.indices, X.data, old, V, gram, alpha, 2)
    weight = alpha * X.data
    return solve_rows(X, 1 / weight, (1 + weight) / weight, V, gram)


def implicit_objective(X: sparse.csr_matrix, U: Array, V: Array, reg: float, alpha: float) -> float:
    """Return the objective of `als_implicit` for X [users, items], U [users, rank] and V [items, rank].

    Time and memory grow with the interactions, not with the pairs.
    """
    X, U, V = feedback(X), floats(U, "factors"), floats(V, "factors")
    everywhere = np.vdot(U.T @ U, V.T @ V)
    total = 0.0
    for rows in _slices(X.indptr, 2_000_000 // V.shape[1] + 1):
        part = slice(X.indptr[rows.start], X.indptr[rows.stop])
        user = np.repeat(np.arange(rows.start, rows.stop), np.diff(X.indptr[rows.start : rows.stop + 1]))
        dot = np.einsum("nk,nk->n", U[user], V[X.indices[part]]).astype(float)
        total += float(((1 + alpha * X.data[part]) * (1 - dot) ** 2 - dot**2).sum())
    return float(everywhere + total + reg * (np.vdot(U, U) + np.vdot(V, V)))


def fold_in(X: sparse.csr_matrix, V: Array, *, reg: float, alpha: float = 1.0, prior: Array | None = None) -> Array:
    """Return the factors [rows of X, rank] of new users from their interactions with known items V [items, rank].

    One half sweep of `als_implicit`; transposed, X.T and U fold in new items. The penalty reg·‖x − prior‖² pulls to
    the rows of `prior` [rows of X, rank], without it to zero, where a row without interactions stays. Others call it
    `recalculate_user` (implicit) or `new_user_embedding` (LensKit). Raises ColdstartError for a bad reg, shapes that do
    not fit, or interactions that are negative or not finite.
    """
    check_positive(reg)
    check_positive(alpha, "alpha")
    if X.shape[1] != len(V):
        raise ColdstartError(f"fold_in: expected interactions with {len(V)} items, got {X.shape[1]} columns")
    V = floats(V, "fold_in: V")
    X = feedback(X, "fold_in: interactions").astype(V.dtype)
    if X.nnz and not X.data.min() >= 0:
        raise ColdstartError("fold_in: expected feedback of 0 or more, found a negative value")
    if prior is None:
        return _implicit_half(X, np.zeros((X.shape[0], V.shape[1]), V.dtype), V, reg, alpha, "exact")
    prior = floats(prior, "fold_in: prior").astype(V.dtype, copy=False)
    if prior.shape != (X.shape[0], V.shape[1]):
        raise ColdstartError(f"fold_in: expected a prior of shape {(X.shape[0], V.shape[1])}, got {prior.shape}")
    return _around(X, V, reg, alpha, prior)


def _around(X: sparse.csr_matrix, V: Array, reg: float, alpha: float, prior: Array) -> Array:
    """Return the half sweep with the penalty reg·‖x − prior‖².

    All pairs count as a 0 of weight 1 first: that moves the prior to (VᵀV + reg·I)⁻¹·reg·prior. What interactions add
    is solved around it.
    """
    gram = V.T @ V
    gram.flat[:: len(gram) + 1] += reg
    start = np.linalg.solve(gram.astype(float), reg * prior.T.astype(float)).T.astype(V.dtype)
    weight = alpha * X.data
    row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    already = np.einsum("nk,nk->n", start[row], V[X.indices])
    return start + solve_rows(X, 1 / weight, (1 + weight) / weight - already, V, gram)


# --- Explicit ratings -------------------------------------------------------------------------------------------------


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
    Raises ColdstartError for a bad rank, reg, bias_reg or sweeps, without a rating, and where `reg` is so small for
    such ratings that float32 cannot solve.
    """
    check_positive(reg)
    R = stored(R)
    _check(R, rank, sweeps, "exact")
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
    factors = solve_rows(R, damping, R.data, V, np.eye(V.shape[1], dtype=V.dtype))
    if not np.isfinite(factors).all():
        largest = float(np.abs(R.data).max())
        raise ColdstartError(f"als_explicit: ratings that differ by {largest:.2g} need a larger reg than {reg:g}")
    return factors


def explicit_objective(R: sparse.csr_matrix, U: Array, V: Array, reg: float) -> float:
    """Return the objective of `als_explicit` for what the biases leave of the ratings, R [users, items], and for
    factors U [users, rank] and V [items, rank].
    """
    R, U, V = stored(R), floats(U, "factors"), floats(V, "factors")
    coo = R.tocoo()
    error = coo.data - np.einsum("nk,nk->n", U[coo.row], V[coo.col])
    degree_u, degree_i = np.diff(R.indptr), np.bincount(coo.col, minlength=R.shape[1])
    return float(error @ error + reg * (degree_u @ (U**2).sum(1) + degree_i @ (V**2).sum(1)))


def damped_biases(R: sparse.csr_matrix, damping: float) -> tuple[float, Array, Array]:
    """Return the mean rating, user biases [users] and item biases [items], shrunk as if by `damping` ratings of 0.

    Items come first, users explain what is left (Koren 2009). R [users, items]; every stored entry is a rating. Raises
    ColdstartError for a negative damping, and without a rating.
    """
    if not 0 <= damping < np.inf:
        raise ColdstartError(f"damping: expected a number of 0 or more, got {damping!r}")
    coo = stored(R).tocoo()
    if not coo.nnz:
        raise ColdstartError("ratings: expected at least one, found none")
    mean = float(coo.data.mean(dtype=float))
    rest = coo.data - mean
    item_bias = _damped_means(coo.col, rest, coo.shape[1], damping)
    user_bias = _damped_means(coo.row, rest - item_bias[coo.col], coo.shape[0], damping)
    return mean, user_bias, item_bias


def _damped_means(group: Array, values: Array, n: int, damping: float) -> Array:
    count = np.bincount(group, minlength=n) + damping
    # Without damping, a row without ratings would be 0/0.
    return np.bincount(group, values, n) / np.where(count > 0, count, 1)


# --- Helpers ----------------------------------------------------------------------------------------------------------


def _slices(indptr: Array, entries: int) -> Iterator[slice]:
    start, rows = 0, len(indptr) - 1
    while start < rows:
        stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + entries, side="right")) - 1)
        yield slice(start, min(stop, rows))
        start = stop


def _start(X: sparse.csr_matrix, rank: int, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix, Array, Array]:
    X = sparse.csr_matrix(X, dtype=np.float32)
    if not np.isfinite(X.data).all():
        raise ColdstartError("interactions: expected numbers that single precision can hold, found a larger one")
    XT = X.T.tocsr()
    rng = np.random.default_rng(seed)
    U, V = (rng.standard_normal((n, rank), np.float32) * 0.1 for n in X.shape)
    # A start value that no interaction ever corrects would stay in the objective and be recommended from.
    U[np.diff(X.indptr) == 0] = 0
    V[np.diff(XT.indptr) == 0] = 0
    return X, XT, U, V


def _check(X: sparse.csr_matrix, rank: int, sweeps: int, solver: str) -> None:
    if sweeps < 0:
        raise ColdstartError(f"sweeps: expected 0 or more, got {sweeps!r}")
    if not 1 <= rank <= min(X.shape):
        raise ColdstartError(f"rank: expected 1 to {min(X.shape)}, got {rank!r}")
    if solver not in ("exact", "cg"):
        raise ColdstartError(f"solver: expected 'exact' or 'cg', got {solver!r}")
