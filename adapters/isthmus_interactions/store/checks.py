"""Checks the arrays of a store, block by block, before compiled code uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.disk.mapped import PIECE
from isthmus.errors import BundleError

Ends = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def check_ends(ends: Array, rows: int, entries: int, name: str) -> Ends:
    """Check that the offsets of rows ascend from 0 to the number of entries.

    Args:
        ends: start of the entries of each row and, after the last row, their end.
        rows: number of rows.
        entries: number of entries.
        name: name of the array, for messages.

    Raises:
        BundleError: they do not.
    """
    if ends.dtype != np.int64 or ends.shape != (rows + 1,):
        raise BundleError(f"{name} is {ends.dtype} {list(ends.shape)}", expected=f"int64 [{rows + 1}]")
    if ends[0] != 0 or ends[-1] != entries or (ends[1:] < ends[:-1]).any():
        raise BundleError(f"{name} does not rise from 0 to {entries:,}", remedy="make the store again")
    return ends


def check_items(items: Array, ends: Ends, width: int, name: str, *, distinct: bool) -> npt.NDArray[np.int32]:
    """Check that the columns of entries exist and, if they must be distinct, ascend in each row.

    Args:
        items: column of each entry.
        ends: offsets of the rows.
        width: number of columns.
        name: name of the array, for messages.
        distinct: whether a row has each column at most once.

    Raises:
        BundleError: they do not.
    """
    if items.dtype != np.int32 or items.ndim != 1:
        raise BundleError(f"{name} is {items.dtype} of {items.ndim} dimensions", expected="int32 of one")
    for piece in _overlapping(len(items)):
        here = items[piece]
        if here.min() < 0 or here.max() >= width:
            raise BundleError(f"{name} names columns that do not exist", expected=f"0 to {width - 1:,}")
        if distinct:
            _check_falls(here[1:] <= here[:-1], piece.start, ends, f"{name} is not ascending within rows")
    return items


def check_values(values: Array, count: int, name: str) -> npt.NDArray[np.float32]:
    """Check that the values of entries are finite and above 0.

    Args:
        values: values of the entries.
        count: number of entries.
        name: name of the array, for messages.

    Raises:
        BundleError: they are not.
    """
    if values.dtype != np.float32 or values.shape != (count,):
        raise BundleError(f"{name} is {values.dtype} {list(values.shape)}", expected=f"float32 [{count}]")
    for piece in _overlapping(count):
        here = values[piece]
        if not ((here > 0) & (here < np.inf)).all():
            raise BundleError(f"{name} holds values that are not finite and above 0")
    return values


def check_times(times: Array, ends: Ends, name: str) -> Array:
    """Check that the times of events are finite and ascend in each row.

    Args:
        times: times of the events.
        ends: offsets of the rows.
        name: name of the array, for messages.

    Raises:
        BundleError: they are not.
    """
    if times.dtype not in (np.int64, np.float64) or times.shape != (int(ends[-1]),):
        raise BundleError(f"{name} is {times.dtype} {list(times.shape)}", expected=f"int64 or float64 [{ends[-1]}]")
    for piece in _overlapping(len(times)):
        here = times[piece]
        if here.dtype == np.float64 and not np.isfinite(here).all():
            raise BundleError(f"{name} holds times that are not finite")
        _check_falls(here[1:] < here[:-1], piece.start, ends, f"{name} is not ascending within rows")
    return times


def _overlapping(count: int) -> Iterator[slice]:
    """Blocks, each with the first entry of the next one."""
    for start in range(0, count, PIECE):
        yield slice(start, min(start + PIECE + 1, count))


def _check_falls(falls: npt.NDArray[np.bool_], start: int, ends: Ends, said: str) -> None:
    """Check that entries that are not above the previous one are the first of their row."""
    places = np.flatnonzero(falls) + start + 1
    if not np.array_equal(ends[np.searchsorted(ends, places)], places):
        raise BundleError(said, remedy="make the store again")
