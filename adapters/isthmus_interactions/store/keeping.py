"""Columns that grow in files while events are read, with their state for resuming after an interruption."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from isthmus.disk.mapped import pieces
from isthmus.errors import ColumnError
from isthmus_interactions.files.growing_array import Array
from isthmus_interactions.files.ids import Coded, IdColumn

WAITING = 1 << 23
"""Rows whose ids are buffered before they are numbered, because numbering has to search all known ids."""

WAITING_BYTES = 256 << 20
"""The same for the bytes of their ids."""


class SpilledArray:
    """A ``GrowingArray`` whose numbers are in a file.

    Args:
        path: path of the file.
        dtype: type of the existing numbers; None if there are none.
        count: number of valid existing numbers.
    """

    def __init__(self, path: Path, dtype: str | None = None, count: int = 0) -> None:
        self._path, self._count = path, count
        self._dtype = None if dtype is None else np.dtype(dtype)
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, values: Array) -> None:
        """Append some numbers."""
        if self._dtype is None:
            self._dtype = values.dtype
        if self._file is None:
            self._file = self._path.open("r+b" if self._count else "w+b")
            # Numbers written after the last checkpoint are overwritten.
            self._file.truncate(self._count * self._dtype.itemsize)
            self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(values, self._dtype).view(np.uint8).data)
        self._count += len(values)

    def take_array(self, change: Callable[[Array], Array] | None = None) -> Array | None:
        """All numbers, mapped; ``change`` is applied in the file. None when there are none."""
        self.flush()
        if not self._count or self._dtype is None:
            return None
        mapped = np.memmap(self._path, self._dtype, "r+", shape=(self._count,))
        if change is not None:
            for piece in pieces(self._count):
                mapped[piece] = change(mapped[piece])
        return np.asarray(mapped)

    def flush(self) -> None:
        """Flush the file."""
        if self._file is not None:
            self._file.flush()

    def state(self) -> dict[str, Any]:
        """The location of the numbers, as JSON."""
        self.flush()
        return {"file": self._path.name, "dtype": None if self._dtype is None else self._dtype.str, "count": len(self)}


class Scratch:
    """The folder for data that are being read.

    Args:
        folder: an existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def new(self) -> SpilledArray:
        """A column without numbers."""
        while True:
            self._made += 1
            path = self.folder / f"column-{self._made}.bin"
            if not path.exists():
                path.touch()
                return SpilledArray(path)

    def again(self, state: Mapping[str, Any]) -> SpilledArray:
        """A column restored from its state."""
        return SpilledArray(self.folder / state["file"], state["dtype"], state["count"])


class SpilledIds:
    """The ids of a column: distinct ids in memory, and the codes of all rows in a file.

    Args:
        name: name of the column.
        text: whether it comes from text files.
        codes: container for the codes of the rows.
    """

    def __init__(self, name: str, *, text: bool, codes: SpilledArray) -> None:
        self._column, self._name, self._text, self._codes = IdColumn(name, text=text), name, text, codes
        self._ids: pa.Array | None = None
        self._pages: list[npt.NDArray[np.int64]] = []
        self._waiting: list[pa.Array] = []
        self._rows = self._bytes = self._places = 0

    @property
    def missing_words(self) -> set[str]:
        """The texts that stood for a missing id, such as NULL."""
        return self._column.missing_words

    @property
    def distinct(self) -> int:
        """The number of distinct ids, without those of buffered rows."""
        return 0 if self._ids is None else len(self._ids)

    def encode(self, column: pa.Array) -> pa.DictionaryArray:
        """Dictionary codes of one batch; see ``IdColumn.encode``."""
        return self._column.encode(column)

    def add(self, encoded: pa.DictionaryArray) -> None:
        """Append a batch without nulls.

        Raises:
            ColumnError: ids of another type than before.
        """
        if not len(encoded):
            return
        kind = encoded.type.value_type
        before = self._waiting[0].type if self._waiting else None if self._ids is None else self._ids.type
        if before not in (None, kind):
            raise ColumnError(
                f"column {self._name!r} holds ids of type {kind} here, and of type {before} before",
                expected="ids of one type in all files",
                remedy="write them all as integers, or all as text",
            )
        self._pages.append(encoded.indices.to_numpy().astype(np.int64) + self._places)
        self._waiting.append(encoded.dictionary)
        self._places += len(encoded.dictionary)
        self._rows, self._bytes = self._rows + len(encoded), self._bytes + encoded.dictionary.nbytes
        if self._rows >= WAITING or self._bytes >= WAITING_BYTES:
            self._number()

    def coded(self) -> Coded | None:
        """All batches as one; None if there was no row."""
        self._number()
        codes = self._codes.take_array()
        return None if codes is None else Coded(codes, self._ids, self._text)

    def save(self, path: Path) -> dict[str, Any]:
        """Write the ids to an Arrow file, and return the rest as JSON."""
        self._number()
        if self._ids is not None:
            table = pa.table({"id": self._ids})
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        return {"codes": self._codes.state(), "ids": path.name, "words": sorted(self.missing_words)}

    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """Restore what ``save`` wrote; the codes are passed to the constructor."""
        self.missing_words.update(state["words"])
        if state["codes"]["count"]:
            with pa.OSFile(str(folder / state["ids"])) as file:
                self._ids = pa.ipc.open_file(file).read_all()["id"].combine_chunks()

    def _number(self) -> None:
        """Number the buffered ids in the order of first appearance; known ids keep their numbers."""
        if not self._waiting:
            return
        known = 0 if self._ids is None else len(self._ids)
        every = pa.concat_arrays([*([] if self._ids is None else [self._ids]), *self._waiting]).dictionary_encode()
        number = every.indices.to_numpy()[known:].astype(np.int32)
        self._ids = every.dictionary
        for page in self._pages:
            self._codes.add(number[page])
        self._pages, self._waiting = [], []
        self._rows = self._bytes = self._places = 0
