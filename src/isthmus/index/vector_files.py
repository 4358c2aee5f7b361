"""Reads vectors and ids from arrays and files, and writes them to files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.checked.arguments import listed, path_of
from isthmus.checked.arrays import read_npy
from isthmus.checked.dense import as_float, real_numbers
from isthmus.checked.paths import plain_file
from isthmus.disk import written
from isthmus.errors import ColumnError, InputError, SettingError, SourceError, ValueRangeError
from isthmus.files import INFERRED, NOTHING_TOLD, FileTable, Told, open_alike
from isthmus.files.headers import is_number
from isthmus.ids import MISSING, Id, ids_of_texts, proper_id
from isthmus.plugins import closest

logger = logging.getLogger(__name__)

ID, VECTOR = "id", "vector"
"""Default names of the columns of a table."""

GROUP_ROWS = 1 << 16
"""Rows of a group of a Parquet file, which readers hold in memory as a whole."""

FORMATS = "vectors in a .npy, Parquet, CSV, TSV or JSON file"

VectorsWithIds = tuple[Float[Tensor, "rows width"], list[Id] | None]


def read(
    source: Any,
    ids: Any = None,
    remembered: str | None = None,
    *,
    told: Told = NOTHING_TOLD,
    alike: Told = NOTHING_TOLD,
) -> VectorsWithIds:
    """Read vectors, as float32 on the CPU, and their ids.

    Args:
        source: an array of numpy or torch, rows of numbers, a table with the Arrow PyCapsule interface (pandas, polars,
            pyarrow, DuckDB), or the path of a ``.npy``, Parquet, CSV, TSV or JSON file. The vectors of a table are its
            column ``vector``, or else its only column of lists; if it has none, all columns of numbers beside the ids.
        ids: ids of the rows, or the name of the column that holds them; by default the column ``id`` of a table.
        remembered: name of that column in an earlier table, which is tried first.
        told: options of a text file (encoding, delimiter, header) that the caller gave.
        alike: options of an earlier file, used as far as they fit this one.

    Raises:
        SettingError: ``told`` for something that is not a text file.
        SourceError: a file that cannot be read.
        ColumnError: no such column.
        InputError: not a numeric matrix, or the number of ids is not the number of rows.
        ValueRangeError: a number is NaN, infinite or too large for float32.
    """
    own: list[Id] | None = None
    column = ids if isinstance(ids, str) else None
    opened = isinstance(source, str | Path)
    found, where = _opened(source, (column, remembered, ID), told, alike)
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
        InputError: an invalid id, see ``isthmus.ids.proper_id``.
    """
    return [proper_id(one) for one in listed("ids", ids, "several whole numbers or texts")]


def write(
    vectors: Float[Tensor, "rows width"], ids: list[Id], path: str | Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write vectors as ``.npy``, or vectors and ids as Parquet, depending on the file extension. The file is written
    completely or not at all.

    Args:
        vectors: one vector per row.
        ids: ids of the vectors.
        path: ends in ``.npy`` or ``.parquet``; an older file is replaced.
        metadata: of the schema of a Parquet file.

    Raises:
        InputError: another file extension, or no file can be written at this path.
        OSError: for example a full disk; an older file is still there.
    """
    path = path_of("path", path)
    if path.suffix == ".npy":
        with written(path) as file:
            np.save(file, vectors.numpy(), allow_pickle=False)
    elif path.suffix == ".parquet":
        flat = pa.array(vectors.numpy().reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        with written(path) as file:
            table = pa.table({ID: _as_column(ids), VECTOR: column}).replace_schema_metadata(metadata)
            pq.write_table(table, file, row_group_size=GROUP_ROWS)
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


def _opened(source: Any, names: Iterable[str | None], told: Told, alike: Told) -> tuple[Any, str]:
    """The content of a file, or the given object, as an array or a table, and its name for error messages. The first of
    ``names`` that is a column is the id column."""
    if not isinstance(source, str | Path):
        _check_untold(told, type(source).__name__)
        if not hasattr(source, "__arrow_c_stream__"):
            return source, "an array"
        try:
            return pa.table(source), "the table"
        except (pa.ArrowException, TypeError, ValueError):
            return source, "an array"  # a single column, rejected in the same way as an array
    path = Path(source)
    plain_file(path, FORMATS)
    ending = path.suffix.lower()
    try:
        if ending in (".npy", ".parquet", ".pq"):
            _check_untold(told, str(path))
            return read_npy(path) if ending == ".npy" else _parquet(path), str(path)
        table = open_alike(path, told, alike, numbered=True)
        return _read(table, next((name for name in names if name in table.header), None)), str(path)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, MemoryError, pa.ArrowException) as error:
        kind = {".npy": ".npy file of numbers", ".parquet": "Parquet file", ".pq": "Parquet file"}.get(ending, "table")
        raise SourceError(f"{str(path)!r} is no {kind} ({' '.join(str(error).split())[:200]})") from None


def _parquet(path: Path) -> pa.Table:
    table = pq.read_table(path)
    # Column names that are not UTF-8 fail here instead of at the first lookup.
    table.column_names  # noqa: B018
    return table


def _read(table: FileTable, ids: str | None) -> pa.Table:
    """The whole table, with inferred numeric types; ids in a text file are kept as written."""
    inferred = dict.fromkeys((name for name in table.header if name != ids), INFERRED)
    found = table.read(types=inferred)
    _check_words(table, found, ids)
    if ids is None or not table.text or table.header.count(ids) > 1:
        return found
    texts = found[ids].to_pylist()
    missing = next((row for row, text in enumerate(texts) if text.strip() in MISSING), None)
    if missing is not None:
        raise ValueRangeError(
            f"{table.where(missing, ids)} of {table.name} holds {texts[missing]!r}", expected="an id in every row"
        )
    return found.set_column(table.place_of(ids), ids, _as_column(ids_of_texts(texts)))


def _check_words(table: FileTable, found: pa.Table, ids: str | None) -> None:
    """Report a text cell in a numeric column with its row; columns of text are reported by name later."""
    for name in found.column_names if table.text and len(set(found.column_names)) == found.num_columns else []:
        if name == ids or not (pa.types.is_string(found[name].type) or pa.types.is_large_string(found[name].type)):
            continue
        cells = found[name].to_pylist()
        odd = [row for row, cell in enumerate(cells) if not is_number(cell, ".")]
        if len(odd) * 2 < len(cells):
            raise ValueRangeError(
                f"{table.where(odd[0], name)} of {table.name} holds {cells[odd[0]]!r}",
                expected="a number in every row",
                remedy=f"correct it, or if they are the ids: ids={name!r} in Python, --ids on the command line",
            )


def _as_column(ids: list[Id]) -> pa.Array:
    if ids and isinstance(ids[0], str):
        return pa.array(ids, pa.large_string())
    return pa.array(ids, pa.uint64() if any(isinstance(one, int) and one >= 2**63 for one in ids) else pa.int64())


def _check_untold(told: Told, what: str) -> None:
    if told.said():
        raise SettingError(f"{', '.join(told.said())} for {what}", expected="a file of text", remedy="leave it away")


def _from_table(table: pa.Table, column: str | None, where: str) -> tuple[Any, list[Id] | None]:
    """The vectors of a table, and the ids in ``column``."""
    if column is not None and table.column_names.count(column) != 1:
        raise ColumnError(
            f"{table.column_names.count(column) or 'no'} columns {column!r} in {where}",
            expected=f"one of {', '.join(map(repr, table.column_names))}",
            remedy=closest(column, table.column_names),
        )
    doubled = next((name for name in table.column_names if table.column_names.count(name) > 1), None)
    if doubled is not None:
        raise ColumnError(
            f"{table.column_names.count(doubled)} columns {doubled!r} in {where}", expected="a name of its own for each"
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
