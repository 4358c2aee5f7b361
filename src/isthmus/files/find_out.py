"""Opens a file of delimited text as a table: detects encoding, dialect and quoting, and logs unusual findings."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from isthmus.errors import SourceError
from isthmus.files.decimals import DecimalSigns
from isthmus.files.delimited import DelimitedTable
from isthmus.files.dialect import dialect_of, find_delimiter, rows_of
from isthmus.files.encodings import EncodingError, as_utf8, check_text, guessed, marked, say_guessed
from isthmus.files.opening import Contents
from isthmus.files.options import Told
from isthmus.files.quoting import quotes_of
from isthmus.files.repair import quoted_share
from isthmus.files.stream import Plan, prepared
from isthmus.reprs import counted

logger = logging.getLogger(__name__)

SAMPLE = 1 << 18
"""Number of bytes in which the delimiter and the header are detected."""

WHOLE = "a table in delimited text: CSV, TSV or the like"


def delimited_table(contents: Contents, told: Told, *, numbered: bool = False) -> DelimitedTable:
    """Detect the format of a file.

    The encoding, the use of quotes and, if the first rows do not show it, the decimal separator are detected from the
    whole file, which is read once; delimiter and header from its first rows. Unusual findings are logged.

    Args:
        contents: content of the file.
        told: options given by the caller.
        numbered: whether a header may be a row of evenly spaced numbers.

    Returns:
        The table; its rows are not in memory.

    Raises:
        SourceError: a file that is empty or not text.
        EncodingError: bytes that are invalid in the given encoding.
    """
    encoding = told.encoding or encoding_of(contents)
    try:
        table = _found(contents, told, encoding, numbered=numbered)
    except EncodingError:
        if told.encoding is not None or encoding != "utf-8":
            raise
        found = guessed(contents.blocks())
        if found is None:
            raise
        encoding = found
        table = _found(contents, told, encoding, numbered=numbered)
        say_guessed(contents.name, encoding)
    _say(table)
    return table


def encoding_of(contents: Contents) -> str:
    """The encoding that the first bytes show: by a byte-order mark, or UTF-16 without one; otherwise UTF-8."""
    start, _ = contents.start(4096)
    return marked(start) or "utf-8"


def sampled_names(contents: Contents, told: Told) -> tuple[str, ...] | None:
    """The names of the columns of a text whose first rows have the same width; None if it may not be a table."""
    start, whole = contents.start(SAMPLE)
    encoding = told.encoding or encoding_of(contents)
    try:
        text = b"".join(as_utf8(_cut(start, encoding, whole=whole), encoding, contents.name)).decode()
    except EncodingError:
        text = start.decode("latin-1")
    lines = [line.removesuffix("\r") for line in text.split("\n")[: None if whole else -1]]
    found = find_delimiter(lines)
    if found in (None, " "):
        return None
    rows, _ = rows_of(lines, found)
    alike = len(rows) > 2 and all(len(row) == len(rows[0]) for row in rows)
    return tuple(name.strip() for name in rows[0]) if alike else None


def _found(contents: Contents, told: Told, encoding: str, *, numbered: bool) -> DelimitedTable:
    start, whole = contents.start(SAMPLE)
    text = b"".join(as_utf8(_cut(start, encoding, whole=whole), encoding, contents.name))
    check_text(text, contents.name, WHOLE)
    text = text.replace(b"\0", b"")
    returns = b"\n" not in text and b"\r" in text
    if returns:
        text = text.replace(b"\r", b"\n")
    if not whole and b"\n" in text:
        text = text[: text.rfind(b"\n") + 1]
    dialect = dialect_of(text.decode("utf-8", "replace"), told, tabs=contents.kind == ".tsv", numbered=numbered)
    if not dialect.header:
        raise SourceError(f"{contents.name} is empty", expected="a table: names of columns, and rows")
    plan = Plan(encoding, returns, dialect.skipped, dialect.delimiter)
    nulls: list[int] = []
    signs, blocks = DecimalSigns(plan.byte), prepared(contents, plan, nulls)
    quotes = quotes_of(blocks if dialect.decimal else signs.watched(blocks), plan.byte[0], len(dialect.header))
    dialect = replace(dialect, decimal=dialect.decimal or signs.decimal)
    if nulls:
        logger.warning("%s holds null bytes, which are left out: %s", contents.name, f"{sum(nulls):,}")
    return _with_quoting(DelimitedTable(contents, plan, dialect, quotes, "none"))


def _cut(start: bytes, encoding: str, *, whole: bool) -> Iterator[bytes]:
    """The first bytes, without an incomplete character at the end."""
    if whole:
        yield start
        return
    unit = 4 if "32" in encoding else 2 if "16" in encoding else 1
    cut = start.rfind(b"\n")
    yield start[: (cut + unit) // unit * unit if cut >= 0 else len(start) // unit * unit]


def _with_quoting(table: DelimitedTable) -> DelimitedTable:
    """Detect the use of quotes from the whole text: they enclose fields, or are ordinary characters, or both."""
    quotes = table.quotes
    if not quotes.any:
        return table
    if (quotes.strict or quotes.escaped) and quotes.torn * 2 <= quotes.broken:
        return replace(table, quoting="double" if quotes.strict else "backslash")
    delimiter, width = table.plan.byte.decode(), len(table.header)
    closed, literal = quoted_share(prepared(table.contents, table.plan), delimiter, width, escape=quotes.escaped)
    if literal and closed < 0.5:
        return table
    if closed < 1:
        logger.warning("%s has quotes that are not closed in their line: they are letters if it is a row", table.name)
    return replace(table, quoting="mixed")


def _say(table: DelimitedTable) -> None:
    dialect, name = table.dialect, table.name
    if dialect.before:
        logger.warning("%s: %s before the table left out", name, counted(dialect.before, "line"))
    if dialect.decimal == ",":
        logger.info("%s has decimal commas", name)
    if table.quotes.any and table.quoting == "none":
        logger.info("%s has quotes that do not hold fields together: they are read as letters", name)
