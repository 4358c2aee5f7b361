"""Files and in-memory tables as one thing: a header and a stream of record batches.

Text files (CSV, TSV, also gzipped) are distinguished from Parquet by their first bytes, and the delimiter is read off
the header. Everything that offers the Arrow PyCapsule interface (Arrow tables, pandas, polars, DuckDB, ...) is a table.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from isthmus.errors import SourceError, ValueRangeError
from isthmus_interactions.files.arrays import table_of_arrays
from isthmus_interactions.files.columns import Columns

BATCH_ROWS = 1 << 20
"""Rows of a batch at most; what is held beside the result is proportional to it."""

_BLOCK_BYTES = 1 << 24
_DELIMITERS = (",", "\t", ";", "|")
_BAD_CELL = re.compile(r"Row #(\d+): CSV conversion error to (\S+): (.*)", re.DOTALL)
_BAD_COLUMN = re.compile(r"In CSV column #(\d+): ")


@dataclass(frozen=True)
class TextTable:
    """A delimited text file with a header, perhaps gzipped."""

    path: Path
    header: list[str]
    delimiter: str
    text: bool = True

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return str(self.path)

    def batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """The wanted columns, in batches: ids and times as text, values as numbers.

        Raises:
            SourceError: the file breaks off or is not such a table.
            ValueRangeError: a cell is not of its column's type; row and column are named.
        """
        kinds = {name: pa.large_string() for name in (columns.user, columns.item, columns.time) if name is not None}
        if columns.value is not None:
            kinds[columns.value] = pa.float64()
        # Threads would not read faster, and without them a bad cell's row is known.
        read = pacsv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
        parse = pacsv.ParseOptions(delimiter=self.delimiter)
        convert = pacsv.ConvertOptions(include_columns=columns.names, column_types=kinds)
        with _readable(self.name, self.header), _opened(self.path) as stream:
            yield from pacsv.open_csv(stream, read, parse, convert)


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file of interactions, read in batches of rows."""

    path: Path
    header: list[str]
    text: bool = False

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return str(self.path)

    def batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """The wanted columns, in batches.

        Raises:
            SourceError: the file breaks off or is damaged.
        """
        with _readable(self.name, self.header), pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns.names)


@dataclass(frozen=True)
class StreamTable:
    """A table in memory, or a stream that can be read once."""

    reader: pa.RecordBatchReader
    name: str
    text: bool = False

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.reader.schema.names]

    def batches(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """The wanted columns, in batches.

        Raises:
            SourceError: the stream breaks off.
        """
        with _readable(self.name, self.header):
            for batch in self.reader:
                wanted = batch.select(columns.names)
                for start in range(0, wanted.num_rows, BATCH_ROWS):
                    yield wanted.slice(start, BATCH_ROWS)


Table = TextTable | ParquetTable | StreamTable


def open_table(source: object) -> Table:
    """What is behind a path or an object.

    Args:
        source: a path to a CSV, TSV or Parquet file, an object with the Arrow PyCapsule interface, or a tuple of
            columns; see ``arrays.table_of_arrays``.

    Raises:
        SourceError: no such file, an empty one, or nothing that can be read as a table.
    """
    if isinstance(source, str | os.PathLike):
        return _open_file(Path(source))
    if isinstance(source, tuple):
        return StreamTable(table_of_arrays(source).to_reader(), "a tuple of arrays")
    name = f"{type(source).__module__.split('.')[0]} {type(source).__name__}"
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if hasattr(source, "__arrow_c_stream__"):
        with _readable(name, []):
            return StreamTable(pa.RecordBatchReader.from_stream(source), name)
    raise SourceError(
        f"an object of type {name}",
        expected="a path, a table with the Arrow PyCapsule interface (pyarrow, pandas 2.2 or newer, polars, ...), a "
        "SciPy matrix of users and items, or a tuple of arrays (users, items, values)",
        remedy="columns in a dictionary become a pyarrow.table(...), a dense matrix a scipy.sparse.csr_array(...)",
    )


def _open_file(path: Path) -> Table:
    if not path.is_file():
        raise SourceError(f"no file {path}", expected="a CSV, TSV or Parquet file")
    with _readable(str(path), []):
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            with pq.ParquetFile(path) as parquet:
                return ParquetTable(path, list(parquet.schema_arrow.names))
        line = _first_line(path)
    delimiter = max(_DELIMITERS, key=line.count)
    if "::" in line:
        raise SourceError(
            f"{path} is delimited by '::'",
            expected="a delimiter of one character: , tab ; or |",
            remedy="read it with pandas.read_csv(path, sep='::', names=[...], engine='python') and give the frame",
            option="replace the delimiter, and begin the file with a line of names",
        )
    return TextTable(path, next(csv.reader([line], delimiter=delimiter)), delimiter)


def _first_line(path: Path) -> str:
    with _opened(path) as stream:
        start: str = stream.read(1 << 20).decode("utf-8-sig", errors="replace")
    lines = [line for line in start.splitlines() if line.strip()]
    if not lines:
        raise SourceError(f"{path} is empty", expected="a header line and rows")
    return lines[0]


@contextmanager
def _opened(path: Path) -> Iterator[pa.NativeFile]:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    with pa.input_stream(str(path), compression="gzip" if gzipped else None) as stream:
        yield stream


@contextmanager
def _readable(name: str, header: list[str]) -> Iterator[None]:
    """Errors of the readers as errors of ours."""
    try:
        yield
    except (pa.ArrowException, OSError, ImportError, UnicodeDecodeError) as error:
        cell = _BAD_CELL.search(str(error))
        if cell is None:
            raise SourceError(
                f"{name} cannot be read ({error})", expected="a whole CSV, TSV or Parquet file, or an Arrow table"
            ) from error
        column = _BAD_COLUMN.search(str(error))
        place = f"row {int(cell.group(1)) - 1:,}" + (f", column {header[int(column.group(1))]!r}" if column else "")
        raise ValueRangeError(f"{place} of {name}: {cell.group(3)}", expected=f"{cell.group(2)} in every row") from None
