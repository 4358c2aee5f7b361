"""A store on disk.

    STORE/
      store.json             what it is, and size and SHA-256 of every other file
      users.arrow            the ids, in the order of the rows
      items.arrow            the ids, in the order of the columns
      pairs.ends.npy         int64, where the items of each user start and, after the last user, their end
      pairs.items.npy        int32, ascending for each user
      pairs.values.npy       float32, unless all are 1
      events.ends.npy        the same for all events in order, if the order is known
      events.items.npy
      events.times.npy       int64 or float64, ascending for each user, if times are known

Arrays are memory-mapped: opening a store reads its files once to check them, and keeps the ids and 16 bytes per user in
memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.lib import format as npy

from isthmus.checked.arrays import read_npy
from isthmus.checked.paths import is_plain, read_limited
from isthmus.disk import told_by_system
from isthmus.errors import BundleError, SourceError
from isthmus.reprs import brief
from isthmus_interactions.csr import Csr, Ints
from isthmus_interactions.files.report import Report
from isthmus_interactions.ordered_histories import OrderedHistories

MANIFEST = "store.json"
FORMAT = 1
MOST_BYTES = 1 << 20
"""Maximum bytes of a manifest."""

PAIRS, EVENTS = "pairs", "events"
IDS = ("users.arrow", "items.arrow")


@brief
@dataclass(frozen=True)
class Manifest:
    """The description of a store.

    Attributes:
        users: number of users.
        items: number of items.
        pairs: number of pairs of user and item.
        events: number of events in order; None if the order is unknown.
        unit: unit of the times; None without times.
        report: report of the rows that were read, as JSON.
        files: size and SHA-256 of every other file.
    """

    users: int
    items: int
    pairs: int
    events: int | None
    unit: str | None
    report: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    def write(self, folder: Path) -> None:
        """Write the manifest, with a digest of itself."""
        content = {"format": FORMAT, **asdict(self)}
        (folder / MANIFEST).write_text(json.dumps({**content, "digest": _digest(content)}, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and verify the manifest of a store.

        Raises:
            BundleError: no store, a newer one, or one that was altered.
        """
        if not is_plain(folder / MANIFEST):
            raise BundleError(
                f"{str(folder)!r} is not a store",
                expected=f"a folder with {MANIFEST}",
                remedy="isthmus store makes one",
            )
        with damage(folder):
            content = json.loads(read_limited(folder / MANIFEST, MOST_BYTES, "a manifest"))
            digest = content.pop("digest")
            version = content.pop("format")
            if version != FORMAT:
                raise BundleError(f"the store {str(folder)!r} has format {version}", expected=f"format {FORMAT}")
            if digest != _digest({"format": version, **content}):
                raise BundleError(f"{MANIFEST} of {str(folder)!r} was altered", remedy="make the store again")
            return cls(**content)


class StoreWriter:
    """Writes the arrays of a store in blocks of users.

    Args:
        folder: an existing folder.
        events: number of rows from which the matrix is built.
    """

    def __init__(self, folder: Path, events: int) -> None:
        self._folder, self.events = folder, events
        self._arrays: dict[str, _ArrayFile] = {}
        self._counts = [0, 0]
        self._unit: str | None = None
        self._plain = 0

    def ids(self, users: pa.Array, items: pa.Array) -> None:
        """Write the ids, in the order of rows and columns."""
        for name, ids in zip(IDS, (users, items), strict=True):
            table = pa.table({"id": ids})
            with pa.OSFile(str(self._folder / name), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        self._counts = [len(users), len(items)]

    def matrix(self, matrix: Csr) -> None:
        """Append the rows of the next users."""
        self._append_ends(PAIRS, np.diff(matrix.indptr))
        self._of(f"{PAIRS}.items", np.int32).add(matrix.indices)
        values = self._arrays.get(f"{PAIRS}.values")
        if values is None:
            if (matrix.data == 1).all():
                self._plain += len(matrix.data)
                return
            values = self._of(f"{PAIRS}.values", np.float32)
            for start in range(0, self._plain, 1 << 20):
                values.add(np.ones(min(1 << 20, self._plain - start), np.float32))
        values.add(matrix.data)

    def histories(self, histories: OrderedHistories) -> None:
        """Append the events of the next users."""
        self._append_ends(EVENTS, histories.lengths)
        self._of(f"{EVENTS}.items", np.int32).add(histories.items)
        if histories.times is not None:
            self._of(f"{EVENTS}.times", histories.times.dtype).add(histories.times)
            self._unit = histories.unit

    def close(self, report: Report) -> Manifest:
        """Finish all files and write the manifest, with the number of merged rows in the report."""
        counts = {name: array.close() for name, array in self._arrays.items()}
        files = {path.name: stamp(path) for path in sorted(self._folder.iterdir())}
        events = counts.get(f"{EVENTS}.items")
        pairs = counts[f"{PAIRS}.items"]
        report = replace(report, duplicates=self.events - pairs)
        users, items = self._counts
        found = Manifest(users, items, pairs, events, self._unit, _report_json(report), files)
        found.write(self._folder)
        return found

    def _append_ends(self, name: str, lengths: Ints) -> None:
        file = self._of(f"{name}.ends", np.int64)
        if not file.count:
            file.add(np.zeros(1, np.int64))
        ends = np.cumsum(lengths, dtype=np.int64) + file.last
        file.add(ends)

    def _of(self, name: str, dtype: Any) -> _ArrayFile:
        if name not in self._arrays:
            self._arrays[name] = _ArrayFile(self._folder / f"{name}.npy", np.dtype(dtype))
        return self._arrays[name]


class _ArrayFile:
    """A ``.npy`` file whose length is only known at the end."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype, self.count, self.last = dtype, 0, 0
        self._file: IO[bytes] = path.open("wb")
        self._header()

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append some numbers."""
        taken = np.ascontiguousarray(values, self._dtype)
        self._file.write(taken.view(np.uint8).data)
        self.count += len(taken)
        self.last = taken[-1].item() if len(taken) else self.last

    def close(self) -> int:
        """Write the number of entries to the header, and return it."""
        self._file.seek(0)
        self._header()
        self._file.close()
        return self.count

    def _header(self) -> None:
        # NumPy leaves room in a header for a longer first axis.
        head = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self.count,)}
        npy.write_array_header_1_0(self._file, head)


def stamp(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def array(folder: Path, name: str) -> npt.NDArray[Any]:
    """An array of a store, mapped."""
    return np.asarray(read_npy(folder / f"{name}.npy"))


@contextmanager
def damage(folder: Path) -> Iterator[None]:
    """Report errors in parsing a store as damage of that store, except errors of the system.

    Raises:
        BundleError: instead of the errors of parsers.
    """
    try:
        yield
    except BundleError:
        raise
    except MemoryError:
        raise
    except (ArithmeticError, LookupError, OSError, SourceError, TypeError, ValueError, RecursionError) as error:
        told = told_by_system(error, folder)
        if told is not None and not isinstance(told, FileNotFoundError):
            raise told from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BundleError(f"the store {str(folder)!r} is damaged: {reason}", remedy="make it again") from error


def _report_json(report: Report) -> dict[str, Any]:
    held = {**vars(report), "columns": dict(report.columns), "file": dict(report.file)}
    return {**held, "missing_words": list(report.missing_words)}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
