"""Validation of sparse matrices from callers and files: all indices are checked before SciPy's loops use them.

SciPy's ``check_format(full_check=True)`` skips matrices whose last offset is 0, and formats other than CSR, CSC and
BSR, so all formats are checked here with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import bsr_array, coo_array, csc_array, csr_array, dia_array, issparse

from isthmus.errors import InputError, ValueRangeError
from isthmus.machine.hardware import available_bytes

Integers = npt.NDArray[np.integer[Any]]

MOST = 2**31 - 1
"""Maximum number of rows and of columns, because models use 32-bit positions."""

LINE_BYTES = 16
"""Minimum number of bytes per row and per column, including empty ones."""


def checked_csr(matrix: Any, name: str = "the matrix") -> csr_array:
    """Convert a SciPy sparse matrix of any format to a new CSR array.

    The flags of the given object (sorted indices, no duplicates) are not trusted and not copied.

    Args:
        matrix: a SciPy sparse array or matrix of real numbers.
        name: its name in error messages.

    Returns:
        The same numbers with the same type; explicit zeros and duplicates are kept.

    Raises:
        InputError: not a two-dimensional sparse matrix, inconsistent parts, or not real numbers.
        ValueRangeError: an entry outside the matrix, or a shape that does not fit into memory.
    """
    if not issparse(matrix):
        raise InputError(f"{name} is a {type(matrix).__name__}", expected="a sparse matrix of scipy.sparse")
    given: Any = matrix
    if given.ndim != 2:
        raise InputError(f"{name} has {given.ndim} dimension", expected="two: rows and columns")
    return from_parts(given, name)


def from_parts(given: Any, name: str = "the matrix") -> csr_array:
    """``checked_csr`` for any object with the attributes of a sparse matrix: ``format``, ``shape``, ``data`` and,
    depending on the format, ``indices`` and ``indptr``, ``row`` and ``col``, or ``offsets``.

    Raises:
        The errors of ``checked_csr``.
    """
    read = READERS.get(given.format)
    if read is None:
        raise InputError(f"{name} is of the format {given.format!r}", expected=f"one of {', '.join(READERS)}")
    try:
        return csr_array(read(given, _shape(given.shape, name), name))
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(f"{name} is not whole ({error})", expected=f"a {given.format} matrix") from None


def as_csr(matrix: Any, name: str = "the matrix") -> csr_array:
    """``checked_csr``, but a CSR array is not copied.

    Raises:
        The errors of ``checked_csr``.
    """
    if not isinstance(matrix, csr_array):
        return checked_csr(matrix, name)
    check_csr(matrix, name)
    return matrix


def check_csr(matrix: Any, name: str = "the matrix") -> None:
    """Check the indices of a CSR matrix without copying it.

    Raises:
        The errors of ``checked_csr``.
    """
    held: Any = matrix if issparse(matrix) else None
    if held is None or held.format != "csr":
        kind = getattr(held, "format", type(matrix).__name__)
        raise InputError(f"{name} is a {kind}", expected="a CSR matrix", remedy="convert it with .tocsr()")
    rows, columns = _shape(held.shape, name)
    _numbers(held.data, 1, name)
    _compressed(held.indptr, held.indices, len(held.data), rows, columns, name)


def _shape(shape: Any, name: str) -> tuple[int, int]:
    lengths = [int(length) for length in shape]
    if len(lengths) != 2:
        raise InputError(f"{name} has {len(lengths)} dimensions", expected="two: rows and columns")
    rows, columns = lengths
    if not 0 <= rows <= MOST or not 0 <= columns <= MOST:
        raise ValueRangeError(f"{name} has {rows:,} rows and {columns:,} columns", expected=f"at most {MOST:,} of each")
    need, there = LINE_BYTES * (rows + columns), available_bytes()
    if there is not None and need > there:
        raise ValueRangeError(
            f"{name} has {rows:,} rows and {columns:,} columns, which takes {need / 1e9:,.1f} GB without an entry",
            expected=f"at most {there / 1e9:,.1f} GB, the memory that is free",
        )
    return rows, columns


def _numbers(data: Any, dimensions: int, name: str) -> npt.NDArray[Any]:
    held = np.asarray(data)
    if held.dtype.kind not in "fiub":
        raise InputError(f"{name} holds values of type {held.dtype}", expected="real numbers")
    if held.ndim != dimensions:
        raise InputError(f"the values of {name} have {held.ndim} dimensions", expected=str(dimensions))
    return held


def _whole(places: Any, name: str) -> Integers:
    held = np.asarray(places)
    if held.ndim != 1 or (held.dtype.kind not in "iu" and held.size):
        raise InputError(f"{name} are {held.dtype} of shape {held.shape}", expected="a line of whole numbers")
    return held.astype(np.int32) if not held.size else held


def _within(places: Integers, length: int, name: str) -> None:
    if not len(places):
        return
    least, most = int(places.min()), int(places.max())
    if least < 0 or most >= length:
        entry = int(np.flatnonzero((places < 0) | (places >= length))[0])
        expected = f"0 to {length - 1:,}" if length else "no entries, as its shape says"
        raise ValueRangeError(f"entry {entry:,} of {name} is at {int(places[entry]):,}", expected=expected)


def _compressed(ends: Any, places: Any, values: int, lines: int, width: int, name: str) -> tuple[Integers, Integers]:
    """Offsets and indices of a compressed format, without entries beyond the last offset."""
    ends, places = _whole(ends, f"the ends of {name}"), _whole(places, f"the places of {name}")
    if len(ends) != lines + 1:
        raise InputError(f"{name} has {len(ends):,} ends", expected=f"{lines + 1:,} for {lines:,} lines")
    last = int(ends[-1])
    if int(ends[0]) != 0 or (ends[1:] < ends[:-1]).any():
        raise ValueRangeError(f"the ends of {name} do not rise from 0", expected="where each line ends, in order")
    if last > len(places) or last > values:
        raise ValueRangeError(
            f"{name} has {last:,} entries by its ends, {len(places):,} places and {values:,} values",
            expected="as many of each",
        )
    _within(places[:last], width, f"the places of {name}")
    return ends, places[:last]


def _csr(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    data = _numbers(given.data, 1, name)
    ends, places = _compressed(given.indptr, given.indices, len(data), *shape, name)
    return csr_array((data[: len(places)], places, ends), shape=shape, copy=True)


def _csc(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    data = _numbers(given.data, 1, name)
    ends, places = _compressed(given.indptr, given.indices, len(data), shape[1], shape[0], name)
    return csc_array((data[: len(places)], places, ends), shape=shape, copy=True).tocsr()


def _bsr(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    data = _numbers(given.data, 3, name)
    high, wide = data.shape[1:]
    if min(high, wide) < 1 or shape[0] % high or shape[1] % wide:
        raise InputError(
            f"{name} has blocks of {high} x {wide}", expected=f"blocks that divide {shape[0]} x {shape[1]}"
        )
    lines, width = shape[0] // high, shape[1] // wide
    ends, places = _compressed(given.indptr, given.indices, len(data), lines, width, name)
    return bsr_array((data[: len(places)], places, ends), shape=shape, copy=True).tocsr()


def _coo(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    data = _numbers(given.data, 1, name)
    rows, columns = (_whole(places, f"the places of {name}") for places in (given.row, given.col))
    return _placed(rows, columns, data, shape, name)


def _placed(rows: Integers, columns: Integers, data: Any, shape: tuple[int, int], name: str) -> csr_array:
    if not len(rows) == len(columns) == len(data):
        raise InputError(
            f"{name} has {len(rows):,} rows, {len(columns):,} columns and {len(data):,} values",
            expected="as many of each",
        )
    _within(rows, shape[0], f"the rows of {name}")
    _within(columns, shape[1], f"the columns of {name}")
    return coo_array((data, (rows, columns)), shape=shape, copy=True).tocsr()


def _dia(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    data = _numbers(given.data, 2, name)
    offsets = _whole(given.offsets, f"the offsets of {name}")
    if len(offsets) != len(data) or len(np.unique(offsets)) != len(offsets):
        raise InputError(f"{name} has {len(offsets)} offsets for {len(data)} diagonals", expected="one of its own each")
    # Diagonals beyond the corners have no entry.
    inside = (offsets > -shape[0]) & (offsets < shape[1])
    taken = (np.ascontiguousarray(data[inside]), offsets[inside].astype(np.int64))
    return csr_array(dia_array(taken, shape=shape).tocoo())


def _lil(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    if given.rows.shape != (shape[0],) or given.data.shape != (shape[0],):
        raise InputError(f"{name} has {len(given.rows):,} lists", expected=f"one for each of {shape[0]:,} rows")
    lengths = [len(row) for row in given.rows]
    if lengths != [len(row) for row in given.data]:
        raise InputError(f"{name} has rows with more places than values, or fewer", expected="as many of each")
    columns = np.array(list(chain.from_iterable(given.rows)), dtype=np.int64)
    data = _numbers(np.array(list(chain.from_iterable(given.data)), dtype=given.dtype), 1, name)
    return _placed(np.repeat(np.arange(shape[0]), lengths), columns, data, shape, name)


def _dok(given: Any, shape: tuple[int, int], name: str) -> csr_array:
    places = np.array(list(given.keys()), dtype=np.int64).reshape(-1, 2)
    data = _numbers(np.array(list(given.values()), dtype=given.dtype), 1, name)
    return _placed(places[:, 0], places[:, 1], data, shape, name)


READERS: Mapping[str, Callable[[Any, tuple[int, int], str], csr_array]] = {
    "csr": _csr,
    "csc": _csc,
    "coo": _coo,
    "bsr": _bsr,
    "dia": _dia,
    "lil": _lil,
    "dok": _dok,
}
