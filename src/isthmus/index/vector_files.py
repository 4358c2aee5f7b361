"""Vectors and ids from arrays and files, and back into files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.checked.arguments import as_float, listed, real_numbers
from isthmus.checked.arrays import read_npy
from isthmus.checked.paths import plain_file
from isthmus.disk import written
from isthmus.errors import ColumnError, InputError, SourceError, ValueRangeError
from isthmus.files import INFERRED, open_table
from isthmus.ids import Id, proper_id
from isthmus.plugins import closest

logger = logging.getLogger(__name__)

ID, VECTOR = "id", "vector"
"""The columns of a table, by default."""

FORMATS = ".npy, .parquet, .csv, .tsv, .txt or .json"

VectorsWithIds = tuple[Float[Tensor, "rows width"], list[Id] | None]


def read(source: Any, ids: Any = None, remembered: str | None = None) -> VectorsWithIds:
    """Vectors as float32 on the CPU, and their ids.

    Args:
        source: an array of numpy or torch, rows of numbers, a table with the Arrow PyCapsule interface (pandas, polars,
            pyarrow, DuckDB), or the path of a ``.npy``, Parquet, CSV or TSV file. The vectors of a table are its column
            ``vector``, or else its only column of lists; if it has none, all columns of numbers beside the ids.
        ids: of the rows, or the name of the column that holds them; the column ``id`` of a table, if not given.
        remembered: the name of that column in an earlier table, which is looked for first.

    Raises:
        SourceError: a file that cannot be read.
        ColumnError: no such column.
        InputError: no matrix of numbers, or not as many ids as rows.
        ValueRangeError: a number is NaN, infinite or too large for float32.
    """
    own: list[Id] | None = None
    column = ids if isinstance(ids, str) else None
    opened = isinstance(source, str | Path)
    found, where = _opened(source)
    if isinstance(found, pa.Table):
        if column is None:
            column = next((name for name in (remembered, ID) if name in found.column_names), None)
        source, own = _from_table(found, column, where)
    elif column is not None:
        raise ColumnError(
            f"ids={column!r} for {where}", expected="a table that has such a column, or the ids themselves"
        )
    else:
        source = found
    vectors = _as_tensor(source, copied=not opened)
    found = own if ids is None or isinstance(ids, str) else as_ids(ids)
    if found is not None and len(found) != len(vectors):
        raise InputError(f"{len(found):,} ids for {len(vectors):,} vectors", expected="one id for each")
    return vectors, found


def as_ids(ids: Any) -> list[Id]:
    """Ids as plain Python values.

    Raises:
        InputError: what ``isthmus.ids.proper_id`` refuses.
    """
    return [proper_id(one) for one in listed("ids", ids, "several whole numbers or texts")]


def write(vectors: Float[Tensor, "rows width"], ids: list[Id], path: str | Path) -> None:
    """Vectors, and ids where the format has a place for them, as ``.npy`` or Parquet, by the name's ending. The file
    appears whole or not at all.

    Args:
        vectors: one a row.
        ids: theirs.
        path: ends in ``.npy`` or ``.parquet``; an older file is replaced.

    Raises:
        InputError: another ending, or no file can be written there.
        OSError: the disk is full, say; an older file is still there.
    """
    path = Path(path)
    if path.suffix == ".npy":
        with written(path) as file:
            np.save(file, vectors.numpy(), allow_pickle=False)
    elif path.suffix == ".parquet":
        flat = pa.array(vectors.numpy().reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        kind = pa.string() if ids and isinstance(ids[0], str) else pa.int64()
        with written(path) as file:
            pq.write_table(pa.table({ID: pa.array(ids, kind), VECTOR: column}), file)
    else:
        raise InputError(f"{path.name!r} to write vectors to", expected="a name that ends in .npy or .parquet")


def _as_tensor(source: Any, copied: bool) -> Float[Tensor, "rows width"]:
    numbers = real_numbers(source, "a matrix of numbers")
    if numbers.ndim != 2 or numbers.dtype.kind == "b" or not numbers.shape[1]:
        raise InputError(f"vectors of shape {numbers.shape} and {numbers.dtype}", expected="numbers, [rows, width]")
    vectors = torch.from_numpy(as_float(numbers, np.float32, copied=copied))
    if not bool(vectors.isfinite().all()):
        row = int((~vectors.isfinite()).any(1).nonzero()[0])
        raise ValueRangeError(
            f"vector {row} holds NaN, infinity or what float32 cannot hold", expected="finite numbers"
        )
    return vectors


def _opened(source: Any) -> tuple[Any, str]:
    """What a file holds, or what was given: an array or a table; and what messages call it."""
    if not isinstance(source, str | Path):
        if not hasattr(source, "__arrow_c_stream__"):
            return source, "an array"
        try:
            return pa.table(source), "the table"
        except (pa.ArrowException, TypeError, ValueError):
            return source, "an array"  # a single column, which is refused as an array is
    path = Path(source)
    plain_file(path, f"a {FORMATS} file")
    try:
        match path.suffix.lower():
            case ".npy":
                return read_npy(path), str(path)
            case ".parquet" | ".pq":
                return pq.read_table(path), str(path)
            case ".csv" | ".tsv" | ".txt" | ".json" | ".jsonl" | ".ndjson" | ".gz":
                table = open_table(path, numbered=True)
                return table.read(types=dict.fromkeys(table.header, INFERRED)), str(path)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, MemoryError, pa.ArrowException) as error:
        kind = ".npy file of numbers" if path.suffix.lower() == ".npy" else "Parquet file"
        raise SourceError(f"{str(path)!r} is no {kind} ({' '.join(str(error).split())[:200]})") from None
    raise SourceError(f"{str(path)!r}", expected=f"a name that ends in {FORMATS}")


def _from_table(table: pa.Table, column: str | None, where: str) -> tuple[Any, list[Id] | None]:
    """The vectors of a table, and the ids in ``column``."""
    if column is not None and table.column_names.count(column) != 1:
        raise ColumnError(
            f"{table.column_names.count(column) or 'no'} columns {column!r} in {where}",
            expected=f"one of {', '.join(map(repr, table.column_names))}",
            remedy=closest(column, table.column_names),
        )
    ids = None if column is None else as_ids(table.column(column).to_pylist())
    held = table.schema.pandas_metadata
    index = held["index_columns"] if held else []
    left = [name for name in table.column_names if name != column and name not in index]
    lists = [name for name in left if _is_list(table.schema.field(name).type)]
    if VECTOR in left or lists:
        if VECTOR not in left and len(lists) > 1:
            raise ColumnError(
                f"columns of lists {', '.join(map(repr, lists))} in {where}", expected=f"one, or {VECTOR!r}"
            )
        return _lists(table, VECTOR if VECTOR in left else lists[0]), ids
    words = [name for name in left if not _is_number(table.schema.field(name).type)]
    if words or not left:
        raise ColumnError(
            f"columns {', '.join(map(repr, words)) or 'of ids only'} in {where}",
            expected=f"a column {VECTOR!r} of lists of numbers, or columns of numbers beside that of the ids",
            remedy=f"if they are the ids: ids={words[0]!r} in Python, --ids on the command line" if words else "",
        )
    return np.column_stack([table.column(name).to_numpy() for name in left]).astype(np.float64), ids


def _lists(table: pa.Table, name: str) -> Any:
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if not _is_list(column.type) or column.null_count:
        raise ColumnError(f"column {name!r} of type {column.type}", expected="lists of numbers, none missing")
    numbers, width = column.flatten(), _width(column)
    if numbers.null_count or not _is_number(numbers.type):
        raise ColumnError(f"column {name!r} of type {column.type}", expected="lists of numbers, none missing")
    return numbers.to_numpy(zero_copy_only=False).reshape(len(column), width)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _width(column: Any) -> int:
    if isinstance(column, pa.FixedSizeListArray):
        return int(column.type.list_size)
    widths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
    if len(widths) != 1:
        raise ValueRangeError(f"vectors of {len(widths)} different lengths", expected="one length")
    return int(widths[0])
