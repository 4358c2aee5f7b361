"""Tables in delimited text, read by pyarrow after their dialect was detected."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pacsv

from isthmus.errors import ColumnError, InputError, SourceError, ValueRangeError
from isthmus.files.decimals import COMMA, POINT
from isthmus.files.dialect import Dialect
from isthmus.files.opening import Contents, readable
from isthmus.files.quoting import Quotes
from isthmus.files.repair import Mended, Mender
from isthmus.files.stream import BlockFile, Plan, prepared

Quoting = Literal["none", "double", "backslash", "mixed"]

BLOCK = 1 << 24
"""Bytes that are parsed at a time; temporary memory is proportional to it."""

END_OF_FILE = "\x1a"
"""End-of-file character that old programs write at the end of a text."""

INFERRED = None
"""Placeholder for a type: infer it from the cells of the column."""

_BAD_CELL = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to (\S+): (.*)", re.DOTALL)
_BAD_ROW = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_SHOWN = {"double": "a number", "float": "a number", "int64": "a whole number", "bool": "true or false"}


@dataclass(frozen=True, eq=False)
class DelimitedTable:
    """A table in a file of delimited text.

    Attributes:
        contents: content of the file.
        plan: transformation of the bytes before they are parsed.
        dialect: dialect of the text.
        quotes: use of quotes in the text.
        quoting: meaning of a quote at the beginning of a field.
    """

    contents: Contents
    plan: Plan
    dialect: Dialect
    quotes: Quotes
    quoting: Quoting

    text = True
    """Whether cells are texts, because the file has no types."""

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.contents.name

    @property
    def header(self) -> list[str]:
        """The names of the columns; 1, 2, 3, ... if the file has none."""
        return list(self.dialect.header)

    @property
    def headed(self) -> bool:
        """Whether the file has a header."""
        return self.dialect.headed

    def batches(
        self, names: Sequence[str] | None = None, types: Mapping[str, Any] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches.

        Args:
            names: columns to read, in this order; None reads all.
            types: Arrow types by name; ``INFERRED`` infers the type from the cells. Other columns are ``large_string``
                with all cells as written in the file, empty ones as empty text.

        Yields:
            Record batches with the requested columns.

        Raises:
            ColumnError: a missing or duplicate name.
            SourceError: a row that is too short or too long, a truncated file, or lost rows.
            ValueRangeError: a cell that does not have its column's type; the message names line and column.
        """
        return self._batches(pacsv.open_csv, names, types)

    def _batches(
        self, parser: Any, names: Sequence[str] | None, types: Mapping[str, Any] | None
    ) -> Iterator[pa.RecordBatch]:
        places = range(len(self.header)) if names is None else [self.place_of(name) for name in names]
        kinds = {str(place): (types or {}).get(self.header[place], pa.large_string()) for place in places}
        mended, rows = Mended(), 0
        with self._errors(), closing(self._blocks(mended)) as blocks:
            for batch in self._parsed(parser, blocks, kinds):
                rows += batch.num_rows
                yield pa.RecordBatch.from_arrays(batch.columns, names=[self.header[place] for place in places])
        self._check_rows(rows, mended)

    def read(self, names: Sequence[str] | None = None, types: Mapping[str, Any] | None = None) -> pa.Table:
        """All rows as one table; inferred types depend on all rows. Otherwise like ``batches``."""
        batches = list(self._batches(pacsv.read_csv, names, types))
        if batches:
            return pa.Table.from_batches(batches)
        chosen = self.header if names is None else list(names)
        kinds = [(types or {}).get(name, pa.large_string()) for name in chosen]
        empty = [pa.array([], pa.null() if kind is INFERRED else kind) for kind in kinds]
        return pa.table(empty, names=chosen)

    def place_of(self, name: str) -> int:
        """The position of a column, from 0.

        Raises:
            ColumnError: no such column, or several.
        """
        places = [place for place, held in enumerate(self.header) if held == name]
        if len(places) == 1:
            return places[0]
        numbers = " and ".join(str(place + 1) for place in places)
        raise ColumnError(
            f"{len(places)} columns {name!r} ({numbers}) in {self.name}"
            if places
            else f"no column {name!r} in {self.name}",
            expected="a name of its own for every column"
            if places
            else f"one of {', '.join(map(repr, self.header[:30]))}",
        )

    def where(self, row: int, name: str | None = None) -> str:
        """The name of a row, and optionally a column, in messages.

        Args:
            row: row number from 0, without the header.
            name: name of a column.

        Returns:
            A text such as ``line 7, column 'rating' (3)``, both counted from 1.
        """
        column = "" if name is None else _column(self.header.index(name), self.header, headed=self.headed)
        return f"line {self.line(row):,}{column}"

    def line(self, row: int) -> int:
        """The line of the file, counted from 1, on which a row (counted from 0, without the header) begins."""
        found, open_ = self.plan.skipped, False
        started = -1
        for block in prepared(self.contents, self.plan):
            for line in block.splitlines(keepends=True):
                found += 1
                started += not open_ and bool(line.strip(b"\r\n"))
                if started == row:
                    return found
                if self.quoting in ("double", "backslash") and line.count(b'"') % 2:
                    open_ = not open_
        return found

    def _blocks(self, mended: Mended) -> Generator[bytes, None, None]:
        blocks = prepared(self.contents, self.plan)
        if self.quoting != "mixed":
            return blocks
        byte, escape = self.plan.byte.decode(), self.quotes.escaped
        return Mender(self.name, byte, len(self.header), escape, self.plan.skipped + 1, mended).rows(blocks)

    def _parsed(self, parser: Any, blocks: Iterator[bytes], kinds: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        reading = pacsv.ReadOptions(
            column_names=[str(place) for place in range(len(self.header))],
            block_size=BLOCK,
            use_threads=False,  # With threads the row of a bad cell is not known.
        )
        parsing = pacsv.ParseOptions(
            delimiter=self.plan.byte.decode(),
            quote_char=False if self.quoting == "none" else '"',
            escape_char="\\" if self.quoting == "backslash" else False,
            newlines_in_values=self.quotes.inside > 0 or self.quoting == "mixed",
            invalid_row_handler=_skip_blank,
        )
        converting = pacsv.ConvertOptions(
            include_columns=list(kinds),
            column_types={place: kind for place, kind in kinds.items() if kind is not INFERRED},
            strings_can_be_null=False,
            decimal_point=self.dialect.decimal,
        )
        try:
            parsed = parser(BlockFile(blocks), reading, parsing, converting)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return  # A header without rows.
            raise
        yield from parsed.to_batches() if isinstance(parsed, pa.Table) else parsed

    def _check_rows(self, rows: int, mended: Mended) -> None:
        """Check that no rows were lost: every line is a row, except blank lines and line breaks within quotes."""
        inside = mended.inside if self.quoting == "mixed" else 0 if self.quoting == "none" else self.quotes.inside
        lines = self.quotes.feeds + (not self.quotes.ended)
        if rows + inside == lines or rows + inside == lines - self._blank():
            return
        raise SourceError(
            f"{rows:,} rows were read from {lines:,} lines of {self.name}, {inside:,} of them within quotes",
            expected="a row for every line",
            remedy="close every quoted field, or say how the file is written with delimiter= and header=",
            option="close every quoted field, or say how the file is written with --delimiter and --no-header",
        )

    def _blank(self) -> int:
        lines = (
            line
            for block in prepared(self.contents, self.plan)
            for line in block.split(b"\n")[: block.count(b"\n") or None]
        )
        return sum(not line.strip().strip(END_OF_FILE.encode()) for line in lines)

    def _errors(self) -> _Errors:
        return _Errors(self)


class _Errors:
    """Converts errors of the parser to errors with line and column."""

    def __init__(self, table: DelimitedTable) -> None:
        self._table = table
        self._inner = readable(table.name)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, pa.ArrowException | OSError) or isinstance(error, InputError):
            return
        table, text = self._table, str(error)
        if cell := _BAD_CELL.search(text):
            place, row, wanted, why = int(cell[1]), int(cell[2]) - 1, cell[3], cell[4]
            column = _column(place, table.header, headed=table.headed)
            raise ValueRangeError(
                f"line {table.line(row):,}{column} of {table.name} holds {_cell(why)}",
                expected=_SHOWN.get(wanted, wanted) + _other_sign(why, table.dialect.decimal),
                remedy="correct the cell, or leave the column out",
            ) from None
        if ragged := _BAD_ROW.search(text):
            raise SourceError(
                f"line {table.line(int(ragged[1]) - 1):,} of {table.name} has {ragged[3]} columns",
                expected=f"{ragged[2]}, as in the first rows",
                remedy="correct the line, or say what stands between two columns with delimiter=",
                option="correct the line, or say what stands between two columns with --delimiter",
            ) from None
        with self._inner:
            raise error


def _column(place: int, header: Sequence[str], *, headed: bool) -> str:
    return f", column {header[place]!r} ({place + 1})" if headed else f", column {place + 1}"


def _other_sign(why: str, decimal: str) -> str:
    """A hint for a cell that would be a number with the other decimal separator."""
    found = re.search(r"invalid value '(.*)'", why, re.DOTALL)
    form, named = (COMMA, "point") if decimal == "." else (POINT, "comma")
    return f" with a decimal {named}, as in the rows before" if found and form.fullmatch(found[1].strip()) else ""


def _cell(why: str) -> str:
    found = re.search(r"invalid value '(.*)'", why, re.DOTALL)
    return repr(found[1]) if found else why


def _skip_blank(row: Any) -> str:
    return "error" if row.text.strip().strip(END_OF_FILE) else "skip"
