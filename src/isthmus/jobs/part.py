"""One part of a batch job: rows of a Parquet file in, rows of a Parquet file out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.bundle.manifest import MANIFEST
from isthmus.checked.paths import plain_file
from isthmus.disk import written
from isthmus.errors import SourceError
from isthmus.faces import load
from isthmus.jobs.tasks import task_of

STAMP = b"isthmus.job"
"""Key of the stamp in the metadata of the file of a part."""

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """Some rows of a file, and the file of their results.

    Attributes:
        source: a Parquet file.
        start: the first row.
        stop: the row after the last one.
        target: the Parquet file of the results.
        stamp: identifies the bundle, the task, the options and the rows.
    """

    source: str
    start: int
    stop: int
    target: str
    stamp: str

    @property
    def name(self) -> str:
        """A description for messages."""
        return f"rows {self.start + 1:,} to {self.stop:,} of {self.source}"


def answer_part(
    bundle: str | Path,
    parquet_in: str | Path,
    parquet_out: str | Path,
    task: str = "recommend",
    *,
    rows: tuple[int, int] | None = None,
    stamp: str | None = None,
    **options: Any,
) -> int:
    """Process the rows of a Parquet file. The result depends on nothing else, and is written atomically.

    Args:
        bundle: a saved model; it stays loaded for the next part.
        parquet_in: the rows.
        parquet_out: the file of the results; an older one is replaced.
        task: ``recommend``, ``score``, ``encode`` or ``anomalies``, if the model supports it.
        rows: the first row and the one after the last; None for all.
        stamp: stored in the metadata of the file, which identifies it.
        options: options of the task, see ``isthmus jobs --help``.

    Returns:
        The number of rows of the result.

    Raises:
        SourceError: no Parquet file, or a damaged one.
        InputError: rows or options that the task does not accept.
        BundleError: not a bundle.
        OSError: for example, the disk is full.
    """
    answer = task_of(_model(str(bundle), _version(bundle)), task)
    table = answer(read_rows(parquet_in, rows), options)
    if stamp is not None:
        table = table.replace_schema_metadata({STAMP: stamp.encode()})
    with written(parquet_out) as file:
        pq.write_table(table, file)
    return len(table)


def read_rows(path: str | Path, rows: tuple[int, int] | None) -> pa.Table:
    """Some rows of a Parquet file; groups of rows without any of them are not read.

    Args:
        path: of the file.
        rows: the first row and the one after the last; None for all.

    Raises:
        SourceError: no Parquet file, or a damaged one.
    """
    with _opened(path) as file:
        start, stop = rows or (0, file.metadata.num_rows)
        groups, before, first = list[int](), 0, None
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if before < stop and before + count > start:
                first = before if first is None else first
                groups.append(group)
            before += count
        try:
            return file.read_row_groups(groups).slice(start - (first or 0), stop - start)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{str(path)!r} cannot be read ({error})", expected="a whole Parquet file") from None


def count_rows(path: str | Path) -> int:
    """The number of rows of a Parquet file. Raises SourceError if it is not one."""
    with _opened(path) as file:
        rows: int = file.metadata.num_rows
        return rows


def stamp_of(path: str | Path) -> str | None:
    """The stamp of a part; None for a file that has none, is damaged, or does not exist."""
    try:
        with pq.ParquetFile(path) as file:
            said = (file.metadata.metadata or {}).get(STAMP)
    except (pa.ArrowException, OSError):
        return None
    return None if said is None else said.decode()


def stamp_for(bundle: str | Path, task: str, options: Options, source: str, rows: tuple[int, int]) -> str:
    """The stamp of a part that is complete and up to date.

    Args:
        bundle: a saved model.
        task: what is asked.
        options: of the task.
        source: the file of the rows.
        rows: the first row and the one after the last.
    """
    now = os.stat(source)
    said = [_version(bundle), task, dict(options), os.path.realpath(source), now.st_size, now.st_mtime_ns, *rows]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _opened(path: str | Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(plain_file(path, "a Parquet file"))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{str(path)!r} is no Parquet file ({error})", expected="a Parquet file") from None


def _version(bundle: str | Path) -> str:
    """A value that changes when another model is saved at that path."""
    try:
        return hashlib.sha256((Path(bundle) / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""  # loading it raises the error


@lru_cache(maxsize=1)
def _model(bundle: str, version: str) -> Any:
    return load(bundle)


Answer = Callable[[pa.Table, Options], pa.Table]
