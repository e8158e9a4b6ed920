"""What a bridge and its teacher would say of known items, had they never seen them: exact, and nothing is refitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from ..catalogue.matrices import feedback, floats, places
from ..ground import ColdstartError
from .least_squares import check_positive, dense

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Group:
    """Known items that play new together: their places `items`, and those of the `others`, which stay known."""

    items: Array
    others: Array


def random_groups(n: int, parts: int, *, seed: int = 0) -> list[Group]:
    """Return `parts` groups of the items 0 … n − 1, in which each item plays new once.

    Raises ColdstartError unless 2 <= parts <= n.
    """
    if not 2 <= parts <= n:
        raise ColdstartError(f"random_groups: expected 2 to {n} parts of {n} items, got {parts!r}")
    shuffled = np.random.default_rng(seed).permutation(n)
    return [group_of(part, n) for part in np.array_split(shuffled, parts)]


def group_of(items: Array, n: int) -> Group:
    """Return the group in which `items` [m] of n known items play new."""
    items = np.unique(places(items, n))
    return Group(items, np.setdiff1d(np.arange(n), items))


def inverse(matrix: Array) -> Array:
    """Return the inverse of a symmetric positive definite matrix [n, n] in its own precision, by Cholesky.

    Raises ColdstartError if it is not positive definite.
    """
    matrix = floats(matrix, "inverse")
    potrf, potri = linalg.get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, wrong = potrf(matrix, lower=True, clean=True)
    if wrong:
        raise ColdstartError("inverse: expected a positive definite matrix; a larger penalty makes it one")
    return _mirrored(potri(factor, lower=True, overwrite_c=True)[0])


def _mirrored(half: Array, width: int = 256) -> Array:
    # Strip by strip, in place: what is read and written stays in the processor's cache.
    for begin in range(0, len(half), width):
        end = begin + width
        corner = half[begin:end, begin:end]
        corner += np.tril(corner, -1).T
        half[begin:end, end:] = half[end:, begin:end].T
    return half


def student_misses(K: Array, reg: float) -> Array:
    """Return M [n, n], by which a `bridge` on the kernel K [n, n] misses its targets Y [n, t]: the residuals are MY.

    M = reg·(K̃ + reg·I)⁻¹ − 11ᵀ/n with K̃ centred: ridge with an intercept, which M makes zero. Raises ColdstartError
    unless reg > 0.
    """
    check_positive(reg)
    K = floats(K, "kernel")
    mean = K.mean(axis=0)
    centred = K - mean - mean[:, None] + mean.mean()
    centred.flat[:: len(K) + 1] += K.dtype.type(reg)
    return K.dtype.type(reg) * inverse(centred) - K.dtype.type(1 / len(K))


def student_without(M: Array, group: Group) -> Array:
    """Return W [group, others]: the bridge that learnt from `others` alone says W·Y_others of the group's items.

    W = −M_gg⁻¹ M_go, M by `student_misses`: for a group of one this is PRESS (Allen 1974), for more An, Liu & Venkatesh
    (2007, Pattern Recognition 40).
    """
    own, across = M[np.ix_(group.items, group.items)], M[np.ix_(group.items, group.others)]
    return -linalg.solve(own, across, assume_a="pos")


def teacher(X: sparse.csr_matrix, penalty: float) -> Array:
    """Return P = (XᵀX + penalty·I)⁻¹ [items, items] of X [users, items], of which EASE is made (Steck 2019).

    In the precision of X. Raises ColdstartError unless penalty > 0.
    """
    check_positive(penalty, "penalty")
    X = feedback(X)
    gram = np.asarray(dense(X.T @ X), X.dtype)
    gram.flat[:: len(gram) + 1] += X.dtype.type(penalty)
    return inverse(gram)


@dataclass(frozen=True, eq=False)
class TeacherWithout:
    """EASE of the `group.others` alone, by its P = P_oo − P_og P_gg⁻¹ P_go, which is never written out.

    `known` is P_oo, `across` P_go, `solved` P_gg⁻¹ P_go, and `scale` the diagonal of the P wanted.
    """

    known: Array
    across: Array
    solved: Array
    scale: Array

    def carried(self, W: Array) -> Array:
        """Return V [others, group], so that X_others·V is what a student W [group, others] of this EASE says.

        EASE is B = I − P·diag(1/P_ii) (Steck 2019), and V = B·Wᵀ.
        """
        scaled = (W / self.scale).T
        return W.T - (self.known @ scaled - self.across.T @ (self.solved @ scaled))


def teacher_without(P: Array, group: Group) -> TeacherWithout:
    """Return EASE as if the group's items were not there, from P by `teacher` of all items."""
    across = P[np.ix_(group.items, group.others)]
    solved = linalg.solve(P[np.ix_(group.items, group.items)], across, assume_a="pos")
    scale = np.diagonal(P)[group.others] - np.einsum("go,go->o", across, solved)
    return TeacherWithout(P[np.ix_(group.others, group.others)], across, solved, scale)
