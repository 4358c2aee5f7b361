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

from isthmus.errors import ColumnError, InputError, SourceError, ValueRangeError
from isthmus.vocabulary import Id

logger = logging.getLogger(__name__)

ID, VECTOR = "id", "vector"
"""The columns of a Parquet file."""

VectorsWithIds = tuple[Float[Tensor, "rows width"], list[Id] | None]


def read(source: Any, ids: Any = None) -> VectorsWithIds:
    """Vectors as float32 on the CPU, and their ids.

    Args:
        source: an array of numpy or torch, rows of numbers, or the path of a ``.npy`` or Parquet file. A Parquet file
            has a column ``vector`` of lists of numbers of one length and may have a column ``id``.
        ids: of the rows; those of the file, if not given.

    Raises:
        SourceError: a file that cannot be read.
        ColumnError: no such column.
        InputError: no matrix of numbers, or not as many ids as rows.
        ValueRangeError: a number is NaN, infinite or too large for float32.
    """
    own: list[Id] | None = None
    if isinstance(source, str | Path):
        source, own = _from_file(Path(source))
    vectors = _as_tensor(source)
    found = own if ids is None else as_ids(ids)
    if found is not None and len(found) != len(vectors):
        raise InputError(f"{len(found):,} ids for {len(vectors):,} vectors", expected="one id for each")
    return vectors, found


def as_ids(ids: Any) -> list[Id]:
    """Ids as plain Python values.

    Raises:
        InputError: something that is neither a whole number nor text.
    """
    given = ids.tolist() if isinstance(ids, np.ndarray | Tensor) else list(ids)
    plain = [one.item() if isinstance(one, np.generic) else one for one in given]
    for one in plain:
        if isinstance(one, bool) or not isinstance(one, int | str):
            raise InputError(f"id {one!r} of type {type(one).__name__}", expected="whole numbers or text")
    return plain


def write(vectors: Float[Tensor, "rows width"], ids: list[Id], path: str | Path) -> None:
    """Vectors, and ids where the format has a place for them, as ``.npy`` or Parquet, by the name's ending.

    Args:
        vectors: one a row.
        ids: theirs.
        path: ends in ``.npy`` or ``.parquet``.

    Raises:
        InputError: another ending.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix == ".npy":
        with path.open("wb") as file:
            np.save(file, vectors.numpy(), allow_pickle=False)
    elif path.suffix == ".parquet":
        flat = pa.array(vectors.numpy().reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        kind = pa.string() if ids and isinstance(ids[0], str) else pa.int64()
        pq.write_table(pa.table({ID: pa.array(ids, kind), VECTOR: column}), path)
    else:
        raise InputError(f"{path.name!r} to write vectors to", expected="a name that ends in .npy or .parquet")


def _as_tensor(source: Any) -> Float[Tensor, "rows width"]:
    try:
        given = source.detach().cpu() if isinstance(source, Tensor) else torch.from_numpy(_as_array(source))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"vectors that are not numbers ({error})", expected="a matrix of numbers") from None
    if given.ndim != 2 or given.is_complex() or given.dtype == torch.bool or not given.shape[1]:
        raise InputError(f"vectors of shape {tuple(given.shape)} and {given.dtype}", expected="numbers, [rows, width]")
    vectors = given.float().contiguous()
    if not bool(vectors.isfinite().all()):
        row = int((~vectors.isfinite()).any(1).nonzero()[0])
        raise ValueRangeError(
            f"vector {row} holds NaN, infinity or what float32 cannot hold", expected="finite numbers"
        )
    return vectors


def _as_array(source: Any) -> Any:
    array = np.asarray(source)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"of type {array.dtype}")
    # torch has no big numbers of other machines and no negative strides.
    made = np.ascontiguousarray(array, dtype=np.float64 if array.dtype.itemsize > 4 else np.float32)
    return made if made.flags.writeable else made.copy()


def _from_file(path: Path) -> tuple[Any, list[Id] | None]:
    if not path.is_file():
        raise SourceError(f"no file {str(path)!r}", expected="a .npy or Parquet file")
    if path.suffix == ".npy":
        try:
            return np.load(path, allow_pickle=False), None
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise SourceError(f"{str(path)!r} is no .npy file of numbers ({error})") from None
    if path.suffix in (".parquet", ".pq"):
        return _from_parquet(path)
    raise SourceError(f"{str(path)!r}", expected="a name that ends in .npy or .parquet")


def _from_parquet(path: Path) -> tuple[Any, list[Id] | None]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{str(path)!r} is not a Parquet file ({' '.join(str(error).split())[:200]})") from None
    if VECTOR not in table.column_names:
        columns = ", ".join(table.column_names)
        raise ColumnError(f"columns {columns}", expected=f"a column {VECTOR!r} of lists of numbers")
    column = table.column(VECTOR).combine_chunks()
    if not isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray) or column.null_count:
        raise ColumnError(f"column {VECTOR!r} of type {column.type}", expected="lists of numbers, none missing")
    numbers, width = column.flatten(), _width(column)
    if numbers.null_count or not (pa.types.is_floating(numbers.type) or pa.types.is_integer(numbers.type)):
        raise ColumnError(f"column {VECTOR!r} of type {column.type}", expected="lists of numbers, none missing")
    ids = as_ids(table.column(ID).to_pylist()) if ID in table.column_names else None
    return numbers.to_numpy(zero_copy_only=False).reshape(len(column), width), ids


def _width(column: Any) -> int:
    if isinstance(column, pa.FixedSizeListArray):
        return int(column.type.list_size)
    widths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
    if len(widths) != 1:
        raise ValueRangeError(f"vectors of {len(widths)} different lengths", expected="one length")
    return int(widths[0])
