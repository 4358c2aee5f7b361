"""Numbers from Arrow tables: which columns, in which order, and what happens to those that hold none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ColumnError, InputError
from isthmus.plugins import closest

Numbers = tuple[npt.NDArray[np.floating[Any]], tuple[str, ...]]


def as_table(source: object) -> pa.Table | None:
    """The source as an Arrow table if it is one; None for a single column and for everything else.

    Whatever has the Arrow PyCapsule interface can be one: pyarrow, pandas, polars, DuckDB.
    """
    if not hasattr(source, "__arrow_c_stream__"):
        return None
    try:
        return pa.RecordBatchReader.from_stream(source).read_all()
    except (pa.ArrowException, TypeError):
        return None


def numbers(table: pa.Table, where: str, columns: Sequence[str] | None, drop: Sequence[str]) -> Numbers:
    """The chosen columns side by side, and their names; a missing value is NaN.

    Args:
        table: the source.
        where: its name, for messages.
        columns: names to take, in this order; None takes all.
        drop: names to leave out.

    Raises:
        ColumnError: a column that is missing or holds no numbers.
        InputError: a column of lists of different lengths.
    """
    index = _index_of(table.schema)
    present = [name for name in table.column_names if name not in index or name in (columns or ())]
    names = choose_columns(present, where, columns, drop)
    _check_numbers(table.schema, names, where)
    parts = [_part(table.column(name), name, where) for name in names]
    whole = all(part.dtype == np.float32 for part, _ in parts)
    kind = np.float32 if whole and parts else np.float64
    values = np.concatenate([part for part, _ in parts], 1).astype(kind) if parts else np.empty((len(table), 0))
    return np.ascontiguousarray(values), tuple(name for _, own in parts for name in own)


def choose_columns(present: Sequence[str], where: str, columns: Sequence[str] | None, drop: Sequence[str]) -> list[str]:
    """The names to take, in their order.

    Args:
        present: the names that there are.
        where: of the table, for messages.
        columns: names to take; None takes all.
        drop: names to leave out.

    Raises:
        ColumnError: a name that is not there, or twice.
    """
    for name in (*(columns or ()), *drop):
        if present.count(name) != 1:
            raise ColumnError(
                f"{'no column' if name not in present else 'several columns'} {name!r} in {where}",
                expected=f"one of {_listed(present)}",
                remedy=closest(name, set(present)),
            )
    return [name for name in (present if columns is None else columns) if name not in drop]


def _index_of(schema: pa.Schema) -> set[str]:
    """Names of columns that are the index of a pandas table: they say which row, not what is in it."""
    held = schema.pandas_metadata
    return {name for name in held["index_columns"] if isinstance(name, str)} if held else set()


def _check_numbers(schema: pa.Schema, names: Sequence[str], where: str) -> None:
    strange = [name for name in names if not _is_number(_inner(schema.field(name).type))]
    if strange:
        kinds = ", ".join(sorted({str(schema.field(name).type) for name in strange}))
        raise ColumnError(
            f"{'column' if len(strange) == 1 else 'columns'} {_listed(strange)} of {where} with {kinds}",
            expected="numbers",
            remedy=f"leave {'it' if len(strange) == 1 else 'them'} out with drop={strange[:5]} "
            f"({' '.join(f'--drop {name}' for name in strange[:5])}), or turn {'it' if len(strange) == 1 else 'them'} "
            "into numbers",
        )


def _part(column: pa.ChunkedArray, name: str, where: str) -> tuple[npt.NDArray[np.floating[Any]], list[str]]:
    kind = column.type
    if not _is_list(kind):
        return _floats(column)[:, None], [name]
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.float64)
    if not len(lengths):
        return np.empty((0, 0)), []
    if not (lengths == lengths[0]).all():
        row = int(np.nonzero(lengths != lengths[0])[0][0])
        raise InputError(
            f"row {row} of column {name!r} of {where} holds {_count(lengths[row])}",
            expected=f"{_count(lengths[0])}, as in row 0",
        )
    width = int(lengths[0])
    flat = _floats(pc.list_flatten(column))
    return flat.reshape(len(column), width), [f"{name}.{place}" for place in range(width)]


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.floating[Any]]:
    narrow = pa.types.is_float32(column.type) or pa.types.is_float16(column.type)
    plain = column if not pa.types.is_boolean(column.type) else column.cast(pa.uint8())
    floats: npt.NDArray[np.floating[Any]] = plain.cast(pa.float32() if narrow else pa.float64()).to_numpy()
    return floats


def _inner(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if _is_list(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _count(length: float) -> str:
    return "nothing" if np.isnan(length) else f"{int(length)} numbers"
