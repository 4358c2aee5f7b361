"""A column of text of a CSV file, a Parquet file or a table in memory, block by block."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from isthmus.errors import ColumnError, InputError, SourceError
from isthmus_text.files.packed import BLOCK, PackedTexts, TextPacker
from isthmus_text.files.plain import PACKED, codec_name, opened

logger = logging.getLogger(__name__)

TABLES = (".csv", ".tsv", ".parquet")


def is_table(path: Path) -> bool:
    """Whether the name is that of a CSV (.csv, .tsv, also packed) or Parquet file."""
    return _kind(path) in TABLES


def read_column(path: Path, column: str | None, encoding: str) -> PackedTexts:
    """The texts of one column of a file; a missing value is the empty text.

    Args:
        path: a CSV (.csv, .tsv, also packed) or Parquet file.
        column: its name; None takes the only one, or the one named ``text``.
        encoding: of a CSV file.

    Raises:
        SourceError: an unreadable file, or one without rows.
        ColumnError: a column that is missing, that has to be named, or that holds no text.
        InputError: a text that is not valid UTF-8; the row is named.
    """
    try:
        if _kind(path) == ".parquet":
            with pq.ParquetFile(path) as file:
                name = _text_column(file.schema_arrow, column, str(path))
                batches = (batch.column(0) for batch in file.iter_batches(columns=[name], batch_size=8192))
                return _collected(batches, str(path))
        with _csv(path, None, encoding) as reader:
            name = _column_name(reader.schema.names, column, str(path))
        with _csv(path, name, encoding) as reader:
            return _collected((batch.column(0) for batch in reader), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid {encoding}", expected=f"text in {encoding}") from error
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="a whole CSV or Parquet file") from error


def read_table_column(table: pa.RecordBatchReader, column: str | None) -> PackedTexts:
    """The texts of one column of a table in memory; otherwise as ``read_column``."""
    name = _text_column(table.schema, column, "the table")
    return _collected((batch.column(name) for batch in table), "the table")


def as_table(source: object) -> pa.RecordBatchReader | None:
    """The source as record batches if it is a table; None for a single column and for everything else.

    Whatever has the Arrow PyCapsule interface can be one: pyarrow, pandas, polars, DuckDB.
    """
    if not hasattr(source, "__arrow_c_stream__"):
        return None
    try:
        return pa.RecordBatchReader.from_stream(source)
    except (pa.ArrowException, TypeError):
        return None


@contextmanager
def _csv(path: Path, column: str | None, encoding: str) -> Iterator[Any]:
    """A CSV file as a stream of record batches; with a column, only that one."""
    # Bytes are taken as they are, so that what is not UTF-8 can be named by its row.
    options = {} if column is None else {"include_columns": [column], "column_types": {column: pa.large_binary()}}
    with opened(path) as file:
        yield pacsv.open_csv(
            file,
            pacsv.ReadOptions(block_size=BLOCK, encoding=codec_name(encoding), use_threads=False),
            pacsv.ParseOptions(delimiter="\t" if _kind(path) == ".tsv" else ",", newlines_in_values=True),
            pacsv.ConvertOptions(**options),
        )


def _kind(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix in PACKED else path.suffix.lower()


def _column_name(header: Sequence[str], requested: str | None, name: str) -> str:
    listed = ", ".join(map(repr, header))
    if requested is None:
        if len(header) == 1 or "text" in header:
            return header[0] if len(header) == 1 else "text"
        raise ColumnError(
            f"{name} has the columns {listed}",
            expected="one column, or one named 'text'",
            remedy="say which column holds the texts with column=NAME (--column NAME)",
        )
    if requested not in header:
        raise ColumnError(f"no column {requested!r} in {name}", expected=f"one of {listed}")
    return requested


def _text_column(schema: pa.Schema, requested: str | None, name: str) -> str:
    column = _column_name(schema.names, requested, name)
    kind = schema.field(column).type
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)):
        raise ColumnError(f"column {column!r} of {name} holds {kind}", expected="text")
    return column


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
