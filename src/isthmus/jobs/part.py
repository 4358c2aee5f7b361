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
"""Under this name a part says what it answers, in the metadata of its file."""

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """Some rows of a file, and where their answers go.

    Attributes:
        source: a Parquet file.
        start: the first of its rows.
        stop: the row after the last one.
        target: the Parquet file of the answers.
        stamp: says what is answered: the bundle, the task, the options and the rows.
    """

    source: str
    start: int
    stop: int
    target: str
    stamp: str

    @property
    def name(self) -> str:
        """What messages call it."""
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
    """Answer the rows of a Parquet file. The result depends on nothing else, and appears whole or not at all.

    Args:
        bundle: a saved model; it stays loaded for the next part.
        parquet_in: the rows.
        parquet_out: where the answers go; an older file is replaced.
        task: ``recommend``, ``score``, ``encode`` or ``anomalies``, as far as the model can do it.
        rows: the first row and the one after the last; None for all.
        stamp: kept in the metadata of the file, so that it can be recognised.
        options: of the task, see ``isthmus jobs --help``.

    Returns:
        The number of rows of the answer.

    Raises:
        SourceError: no Parquet file, or a damaged one.
        InputError: rows or options that the task does not take.
        BundleError: no bundle.
        OSError: the disk is full, say.
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
    """The number of rows of a Parquet file. Raises SourceError: no Parquet file."""
    with _opened(path) as file:
        rows: int = file.metadata.num_rows
        return rows


def stamp_of(path: str | Path) -> str | None:
    """What a part says that it answers; None for a file that says nothing, is damaged, or is not there."""
    try:
        with pq.ParquetFile(path) as file:
            said = (file.metadata.metadata or {}).get(STAMP)
    except (pa.ArrowException, OSError):
        return None
    return None if said is None else said.decode()


def stamp_for(bundle: str | Path, task: str, options: Options, source: str, rows: tuple[int, int]) -> str:
    """What a part that is whole and up to date says.

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
    """What changes when another model is saved at that place."""
    try:
        return hashlib.sha256((Path(bundle) / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""  # whoever loads it says what is wrong


@lru_cache(maxsize=1)
def _model(bundle: str, version: str) -> Any:
    return load(bundle)


Answer = Callable[[pa.Table, Options], pa.Table]
