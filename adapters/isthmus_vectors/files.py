"""Files of numbers: delimited text, JSON, Parquet, NumPy arrays, sparse matrices. Nothing in them is executed."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.checked.arrays import read_npy, read_sparse
from isthmus.checked.paths import plain_file
from isthmus.errors import InputError, SettingError, SourceError
from isthmus.files import INFERRED, Told, open_alike
from isthmus_vectors.columns import Choice, Numbers, numbers, row_number

logger = logging.getLogger(__name__)

FORMATS = "CSV, TSV or other delimited text, JSON, .parquet, .npy or .npz"
UNNAMED = ("", "unnamed: 0")
"""Names of unnamed columns in lower case: empty, or the name that pandas gives."""


@dataclass(frozen=True)
class FileContents:
    """The content of a file of numbers.

    Attributes:
        array: an array or a sparse matrix, for files without columns.
        table: the selected columns, for tables.
        where: function that names a row (counted from 0) and a column in messages.
    """

    array: Any = None
    table: Numbers | None = None
    where: Callable[[int, str | None], str] = row_number


def read_file(path: Path, choice: Choice, told: Told | None = None) -> FileContents:
    """Read a file: an array or a sparse matrix, or else the selected columns of a table.

    Args:
        path: path of the file; .npy and .npz are recognised by their extension, other formats by their content.
        choice: columns to select from a table.
        told: options of a text file that the caller gave; those of the model's training file are used as far as they
            fit.

    Raises:
        SourceError: no such file, not a table, or a damaged file.
        ColumnError: a column of the table that is missing or not numeric.
        SettingError: options of a text file for an array.
    """
    plain_file(path, f"a file: {FORMATS}")
    told, known = told or Told(), Told() if choice.known is None else choice.known.written
    kind = path.suffix.lower()
    if kind in (".npy", ".npz"):
        if told.said():
            raise SettingError(f"{', '.join(told.said())} for {path}", expected="a file of text")
        return FileContents(_array(path, kind))
    opened = open_alike(path, told, known, numbered=True)
    table = opened.read(types=dict.fromkeys(opened.header, INFERRED))
    if not opened.headed:
        logger.info("%s has no line of names: its columns are called f0, f1, ...", path)
        table = table.rename_columns([f"f{place}" for place in range(table.num_columns)])

    def where(row: int, name: str | None) -> str:
        given = name if opened.headed or name is None else str(int(name.removeprefix("f")) + 1)
        return opened.where(row, given if given in opened.header else None)

    return FileContents(table=numbers(_without_row_numbers(table, path, choice), str(path), choice, where), where=where)


def _array(path: Path, kind: str) -> Any:
    try:
        return read_npy(path) if kind == ".npy" else read_sparse(path)
    except (pa.ArrowException, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{str(path)!r} cannot be read ({error})", expected="a whole .npy or .npz file") from error
    except InputError:
        raise
    except ValueError as error:
        raise SourceError(f"{str(path)!r} cannot be read ({error})", expected="numbers, no objects") from error


def _without_row_numbers(table: pa.Table, path: Path, choice: Choice) -> pa.Table:
    """The table without unnamed columns that are empty or that, in first position, contain row numbers."""
    places = []
    for place, name in enumerate(table.column_names):
        if name.strip().lower() not in UNNAMED or name in choice.taken_by_name:
            continue
        column = table.column(place)
        if place == 0 and _counts(column):
            logger.info("%s: the first column, which has no name and counts the rows, is left out", path)
            places.append(place)
        elif not name and _is_empty(column):
            logger.info("%s: column %d, which has no name and holds nothing, is left out", path, place + 1)
            places.append(place)
    return table.select([place for place in range(table.num_columns) if place not in places])


def _counts(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_integer(column.type) or column.null_count or not len(column):
        return False
    held = column.to_numpy()
    return bool((np.diff(held) == 1).all()) and (len(held) > 1 or held[0] in (0, 1))


def _is_empty(column: pa.ChunkedArray) -> bool:
    if pa.types.is_null(column.type) or column.null_count == len(column):
        return True
    return bool(pa.types.is_string(column.type) and pc.all(pc.equal(pc.utf8_trim_whitespace(column), "")).as_py())
