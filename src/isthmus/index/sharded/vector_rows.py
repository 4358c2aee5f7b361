"""Vectors in several files, of which any range of rows can be read without the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.checked.arguments import path_of
from isthmus.errors import ColumnError, InputError, SourceError

EXPECTED = "a folder of Parquet files, some of them as a list, a .npy file, or an array"


@dataclass(frozen=True)
class VectorRows:
    """Rows of a source, in order.

    Attributes:
        files: Parquet files, one after the other; a single ``.npy`` file; or nothing.
        array: the vectors themselves, if there are no files.
        counts: rows of each file.
    """

    files: Sequence[Path]
    array: Any
    counts: Sequence[int]

    @classmethod
    def of(cls, source: Any) -> VectorRows:
        """Look at a source.

        Args:
            source: a folder of Parquet files, a list of them, a ``.npy`` file, or an array [rows, width].

        Raises:
            SourceError: nothing of this kind, or a file that cannot be read.
            InputError: no vectors.
        """
        found = cls._of(source)
        if not len(found):
            raise InputError("no vectors", expected="at least one")
        return found

    @classmethod
    def _of(cls, source: Any) -> VectorRows:
        if hasattr(source, "shape"):
            return cls((), source, (int(source.shape[0]),))
        if isinstance(source, list | tuple) and source and all(isinstance(one, str | Path) for one in source):
            files = [Path(one) for one in source]
        else:
            place = path_of("vectors", source)
            if place.suffix == ".npy":
                return cls((place,), None, (len(_mapped(place)),))
            files = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
            if not files:
                raise SourceError(f"{str(place)!r} has no Parquet files", expected=EXPECTED)
        return cls(files, None, [_rows(file) for file in files])

    def __len__(self) -> int:
        return sum(self.counts)

    def read(self, start: int, stop: int) -> Any:
        """Rows ``start`` to ``stop``: a table, or an array.

        Raises:
            SourceError: a file that cannot be read.
            ColumnError: files of different columns.
        """
        if self.array is not None:
            return self.array[start:stop]
        if self.files[0].suffix == ".npy":
            return np.array(_mapped(self.files[0])[start:stop])
        tables, first = [], 0
        for file, count in zip(self.files, self.counts, strict=True):
            low, high = max(start, first), min(stop, first + count)
            if low < high:
                tables.append(_range(file, low - first, high - first))
            first += count
        return _joined(tables)

    def take(self, numbers: npt.NDArray[np.int64]) -> Any:
        """Some rows, by ascending number: a table, or an array. A file is read one group of rows after the other.

        Raises:
            SourceError: a file that cannot be read.
            ColumnError: files of different columns.
        """
        if self.array is not None:
            return self.array[numbers]
        if self.files[0].suffix == ".npy":
            return np.array(_mapped(self.files[0])[numbers])
        tables, first = [], 0
        for file, count in zip(self.files, self.counts, strict=True):
            own = numbers[(numbers >= first) & (numbers < first + count)] - first
            if len(own):
                tables += _some(file, own)
            first += count
        return _joined(tables)

    def part(self, start: int, stop: int) -> tuple[VectorRows, int, int]:
        """What another process needs to read rows ``start`` to ``stop``: a source, and their numbers in it."""
        if self.array is None:
            return self, start, stop
        return VectorRows((), self.array[start:stop], (stop - start,)), 0, stop - start


def _mapped(place: Path) -> Any:
    try:
        return np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SourceError(f"{str(place)!r} cannot be read ({error})", expected=EXPECTED) from error


def _rows(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{str(file)!r} is no Parquet file ({error})", expected=EXPECTED) from error


def _range(file: Path, start: int, stop: int) -> pa.Table:
    """Some rows of a file; row groups without any of them are not read."""
    try:
        with pq.ParquetFile(file) as opened:
            first, groups, before = 0, list[int](), 0
            for group in range(opened.num_row_groups):
                count = opened.metadata.row_group(group).num_rows
                if first < stop and first + count > start:
                    before = first if not groups else before
                    groups.append(group)
                first += count
            return opened.read_row_groups(groups).slice(start - before, stop - start)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{str(file)!r} cannot be read ({error})", expected=EXPECTED) from error


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException as error:
        raise ColumnError(f"files of different columns ({error})", expected="the same columns in all files") from error


def _some(file: Path, numbers: npt.NDArray[np.int64]) -> list[pa.Table]:
    """Rows of a file by ascending number, one group of rows in memory at a time."""
    try:
        with pq.ParquetFile(file) as opened:
            tables, first = [], 0
            for group in range(opened.num_row_groups):
                count = opened.metadata.row_group(group).num_rows
                own = numbers[(numbers >= first) & (numbers < first + count)] - first
                if len(own):
                    tables.append(opened.read_row_group(group).take(own))
                first += count
            return tables
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{str(file)!r} cannot be read ({error})", expected=EXPECTED) from error
