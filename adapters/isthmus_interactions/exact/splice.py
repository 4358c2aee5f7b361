"""Replaces rows of the training data without processing all other rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from isthmus_interactions.csr import Csr, Ints, stored_where
from isthmus_interactions.ordered_histories import OrderedHistories


def with_rows(matrix: Csr, rows: Ints, fresh: Csr) -> Csr:
    """A matrix in which some rows are replaced and further rows are appended.

    Args:
        matrix: shape (users, items).
        rows: rows to replace, ascending.
        fresh: first one row for each of ``rows``, then the appended ones; it may have more columns.

    Returns:
        A canonical matrix with the columns of ``fresh``.
    """
    cut = _Cut(matrix.indptr, rows)
    parts = (cut.joined(matrix.data, fresh.data, fresh.indptr), cut.joined(matrix.indices, fresh.indices, fresh.indptr))
    return _canonical(*parts, cut.offsets(fresh.indptr), fresh.shape[1])


def without_rows(matrix: Csr, rows: Ints) -> Csr:
    """A matrix without some rows, which are given in ascending order."""
    cut = _Cut(matrix.indptr, rows)
    return _canonical(cut.rest(matrix.data), cut.rest(matrix.indices), cut.rest_offsets(), matrix.shape[1])


def without_columns(matrix: Csr, columns: Ints) -> Csr:
    """A matrix without some columns; all rows are kept."""
    stays = np.ones(matrix.shape[1], bool)
    stays[columns] = False
    rest = stored_where(matrix, stays[matrix.indices])
    places = (np.cumsum(stays) - 1).astype(rest.indices.dtype)
    return _canonical(rest.data, places[rest.indices], rest.indptr, int(stays.sum()))


def histories_with(histories: OrderedHistories, rows: Ints, fresh: OrderedHistories) -> OrderedHistories:
    """``with_rows`` for ordered histories. Times are kept if both have them.

    Args:
        histories: of all users.
        rows: rows to replace, ascending.
        fresh: first one row for each of ``rows``, then the further ones.

    Returns:
        The histories of all users, with the further ones last.
    """
    cut, times = _Cut(histories.offsets, rows), None
    if histories.times is not None and fresh.times is not None:
        times = cut.joined(histories.times, fresh.times, fresh.offsets)
    items, offsets = cut.joined(histories.items, fresh.items, fresh.offsets), cut.offsets(fresh.offsets)
    return OrderedHistories(offsets.astype(np.int64), items, times, None if times is None else histories.unit)


def histories_without(histories: OrderedHistories, rows: Ints) -> OrderedHistories:
    """``without_rows`` for ordered histories."""
    cut = _Cut(histories.offsets, rows)
    times = None if histories.times is None else cut.rest(histories.times)
    return OrderedHistories(cut.rest_offsets().astype(np.int64), cut.rest(histories.items), times, histories.unit)


class _Cut:
    """Concatenated lists of different lengths, from which some are removed.

    Args:
        offsets: start of each list and, after the last one, its end.
        rows: the lists to remove, ascending.
    """

    def __init__(self, offsets: Ints, rows: Ints) -> None:
        self._rows, self._lengths, self._kind = rows, np.diff(offsets), offsets.dtype
        self._gaps = list(zip(np.r_[0, offsets[rows + 1]], np.r_[offsets[rows], offsets[-1]], strict=True))

    def rest(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The values of the remaining lists."""
        return np.concatenate([values[start:end] for start, end in self._gaps])

    def rest_offsets(self) -> Ints:
        """The start of each remaining list."""
        return self._summed(np.delete(self._lengths, self._rows))

    def joined(self, values: npt.NDArray[Any], fresh: npt.NDArray[Any], ends: Ints) -> npt.NDArray[Any]:
        """The values with those of ``fresh`` in the gaps, and the rest of ``fresh`` appended."""
        parts = []
        for place, (start, end) in enumerate(self._gaps):
            upto = ends[place + 1] if place < len(self._rows) else ends[-1]
            parts += [values[start:end], fresh[ends[place] : upto]]
        return np.concatenate(parts).astype(values.dtype, copy=False)

    def offsets(self, ends: Ints) -> Ints:
        """The start of each list after ``joined``."""
        fresh, lengths = np.diff(ends), self._lengths.copy()
        lengths[self._rows] = fresh[: len(self._rows)]
        return self._summed(np.r_[lengths, fresh[len(self._rows) :]])

    def _summed(self, lengths: Ints) -> Ints:
        ends: Ints = np.r_[0, np.cumsum(lengths, dtype=np.int64)].astype(self._kind)
        return ends


def _canonical(values: npt.NDArray[Any], columns: npt.NDArray[Any], offsets: Ints, width: int) -> Csr:
    matrix: Csr = csr_array((values, columns, offsets), shape=(len(offsets) - 1, width))
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix
