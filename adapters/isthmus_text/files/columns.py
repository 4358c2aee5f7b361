"""Reads a column of text from delimited text, JSON or Parquet, or from a table in memory, in blocks."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.errors import ColumnError, SourceError
from isthmus.files import FileTable, Told, column_names, open_alike
from isthmus_text.files.packed import PackedTexts, TextPacker

logger = logging.getLogger(__name__)

TABLES = (".csv", ".tsv", ".tab", ".psv", ".parquet", ".json", ".jsonl", ".ndjson")
"""Extensions of tables; for other files the content decides."""

NAMES = (
    *("text", "texts", "sentence", "sentences", "body", "content", "contents", "reviewtext", "review", "comment"),
    *("message", "tweet", "utterance", "document", "description", "caption", "question", "abstract", "summary"),
    *("paragraph", "selftext", "plot", "title"),
)
"""Usual names of text columns, most likely first, without case, underscores and hyphens."""

LOOKED_AT = 1000
"""Number of rows for deciding whether a column contains words."""


def is_table(path: Path, told: Told) -> bool:
    """Whether a file is a table: by its name, by the given options, because it is JSON, or because all rows have the
    same number of columns and one of them has a usual name of a text column."""
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    if any(ending in TABLES for ending in endings) or told.delimiter is not None or told.header is not None:
        return True
    found = column_names(path, told)
    return found is not None and any(_bare(name) in NAMES for name in found)


def read_column(path: Path, column: str | None, told: Told, remembered: Told) -> PackedTexts:
    """The texts of one column of a file; a missing value is the empty text.

    Args:
        path: path of delimited text, JSON or Parquet.
        column: its name; None selects the only one, or one whose name or content looks like text, which is logged.
        told: options of a text file that the caller gave.
        remembered: options of another file, used as far as they fit.

    Raises:
        SourceError: an unreadable file, or one without rows.
        ColumnError: a column that is missing, must be specified, or is not text.
        InputError: bytes that are invalid in the encoding; the message names the line.
    """
    table = open_alike(path, told, remembered)
    name = _column_name(table.header, column, str(path), lambda: _columns_of_words(table))
    return _collected((_text(batch.column(0), name, str(path)) for batch in table.batches([name])), str(path))


def read_table_column(table: pa.RecordBatchReader, column: str | None) -> PackedTexts:
    """The texts of one column of a table in memory; otherwise like ``read_column``."""
    name = _text_column(table.schema, column, "the table")
    return _collected((batch.column(name) for batch in table), "the table")


def as_table(source: object) -> pa.RecordBatchReader | None:
    """The source as record batches if it is a table; None for a single column and for everything else.

    Tables are objects with the Arrow PyCapsule interface: pyarrow, pandas, polars, DuckDB.
    """
    if not hasattr(source, "__arrow_c_stream__"):
        return None
    try:
        return pa.RecordBatchReader.from_stream(source)
    except (pa.ArrowException, TypeError):
        return None


def _column_name(header: Sequence[str], requested: str | None, name: str, words: Callable[[], list[str]]) -> str:
    listed = ", ".join(map(repr, header[:30]))
    if requested is not None:
        if requested not in header:
            raise ColumnError(f"no column {requested!r} in {name}", expected=f"one of {listed}")
        return requested
    if len(header) == 1 or "text" in header:
        return header[0] if len(header) == 1 else "text"
    named = sorted((one for one in header if _bare(one) in NAMES), key=lambda one: NAMES.index(_bare(one)))
    found = named[:1] or words()
    if len(found) == 1:
        logger.info("%s: texts are read from column %r; column= (--column) names another", name, found[0])
        return found[0]
    raise ColumnError(
        f"{name} has the columns {listed}",
        expected="one column, or one named 'text'",
        remedy="say which column holds the texts with column=NAME (--column NAME)",
    )


def _columns_of_words(table: FileTable) -> list[str]:
    """The columns in which most cells have several words."""
    batch = next(iter(table.batches()), None)
    if batch is None:
        return []
    found = []
    for name, column in zip(table.header, batch.columns, strict=True):
        cells = [cell for cell in column.slice(0, LOOKED_AT).to_pylist() if cell]
        if cells and 2 * sum(isinstance(cell, str) and len(cell.split()) > 1 for cell in cells) > len(cells):
            found.append(name)
    return found


def _text(column: pa.Array, name: str, where: str) -> pa.Array:
    _check_text(column.type, name, where)
    return column


def _text_column(schema: pa.Schema, requested: str | None, name: str) -> str:
    column = _column_name(schema.names, requested, name, lambda: [])
    _check_text(schema.field(column).type, column, name)
    return column


def _check_text(kind: pa.DataType, column: str, where: str) -> None:
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(test(held) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        raise ColumnError(f"column {column!r} of {where} holds {kind}", expected="text")


def _bare(name: str) -> str:
    return re.sub(r"[_\- ]", "", name.strip().lower())


def _collected(columns: Iterable[pa.Array] | Iterator[pa.Array], name: str) -> PackedTexts:
    packer, rows, missing = TextPacker(), 0, 0
    for column in columns:
        rows, missing = rows + len(column), missing + column.null_count
        if len(column):
            packer.extend(*_bytes_of(column))
    if not rows:
        raise SourceError(f"{name} has no rows", expected="at least one")
    if missing:
        logger.warning("%s of %s texts of %s are missing: taken as empty", missing, rows, name)
    return packer.packed(name, "row")


def _bytes_of(column: pa.Array) -> tuple[Any, Any]:
    texts = column
    if not pa.types.is_large_binary(texts.type):
        texts = texts.cast(pa.large_string()).cast(pa.large_binary())
    if texts.null_count:
        texts = texts.fill_null(b"")
    _, places, contents = texts.buffers()
    offsets = np.frombuffer(places, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(contents, np.uint8) if contents is not None else np.empty(0, np.uint8)
    return data[offsets[0] : offsets[-1]], np.diff(offsets)
