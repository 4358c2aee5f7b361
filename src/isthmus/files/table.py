"""Opens files of any supported format as tables: delimited text, JSON or Parquet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.errors import ColumnError, InputError, SettingError
from isthmus.files.delimited import DelimitedTable
from isthmus.files.find_out import delimited_table, sampled_names
from isthmus.files.json_table import is_json, json_table
from isthmus.files.opening import Contents, opened, readable
from isthmus.files.options import Told
from isthmus.reprs import brief

logger = logging.getLogger(__name__)

BATCH_ROWS = 1 << 20
"""Maximum number of rows per batch."""

EXPECTED = "a CSV, TSV, JSON or Parquet file"


@brief
@dataclass(frozen=True, eq=False)
class TypedTable:
    """A table with typed columns, of a Parquet or a JSON file.

    Attributes:
        name: name in messages.
        header: names of the columns.
        stream: function from columns to batches of rows.
        unit: name of a row in messages.
    """

    name: str
    header: list[str]
    stream: Callable[[list[str]], Iterator[pa.RecordBatch]]
    unit: str = "row"

    text = False
    """Whether cells are texts, because the file has no types."""
    headed = True
    """Whether the file has a header."""

    def batches(
        self, names: Sequence[str] | None = None, types: Mapping[str, Any] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches.

        Args:
            names: columns to read, in this order; None reads all.
            types: ignored, because the columns are typed.

        Yields:
            Record batches with the requested columns.

        Raises:
            ColumnError: a missing or duplicate name.
            SourceError: a truncated file.
        """
        chosen = list(self.header if names is None else names)
        for name in chosen:
            self.place_of(name)
        with readable(self.name):
            yield from self.stream(chosen)

    def read(self, names: Sequence[str] | None = None, types: Mapping[str, Any] | None = None) -> pa.Table:
        """All rows as one table; otherwise like ``batches``."""
        batches = list(self.batches(names, types))
        if batches:
            return pa.Table.from_batches(batches)
        return pa.table([pa.array([]) for _ in names or self.header], names=list(names or self.header))

    def place_of(self, name: str) -> int:
        """The position of a column, from 0.

        Raises:
            ColumnError: no such column, or several.
        """
        if self.header.count(name) == 1:
            return self.header.index(name)
        raise ColumnError(
            f"{self.header.count(name) or 'no'} column{'s' if name in self.header else ''} {name!r} in {self.name}",
            expected=f"one of {', '.join(map(repr, self.header[:30]))}",
        )

    def where(self, row: int, name: str | None = None) -> str:
        """The name of a row (given from 0), and optionally a column, in messages, both counted from 1."""
        column = "" if name is None else f", column {name!r} ({self.header.index(name) + 1})"
        return f"{self.unit} {row + 1:,}{column}"


FileTable = DelimitedTable | TypedTable


def open_table(path: str | Path, told: Told | None = None, *, numbered: bool = False) -> FileTable:
    """Open a file as a table. The format is determined by its content or, if that is ambiguous, by its name.

    Args:
        path: path of a file of delimited text (comma, semicolon, tab, ``|``, ``::``, spaces), JSON (one object per
            line, an array, an object of columns) or Parquet; text may be compressed (gzip, bzip2, xz, zstandard, LZ4).
        told: options of a text file that the caller gave, which are not detected.
        numbered: whether a header may be a row of evenly spaced numbers.

    Returns:
        The table; the rows of delimited text are not in memory.

    Raises:
        SourceError: no such file, an empty file, or not a table.
        InputError: bytes that are invalid in the encoding; the message names the line.
        SettingError: options of a text file for a Parquet file.
    """
    place, told = Path(path), told or Told()
    if _is_parquet(place):
        if told.said():
            raise SettingError(
                f"{', '.join(told.said())} for the Parquet file {place}",
                expected="a file of text",
                remedy="leave it away",
            )
        return _parquet(place)
    contents = opened(place, EXPECTED)
    if told.delimiter is None and is_json(contents, told):
        return _json(contents, told)
    return delimited_table(contents, told, numbered=numbered)


def open_alike(path: str | Path, told: Told, other: Told, *, numbered: bool = False) -> FileTable:
    """Open a file as a table with the options of another file, as far as they fit.

    Args:
        path: path of the file; see ``open_table``.
        told: options of the file that the caller gave.
        other: options of the other file.
        numbered: whether a header may be a row of evenly spaced numbers.

    Returns:
        The table; what ``other`` says is found out instead where the file cannot be read so, or would be one column.

    Raises:
        InputError: the errors of ``open_table``.
    """
    both = told.over(other)
    if both == told:
        return open_table(path, told, numbered=numbered)
    try:
        table = open_table(path, both, numbered=numbered)
        if len(table.header) > 1 or both.delimiter is None:
            return table
    except InputError:
        pass
    logger.info("%s is not written as the other file is: how, is found out", path)
    return open_table(path, told, numbered=numbered)


def open_beside(path: str | Path, other: Told) -> FileTable:
    """A file that lies beside another one, such as titles beside interactions.

    Args:
        path: path of the file; see ``open_table``.
        other: what is known of the other file. Its encoding and its delimiter count as far as they fit, and whether it
            has a line of names where the contents of this one leave that open.

    Returns:
        The table.

    Raises:
        InputError: the errors of ``open_table``.
    """
    nothing = Told()
    table = open_alike(path, nothing, other.without("header"))
    unsure = isinstance(table, DelimitedTable) and not table.dialect.sure
    if unsure and other.header is not None and other.header != table.headed:
        return open_alike(path, Told(header=other.header), other)
    return table


def column_names(path: str | Path, told: Told) -> list[str] | None:
    """The names of the columns of a file that is a table by its contents; None for one that may be any text.

    Args:
        path: path of the file.
        told: what is known of it.

    Returns:
        The names; for delimited text only if its first rows, at least three, have the same width.

    Raises:
        SourceError: no such file, an empty file, or a known binary format.
    """
    if _is_parquet(Path(path)):
        return _parquet(Path(path)).header
    contents = opened(Path(path), "a file of text")
    if is_json(contents, told):
        return open_table(path, told).header
    found = sampled_names(contents, told)
    return None if found is None else list(found)


def read_table(
    path: str | Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """All rows of a file.

    Args:
        path: path of the file; see ``open_table``.
        encoding: encoding of a text file; detected if not given.
        delimiter: delimiter of the columns; detected if not given.
        header: whether the first line is a header; detected if not given.
        columns: columns to read, in this order; by default all.

    Returns:
        A table. Columns of delimited text are ``large_string`` with the cells as written; others have their types.

    Raises:
        InputError: the errors of ``open_table`` and ``DelimitedTable.batches``.
    """
    return open_table(path, Told.of(encoding, delimiter, header)).read(columns)


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with readable(str(path)), path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet(path: Path) -> TypedTable:
    with readable(str(path)), pq.ParquetFile(path) as file:
        header = list(file.schema_arrow.names)

    def stream(names: list[str]) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path) as again:
            yield from again.iter_batches(batch_size=BATCH_ROWS, columns=names)

    return TypedTable(str(path), header, stream)


def _json(contents: Contents, told: Told) -> TypedTable:
    table, lines = json_table(contents, told.without("delimiter", "header"))

    def stream(names: list[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(names).to_batches(max_chunksize=BATCH_ROWS)

    return TypedTable(contents.name, list(table.column_names), stream, "line" if lines else "row")
