"""A common interface of files and in-memory tables: a header and a stream of record batches.

Files are read by ``isthmus.files``. Every object with the Arrow PyCapsule interface (Arrow tables, pandas, polars,
DuckDB, ...) is a table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from isthmus.errors import SettingError, SourceError
from isthmus.files import FileTable, Told, open_alike
from isthmus_interactions.files.arrays import table_of_arrays
from isthmus_interactions.files.columns import Columns

BATCH_ROWS = 1 << 20
"""Maximum number of rows per batch; temporary memory is proportional to it."""


@dataclass(frozen=True)
class StreamTable:
    """A table in memory, or a stream that can be read once."""

    reader: pa.RecordBatchReader
    name: str

    text = False
    headed = True

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.reader.schema.names]

    def batches(
        self, names: Sequence[str] | None = None, types: Mapping[str, Any] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The requested columns in batches, with their types.

        Raises:
            SourceError: the stream is truncated.
        """
        try:
            for batch in self.reader:
                wanted = batch if names is None else batch.select(list(names))
                for start in range(0, wanted.num_rows, BATCH_ROWS):
                    yield wanted.slice(start, BATCH_ROWS)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{self.name} cannot be read ({error})", expected="a whole Arrow table") from error

    def read(self, names: Sequence[str] | None = None, types: Mapping[str, Any] | None = None) -> pa.Table:
        """The requested columns as one table; otherwise like ``batches``."""
        schema = self.reader.schema
        chosen = list(schema.names if names is None else names)
        return pa.Table.from_batches(self.batches(chosen), pa.schema([schema.field(name) for name in chosen]))

    def where(self, row: int, name: str | None = None) -> str:
        """The name of a row (given from 0), and optionally a column, in messages, both counted from 1."""
        return f"row {row + 1:,}" + ("" if name is None else f", column {name!r} ({self.header.index(name) + 1})")


Table = FileTable | StreamTable


def open_table(source: object, told: Told | None = None, *, remembered: Told | None = None) -> Table:
    """Open a path or an object as a table.

    Args:
        source: a path to a file of delimited text, JSON or Parquet, see ``isthmus.files.open_table``; an object with
            the Arrow PyCapsule interface; or a tuple of columns, see ``arrays.table_of_arrays``.
        told: options of a text file that the caller gave.
        remembered: options of another file, used as far as they fit this one.

    Raises:
        SourceError: no such file, an empty file, or an object that cannot be read as a table.
        SettingError: ``told`` for an object that is not a file.
    """
    if isinstance(source, str | os.PathLike):
        return open_alike(os.fspath(source), told or Told(), remembered or Told())
    if told is not None and told.said():
        names = " and ".join(f"{name}=" for name in told.said())
        raise SettingError(f"{names} for {type(source).__name__}", expected="a file")
    if isinstance(source, tuple):
        return StreamTable(table_of_arrays(source).to_reader(), "a tuple of arrays")
    name = f"{type(source).__module__.split('.')[0]} {type(source).__name__}"
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if hasattr(source, "__arrow_c_stream__"):
        try:
            return StreamTable(pa.RecordBatchReader.from_stream(source), name)
        except (pa.ArrowException, OSError, ImportError, UnicodeEncodeError) as error:
            raise SourceError(f"{name} cannot be read ({error})", expected="an Arrow table") from error
    raise SourceError(
        f"an object of type {name}",
        expected="a path, a table with the Arrow PyCapsule interface (pyarrow, pandas 2.2 or newer, polars, ...), a "
        "SciPy matrix of users and items, or a tuple of arrays (users, items, values)",
        remedy="columns in a dictionary become a pyarrow.table(...), a dense matrix a scipy.sparse.csr_array(...)",
    )


def events_in(table: Table, columns: Columns) -> Iterator[pa.RecordBatch]:
    """The requested columns of a table in batches; for a text file, values as numbers, ids and times as text."""
    types = {} if columns.value is None else {columns.value: pa.float64()}
    return table.batches(columns.names, types)
