"""Token ids in one memory-mapped file: 2 bytes each for a vocabulary below 65,536, otherwise 4."""

from __future__ import annotations

import json
import mmap
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.disk import new_folder
from isthmus.errors import InputError, SourceError
from isthmus.reprs import brief
from isthmus_text.files.packed import Bytes, Spool

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.int32]

TOKENS, OFFSETS, ABOUT = "tokens.bin", "offsets.bin", "store.json"
_FORMAT = 1
_BUFFER = 1 << 20


def dtype_for(vocabulary: int) -> np.dtype[Any]:
    """The smallest type for ids below ``vocabulary``; little-endian, as in files."""
    return np.dtype("<u2" if vocabulary < 65_536 else "<i4")


@brief
@dataclass(frozen=True, eq=False)
class TokenStore:
    """Rows of token ids, read-only.

    Attributes:
        tokens: the ids of all rows, concatenated; uint16 or int32.
        offsets: start of each row and, after the last one, its end; int64.
        vocabulary: upper bound of the ids.
        truncated: number of rows that were truncated.
    """

    tokens: Ids
    offsets: npt.NDArray[np.int64]
    vocabulary: int
    truncated: int = 0

    @classmethod
    def write(
        cls, folder: str | Path, rows: Iterable[list[int]], vocabulary: int, *, max_length: int | None = None
    ) -> TokenStore:
        """Store rows in a new or empty folder, completely or not at all, and memory-map them.

        Args:
            folder: path of the folder, which is created if necessary.
            rows: ids, iterated once; at most a million ids are in memory.
            vocabulary: upper bound of the ids.
            max_length: a longer row keeps its first ``max_length - 1`` ids and its last one, the end.

        Raises:
            InputError: an id outside the vocabulary (the message names the row), or a folder that is not empty.
        """
        with new_folder(folder) as place:
            with (place / TOKENS).open("wb") as file:
                ends, truncated = _write_rows(rows, file.write, vocabulary, max_length)
            (place / OFFSETS).write_bytes(ends.tobytes())
            about = {"format": _FORMAT, "rows": len(ends) - 1, "vocabulary": vocabulary, "truncated": truncated}
            (place / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> TokenStore:
        """Open a store written by ``write``.

        Raises:
            SourceError: files that are missing, truncated, or do not belong together.
        """
        place = Path(folder)
        try:
            about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
            rows, vocabulary, truncated = (int(about[name]) for name in ("rows", "vocabulary", "truncated"))
            tokens = _mapped(place / TOKENS).view(dtype_for(vocabulary))
            offsets = _mapped(place / OFFSETS).view("<i8")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{place} holds no whole token store ({error})", expected="what was written") from None
        whole = about.get("format") == _FORMAT and len(offsets) == rows + 1
        if not whole or int(offsets[0]) != 0 or int(offsets[-1]) != len(tokens) or bool((np.diff(offsets) < 0).any()):
            raise SourceError(f"{place} holds no whole token store", expected=f"{rows} rows over {vocabulary} tokens")
        return cls(tokens, offsets, vocabulary, truncated)

    @classmethod
    def temporary(cls, rows: Iterable[list[int]], vocabulary: int, *, max_length: int | None = None) -> TokenStore:
        """Like ``write``, but in memory up to 64 MiB and otherwise in an unnamed temporary file, which is deleted when
        it is no longer used.

        Args:
            rows: ids, iterated once; at most a million ids are in memory.
            vocabulary: upper bound of the ids.
            max_length: a longer row keeps its first ``max_length - 1`` ids and its last one, the end.

        Returns:
            The store.

        Raises:
            InputError: an id outside the vocabulary; the message names the row.
        """
        spool = Spool()
        ends, truncated = _write_rows(rows, spool.write, vocabulary, max_length)
        return cls(spool.mapped().view(dtype_for(vocabulary)), ends, vocabulary, truncated)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> list[int]:
        place = range(len(self))[row]
        return [int(id_) for id_ in self.tokens[self.offsets[place] : self.offsets[place + 1]]]

    @property
    def max_length(self) -> int:
        """The length of the longest row; 0 without rows."""
        return int(np.diff(self.offsets).max(initial=0))


def _write_rows(
    rows: Iterable[list[int]], write: Callable[[bytes], object], vocabulary: int, max_length: int | None
) -> tuple[npt.NDArray[np.int64], int]:
    """Write all ids as bytes; return the offsets and the number of truncated rows."""
    dtype, ends, held = dtype_for(vocabulary), array("q", [0]), array("q")
    truncated = written = 0
    for row in rows:
        if max_length is not None and len(row) > max_length:
            truncated += 1
            held.extend(row[: max_length - 1])
            held.append(row[-1])
        else:
            held.extend(row)
        ends.append(written + len(held))
        if len(held) >= _BUFFER:
            write(_checked(held, ends, vocabulary).astype(dtype).tobytes())
            written += len(held)
            held = array("q")
    write(_checked(held, ends, vocabulary).astype(dtype).tobytes())
    return np.frombuffer(ends, np.int64), truncated


def _checked(held: array[int], ends: array[int], vocabulary: int) -> npt.NDArray[np.int64]:
    ids = np.frombuffer(held, np.int64) if held else np.empty(0, np.int64)
    wrong = np.flatnonzero((ids < 0) | (ids >= vocabulary))
    if len(wrong):
        place = ends[-1] - len(ids) + int(wrong[0])
        row = int(np.searchsorted(np.frombuffer(ends, np.int64), place, side="right")) - 1
        raise InputError(f"row {row:,} holds the token id {ids[wrong[0]]}", expected=f"0 to {vocabulary - 1}")
    return ids


def _mapped(path: Path) -> Bytes:
    if not path.stat().st_size:
        return np.empty(0, np.uint8)
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
