"""Vectorised operations on SciPy's CSR matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from isthmus.checked.sparse import checked_csr
from isthmus.disk.mapped import PIECE, constant, is_constant, pieces, room
from isthmus.errors import ValueRangeError

if TYPE_CHECKING:
    Csr = csr_array[np.float32, tuple[int, int]]
else:
    Csr = csr_array

Ints = npt.NDArray[np.integer[Any]]


def csr_of(rows: Ints, columns: Ints, values: npt.NDArray[np.float32], shape: tuple[int, int]) -> Csr:
    """Build a matrix from entries that are already distinct and sorted by row, then column.

    Args:
        rows: row of each entry, ascending.
        columns: column of each entry, ascending within a row.
        values: value of each entry.
        shape: (users, items).

    Returns:
        A canonical matrix.
    """
    ends = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=ends[1:])
    return csr_over(ends, columns, values, shape)


def csr_over(ends: Ints, columns: Ints, values: npt.NDArray[np.float32], shape: tuple[int, int]) -> Csr:
    """A matrix over arrays that are already sorted, without copying them.

    Args:
        ends: start of the entries of each row and, after the last row, their end.
        columns: column of each entry, ascending within a row.
        values: value of each entry.
        shape: (users, items).

    Returns:
        A canonical matrix.
    """
    # SciPy needs the same type for both; int32 is used if it can count the entries.
    index = np.int32 if max(len(columns), *shape) < 2**31 else np.int64
    matrix: Csr = csr_array((values, columns.astype(index, copy=False), ends.astype(index)), shape=shape)
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def as_csr(matrix: Any) -> tuple[Csr, int]:
    """Copy a SciPy matrix to float32 CSR, with duplicates summed and zeros dropped; also return its number of entries.

    Raises:
        InputError: not two-dimensional, not real numbers, or inconsistent parts.
        ValueRangeError: a value that is negative or not finite, or an entry outside the matrix.
    """
    taken = checked_csr(matrix)
    taken.sum_duplicates()
    with np.errstate(over="ignore"):
        values = taken.data.astype(np.float32)
    owners = row_of_entry(taken)
    bad = np.flatnonzero(~((values >= 0) & (values < np.inf)))
    if len(bad):
        place = f"row {owners[bad[0]]}, column {taken.indices[bad[0]]}"
        raise ValueRangeError(f"{place} contains {taken.data[bad[0]]}", expected="finite values of 0 or more")
    stored = values > 0
    return csr_of(owners[stored], taken.indices[stored], values[stored], taken.shape), len(values)


def row_of_entry(matrix: Csr) -> npt.NDArray[np.int64]:
    """The row of each stored entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))


def entries_of(matrix: Csr, rows: Ints) -> npt.NDArray[np.int64]:
    """Positions of the stored entries of the given rows, row by row."""
    starts = matrix.indptr[rows].astype(np.int64)
    lengths = matrix.indptr[np.asarray(rows) + 1] - starts
    ends = np.cumsum(lengths)
    count = int(ends[-1]) if len(ends) else 0
    entries: npt.NDArray[np.int64] = np.arange(count) + np.repeat(starts - (ends - lengths), lengths)
    return entries


def stored_where(matrix: Csr, mask: npt.NDArray[np.bool_]) -> Csr:
    """The entries where ``mask`` is true, in a matrix of the same shape."""
    return csr_of(row_of_entry(matrix)[mask], matrix.indices[mask], matrix.data[mask], matrix.shape)


def places_in_rows(matrix: Csr, keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rank of each entry within its row when the row is ordered by ``keys``, then by column."""
    owners = row_of_entry(matrix)
    order = np.lexsort((matrix.indices, keys, owners))
    places = np.empty(matrix.nnz, dtype=np.int64)
    places[order] = np.arange(matrix.nnz) - matrix.indptr[owners]
    return places


def select_rows(matrix: Csr, rows: Ints) -> Csr:
    """The given rows, in the given order; the result of a memory-mapped matrix is memory-mapped, too."""
    wanted = np.asarray(rows, dtype=np.int64)
    ends = np.zeros(len(wanted) + 1, dtype=np.int64)
    np.cumsum(np.diff(matrix.indptr)[wanted], out=ends[1:])
    count = int(ends[-1])
    same = is_constant(matrix.data)
    columns = room(matrix.indices, count)
    values = constant(matrix.data[0], count) if same else room(matrix.data, count)
    for some in row_pieces(ends):
        here, entries = slice(ends[some.start], ends[some.stop]), entries_of(matrix, wanted[some])
        columns[here] = matrix.indices[entries]
        if not same:
            values[here] = matrix.data[entries]
    return csr_over(ends, columns, values, (len(wanted), matrix.shape[1]))


def row_pieces(ends: Ints, size: int = PIECE) -> Iterator[slice]:
    """All rows in blocks with about ``size`` entries each, or a single row.

    Args:
        ends: start of the entries of each row and, after the last row, their end.
        size: number of entries per block.
    """
    start, rows = 0, len(ends) - 1
    while start < rows:
        stop = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        stop = min(max(stop, start + 1), rows)
        yield slice(start, stop)
        start = stop


def item_counts(matrix: Csr) -> npt.NDArray[np.int64]:
    """The number of entries of each column."""
    counts = np.zeros(matrix.shape[1], dtype=np.int64)
    for piece in pieces(len(matrix.indices)):
        counts += np.bincount(matrix.indices[piece], minlength=len(counts))
    return counts
