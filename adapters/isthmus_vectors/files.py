"""Files of numbers: CSV, Parquet, NumPy arrays, sparse matrices. Nothing in them is executed."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from isthmus.checked.arrays import read_npy, read_sparse
from isthmus.errors import InputError, SourceError
from isthmus_vectors.columns import Choice, Numbers, numbers

logger = logging.getLogger(__name__)

FORMATS = ".csv, .tsv, .parquet, .npy or .npz"
PACKED = (".gz", ".bz2", ".zst", ".lz4")


def read_file(path: Path, choice: Choice) -> tuple[Any, Numbers | None]:
    """The contents of a file: an array or a sparse matrix, or else the chosen columns of a table.

    Args:
        path: its ending tells the format.
        choice: of columns of a table.

    Raises:
        SourceError: no such file, another format, or a damaged one.
        ColumnError: a column of the table that is missing or holds no numbers.
    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise SourceError(f"{str(path)!r} {what}", expected=f"a file: {FORMATS}")
    kind = Path(path.stem).suffix.lower() if path.suffix in PACKED else path.suffix.lower()
    try:
        match kind:
            case ".npy":
                return read_npy(path), None
            case ".npz":
                return read_sparse(path), None
            case ".csv" | ".tsv":
                return None, numbers(_csv(path, "\t" if kind == ".tsv" else ","), str(path), choice)
            case ".parquet":
                return None, numbers(pq.read_table(path), str(path), choice)
    except (pa.ArrowException, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{str(path)!r} cannot be read ({error})", expected=f"a whole file: {FORMATS}") from error
    except InputError:
        raise
    except ValueError as error:
        raise SourceError(f"{str(path)!r} cannot be read ({error})", expected="numbers, no objects") from error
    raise SourceError(f"{str(path)!r} has the ending {path.suffix!r}", expected=FORMATS)


def _csv(path: Path, delimiter: str) -> pa.Table:
    table = _parsed(path, delimiter, named=True)
    if _are_numbers(table.column_names):
        logger.info("%s has no line of names: its columns are called f0, f1, ...", path)
        return _parsed(path, delimiter, named=False)
    return table


def _parsed(path: Path, delimiter: str, *, named: bool) -> pa.Table:
    with pa.input_stream(str(path), compression="detect") as stream:
        return pacsv.read_csv(
            stream,
            pacsv.ReadOptions(autogenerate_column_names=not named),
            pacsv.ParseOptions(delimiter=delimiter),
        )


def _are_numbers(names: Sequence[str]) -> bool:
    try:
        return bool([float(name) for name in names])
    except ValueError:
        return False
