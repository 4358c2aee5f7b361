"""Tables in JSON: one line per row, an array of objects, or an object of columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from isthmus.checked.paths import check_fits
from isthmus.errors import InputError, SourceError
from isthmus.files.encodings import as_utf8, check_text, guessed, say_guessed
from isthmus.files.find_out import encoding_of
from isthmus.files.opening import Contents
from isthmus.files.options import Told
from isthmus.files.stream import BlockFile, whole_lines

ENDINGS = (".json", ".jsonl", ".ndjson")
EXPECTED = "JSON: an object a line, an array of objects, or an object of columns"
WITH_ROWS = 4
"""Minimum memory for converting a document to a table, in multiples of the size of its text."""

EXACT = 2**53
"""Above this, integers are not exact as floats."""


def is_json(contents: Contents, told: Told) -> bool:
    """Whether a file is JSON, by its name or its first characters."""
    if contents.kind in ENDINGS:
        return True
    start, whole = contents.start(1 << 16)
    text = start.decode(told.encoding or encoding_of(contents), "ignore").lstrip("\ufeff \t\r\n")
    if not text.startswith(("{", "[")):
        return False
    line = text.split("\n", 1)[0].strip()
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return whole and _is_document(text)


def _is_document(text: str) -> bool:
    try:
        return bool(_rows_of(json.loads(text)))
    except ValueError:
        return False


def json_table(contents: Contents, told: Told) -> tuple[pa.Table, bool]:
    """The rows of a JSON file.

    Args:
        contents: content of the file.
        told: the encoding, if given.

    Returns:
        The table, and whether each row is a line.

    Raises:
        SourceError: invalid JSON, or not a table; the message names the line.
    """
    encoding = told.encoding or encoding_of(contents)
    try:
        text = _text(contents, encoding)
    except InputError:
        if told.encoding is not None or encoding != "utf-8":
            raise
        found = guessed(contents.blocks())
        if found is None:
            raise
        text = _text(contents, found)
        say_guessed(contents.name, found)
    check_text(text[:4096], contents.name, EXPECTED)
    if text.lstrip()[:1] == b"{" and (table := _fast(text)) is not None:
        return table, True
    rows, lines = _parsed(text, contents.name)
    return _as_table(rows, contents.name), lines


def _text(contents: Contents, encoding: str) -> bytes:
    blocks, size = list[bytes](), 0
    for block in as_utf8(contents.blocks(), encoding, contents.name):
        blocks.append(block)
        size += len(block)
        # Unlike other tables, JSON is in memory as a whole, as text and as rows.
        check_fits(WITH_ROWS * size, f"the JSON in {contents.name!r} with its rows")
    return b"".join(blocks)


def _fast(text: bytes) -> pa.Table | None:
    """Lines read by pyarrow; None if that fails, or if integers would not stay exact."""
    try:
        table = pajson.read_json(
            BlockFile(whole_lines([text])), pajson.ReadOptions(use_threads=False, block_size=1 << 24)
        )
    except pa.ArrowException:
        return None
    feeds = text.count(b"\n") + (not text.endswith(b"\n"))
    if table.num_rows < 2:
        return None  # One object can be a whole table.
    if table.num_rows != feeds and table.num_rows != sum(bool(line.strip()) for line in text.split(b"\n")):
        return None
    for column, kind in zip(table.columns, table.schema.types, strict=True):
        if pa.types.is_timestamp(kind):
            return None  # Texts stay texts.
        if pa.types.is_floating(kind) and any(abs(number) >= EXACT for number in column.drop_null().to_numpy()):
            return None
    return table


def _parsed(text: bytes, name: str) -> tuple[Any, bool]:
    """All rows, and whether each is a line."""
    if text.lstrip()[:1] == b"{":
        try:
            rows = list(_lines(text, name))
            whole = _rows_of(rows[0]) if len(rows) == 1 else []
            return (whole, False) if whole else (rows, True)
        except SourceError as wrong:
            failed = wrong
    else:
        failed = None
    try:
        rows = _rows_of(_loaded(text))
    except SourceError as error:
        raise failed or SourceError(f"{name} has {error.given}", expected=error.expected) from None
    except ValueError as error:
        place = f"line {error.lineno:,}, column {error.colno:,}" if isinstance(error, json.JSONDecodeError) else "it"
        raise failed or SourceError(f"{name} is not JSON: {place}", expected=EXPECTED) from None
    except RecursionError:
        raise SourceError(f"{name} is nested too deeply", expected=EXPECTED) from None
    if not rows:
        raise failed or SourceError(f"{name} holds no rows", expected=EXPECTED)
    return rows, False


def _lines(text: bytes, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            try:
                row = _loaded(line)
            except SourceError as error:
                raise SourceError(f"line {number:,} of {name} has {error.given}", expected=error.expected) from None
            except (ValueError, RecursionError) as error:
                column = f", column {error.colno:,}" if isinstance(error, json.JSONDecodeError) else ""
                raise SourceError(f"line {number:,}{column} of {name} is not JSON", expected=EXPECTED) from None
            if not isinstance(row, dict):
                raise SourceError(f"line {number:,} of {name} is no object", expected=EXPECTED)
            yield row


def _loaded(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"an object with several values for {doubled!r}", expected="a name of its own for each value")
    return found


def _rows_of(found: Any) -> list[dict[str, Any]]:
    """Rows of an array of objects, or of an object of columns; no rows for anything else."""
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    if isinstance(found, dict) and found:
        columns = {name: list(held.values()) if isinstance(held, dict) else held for name, held in found.items()}
        if all(isinstance(held, list) for held in columns.values()) and len(set(map(len, columns.values()))) == 1:
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        inner = [held for held in found.values() if isinstance(held, list) and held and isinstance(held[0], dict)]
        if len(inner) == 1:
            return _rows_of(inner[0])
    return []


def _as_table(rows: list[dict[str, Any]], name: str) -> pa.Table:
    names = list(dict.fromkeys(key for row in rows for key in row))
    return pa.table([_column([row.get(key) for row in rows], key, name) for key in names], names=names)


def _column(cells: list[Any], key: str, name: str) -> pa.Array:
    whole = [cell for cell in cells if isinstance(cell, int) and not isinstance(cell, bool)]
    try:
        if whole and max(whole) >= 2**63 and min(whole) >= 0 and all(type(cell) in (int, type(None)) for cell in cells):
            return pa.array(cells, pa.uint64())
        if _are_ids(cells):
            return pa.array([None if cell is None else str(cell) for cell in cells], pa.large_string())
        return pa.array(cells)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        kinds = [type(cell) for cell in cells if cell is not None]
        others = (row for row, cell in enumerate(cells) if cell is not None and type(cell) is not kinds[0])
        # All of one kind may be numbers beyond 64 bits.
        odd = next(others, next(row for row, cell in enumerate(cells) if cell is not None))
        raise SourceError(
            f"{key!r} in row {odd + 1:,} of {name} is {json.dumps(cells[odd], default=str)[:60]}",
            expected="values of one kind in a column",
        ) from None


def _are_ids(cells: list[Any]) -> bool:
    """Whether cells are integers of which some are text or do not fit into 64 bits, so that all are read as text."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int, str}:
        return True
    return kinds == {int} and not all(cell is None or -(2**63) <= cell < 2**64 for cell in cells)
