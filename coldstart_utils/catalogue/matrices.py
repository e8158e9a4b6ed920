"""Numbers as they come, made what the code means by them: any type, layout and order, finite, stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..ground import ColdstartError

Array = np.ndarray
Matrix = Any  # a NumPy array, a SciPy sparse matrix, or what NumPy reads as an array


def floats(values: Any, name: str = "numbers") -> Array:
    """Return `values` as a dense array of floating numbers, of the same shape: float32 stays, all else becomes float64.

    Booleans count as 0 and 1, and small integers do not overflow later. Raises ColdstartError for anything that is no
    number, for NaN and for infinity.
    """
    array = values.toarray() if sparse.issparse(values) else np.asarray(values)
    array = array.astype(_floating(array.dtype, name), copy=False)
    _finite(array, name)
    return array


def rows_of(matrix: Matrix, name: str = "numbers") -> Matrix:
    """Return features [n, d] as `floats`, or, where they are sparse, as a CSR matrix of floating numbers."""
    if not sparse.issparse(matrix):
        return floats(matrix, name)
    return stored(matrix, name)


def stored(matrix: Matrix, name: str = "ratings") -> sparse.csr_matrix:
    """Return the stored entries of a matrix as CSR of floating numbers, sorted, repeated ones added: a stored 0 stays.

    For ratings, where a 0 is a rating. Raises ColdstartError for NaN, infinity, and what is no number.
    """
    matrix = matrix if sparse.issparse(matrix) else sparse.csr_matrix(floats(matrix, name))
    kind = _floating(matrix.dtype, name)
    if isinstance(matrix, sparse.csr_matrix) and matrix.dtype == kind and matrix.has_canonical_format:
        result = matrix
    else:
        # Both may work in place, on what belongs to the caller.
        result = sparse.csr_matrix(matrix, dtype=kind, copy=True)
        result.sum_duplicates()
    _finite(result.data, name)
    return result


def feedback(matrix: Matrix, name: str = "interactions") -> sparse.csr_matrix:
    """Return interactions [users, items] as CSR of floating numbers, sorted, repeated ones added, without zeros.

    A 0 says that nobody chose, stored or not. Raises ColdstartError for NaN, infinity, and what is no number.
    """
    result = stored(matrix, name)
    if result.nnz and not result.data.all():
        result = result.copy()
        result.eliminate_zeros()
    return result


def entries_at(values: Matrix, pattern: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return those stored entries of `values` [users, items] where `pattern` has one, zeros among them."""
    own = stored(values)
    return entries_where(own, _stored_in(own, pattern))


def entries_where(matrix: sparse.sparray, kept: Array) -> sparse.csr_matrix:
    """Return a sparse matrix with those of its stored entries for which the mask `kept` [stored] is true, zeros among
    them; the mask is in the order of `matrix.tocoo()`, row by row for CSR.
    """
    own = matrix.tocoo()
    return sparse.csr_matrix((own.data[kept], (own.row[kept], own.col[kept])), shape=own.shape)


def entries_less(matrix: sparse.csr_matrix, other: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return those stored entries of `matrix` [users, items] where `other` has none, zeros among them."""
    return entries_where(matrix, ~_stored_in(matrix, other))


def _stored_in(matrix: sparse.csr_matrix, other: sparse.csr_matrix) -> Array:
    """Return for each stored entry of `matrix` whether `other` stores one at the same place [stored]."""
    own, asked, width = matrix.tocoo(), other.tocoo(), np.int64(matrix.shape[1])
    return np.isin(own.row * width + own.col, asked.row * width + asked.col)


def place_in_row(row: Array, rng: np.random.Generator) -> Array:
    """Return the place 0, 1, … of each entry in a random order of the entries with the same `row` [entries]."""
    order = np.lexsort([rng.random(len(row)), row])
    ordered, place = row[order], np.empty(len(row), int)
    place[order] = np.arange(len(row)) - np.searchsorted(ordered, ordered)
    return place


def some_of_each_row(matrix: sparse.csr_matrix, k: int | Array, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return k random entries of every row, or k[row] of each (all of them where there are fewer)."""
    row = matrix.tocoo().row
    return entries_where(matrix, place_in_row(row, rng) < np.broadcast_to(k, matrix.shape[:1])[row])


def places(index: Any, n: int, name: str = "items") -> Array:
    """Return row numbers [m] from row numbers or from a mask [n]; ColdstartError for one outside 0 to n − 1."""
    index = np.asarray(index)
    mask = index.dtype == bool
    if mask and len(index) == n:
        return np.flatnonzero(index)
    # An empty list is an array of floating numbers.
    whole = index.astype(np.intp)
    if mask or not np.array_equal(whole, index) or (index.size and not 0 <= whole.min() <= whole.max() < n):
        raise ColdstartError(f"{name}: expected row numbers of 0 to {n - 1}, or a mask of {n}")
    return whole


def _floating(kind: np.dtype, name: str) -> Any:
    if kind.kind not in "biuf":
        raise ColdstartError(f"{name}: expected numbers, found the type {kind}")
    return np.float32 if kind == np.float32 else np.float64


def _finite(array: Array, name: str) -> None:
    if not np.isfinite(array).all():
        raise ColdstartError(f"{name}: expected finite numbers, found NaN or infinity")
