"""Sources of a store: files, folders of files, patterns, addresses, queries, or one table in memory."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import SettingError, SourceError
from isthmus.files import Told
from isthmus.reprs import counted
from isthmus_interactions.files.tables import Table, open_table
from isthmus_interactions.store.queries import address_query, query_table

ENDINGS = (".parquet", ".pq", ".csv", ".tsv", ".txt", ".dat", ".inter", ".json", ".jsonl", ".ndjson")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
"""Extensions of the files of a folder that are read."""


@dataclass(frozen=True)
class Part:
    """A part of the rows.

    Attributes:
        name: name in messages.
        open: opens the table.
        stamp: changes when the rows do; None if unknown, so that reading starts again after an interruption.
    """

    name: str
    open: Callable[[], Table]
    stamp: str | None


def parts_of(source: object, query: str | None, told: Told, scratch: Path) -> list[Part]:
    """The parts of a source.

    Args:
        source: a path, a pattern such as ``events/*.parquet``, a folder, an address such as ``s3://...``, several of
            these, or a table that ``Interactions.read`` accepts; None with a query.
        query: statements for DuckDB, the last of which returns the rows.
        told: options of text files.
        scratch: a folder for temporary files of DuckDB.

    Returns:
        Parts in the order given; files of a folder or a pattern by their names.

    Raises:
        SettingError: a source and a query, or neither.
        SourceError: a path that does not exist, or a pattern or folder without files.
    """
    if (source is None) == (query is None):
        raise SettingError(
            "a source and a query" if query is not None else "nothing to read", expected="files, or a query"
        )
    if query is not None:
        return [Part("the query", lambda: query_table(query, scratch), None)]
    several = source if isinstance(source, list | tuple) and source and all(map(_is_path, source)) else [source]
    found = [part for one in several for part in _parts(one, told, scratch)]
    twice = len(found) - len({part.name for part in found})
    if twice:
        raise SourceError(f"{counted(twice, 'file')} given twice", expected="each file once")
    return found


def _parts(source: object, told: Told, scratch: Path) -> list[Part]:
    if not _is_path(source):
        return [Part(type(source).__name__, lambda: open_table(source, None), None)]
    text = os.fspath(source)  # type: ignore[call-overload]
    if "://" in text:
        return [Part(text, lambda: query_table(address_query(text), scratch), None)]
    return [_file(path, told) for path in _paths(text)]


def _is_path(source: object) -> bool:
    return isinstance(source, str | os.PathLike)


def _paths(text: str) -> Sequence[str]:
    if os.path.isdir(text):
        found = sorted(str(path) for path in Path(text).rglob("*") if path.is_file() and _is_table(path))
        if not found:
            raise SourceError(f"the folder {text!r} has no file of events", expected=f"files {', '.join(ENDINGS[:4])}")
        return found
    if os.path.exists(text) or not glob.has_magic(text):
        return [text]
    found = sorted(path for path in glob.glob(text, recursive=True) if os.path.isfile(path))
    if not found:
        raise SourceError(f"no file matches {text!r}", expected="at least one")
    return found


def _is_table(path: Path) -> bool:
    named = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return not path.name.startswith((".", "_")) and named.suffix.lower() in ENDINGS


def _file(path: str, told: Told) -> Part:
    try:
        now = os.stat(path)
        stamp = f"{os.path.realpath(path)}:{now.st_size}:{now.st_mtime_ns}"
    except (OSError, ValueError):
        stamp = None  # whoever opens it says what is wrong
    return Part(path, lambda: open_table(path, told), stamp)
