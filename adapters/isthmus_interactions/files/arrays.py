"""Converts a tuple of columns to a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.errors import SourceError
from isthmus_interactions.files.reading import ROLES

FORM = "(users, items), (users, items, values) or (users, items, values, times)"


def table_of_arrays(arrays: tuple[Any, ...]) -> pa.Table:
    """A table with the columns user, item and, if given, value and time.

    Args:
        arrays: two to four columns of the same length from NumPy, torch, pandas, polars or Arrow, or lists.

    Returns:
        An Arrow table; values that are None are left out.

    Raises:
        SourceError: not two to four columns, different lengths, or an object that is not a column.
    """
    if not 2 <= len(arrays) <= len(ROLES):
        raise SourceError(f"a tuple of {len(arrays)}", expected=FORM)
    columns = {role: _column(one, role) for role, one in zip(ROLES, arrays, strict=False) if one is not None}
    lengths = {role: len(column) for role, column in columns.items()}
    if not {"user", "item"} <= set(lengths) or len(set(lengths.values())) > 1:
        shown = ", ".join(f"{length:,} of {role}" for role, length in lengths.items())
        raise SourceError(f"columns of different lengths: {shown}", expected=f"one entry for each event in {FORM}")
    return pa.table(columns)


def _column(given: Any, role: str) -> pa.Array | pa.ChunkedArray:
    try:
        # Arrow reads its own columns and those of pandas and polars; NumPy reads all others.
        known = hasattr(given, "__arrow_c_array__") or hasattr(given, "__arrow_c_stream__")
        column = pa.chunked_array(given) if hasattr(given, "__arrow_c_stream__") else pa.array(given) if known else None
        return _array(_flat(given)) if column is None else column
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{role}s of type {type(given).__name__} ({error})", expected=FORM) from None


def _array(given: Any) -> pa.Array:
    try:
        return pa.array(given)
    except OverflowError:
        return pa.array(given, pa.uint64())


def _flat(given: Any) -> Any:
    array = np.asarray(given)
    if array.ndim != 1:
        raise ValueError(f"{array.ndim} dimensions")
    # NumPy would convert a list of ids of both types to text.
    return given if isinstance(given, list) else array
