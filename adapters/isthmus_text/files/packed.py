"""Many texts as contiguous UTF-8 bytes with offsets, which take 16 bytes per text. Few bytes stay in memory, many are
memory-mapped."""

from __future__ import annotations

import codecs
import mmap
from array import array
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError
from isthmus.reprs import brief

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

IN_MEMORY = 1 << 26
"""Maximum number of bytes that stay in memory (64 MiB)."""

BLOCK = 1 << 24


class Spool:
    """An append-only buffer of bytes. Beyond the limit they go to an unnamed temporary file, which is deleted as soon
    as nothing refers to it, however the process ends.
    """

    def __init__(self) -> None:
        # It outlives this object, because the mapping below needs it.
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self.size = 0

    def __del__(self) -> None:
        # After an error the written bytes are never read.
        self._file.close()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes to those written before."""
        self._file.write(chunk)
        self.size += len(chunk)

    def mapped(self) -> Bytes:
        """All written bytes, read-only. Nothing can be written afterwards."""
        with self._file as file:
            if self.size <= IN_MEMORY:
                file.seek(0)
                return np.frombuffer(file.read(), np.uint8)
            file.flush()
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


@brief
@dataclass(frozen=True, eq=False)
class PackedTexts:
    """Text r is ``data[starts[r]:ends[r]]``."""

    data: Bytes
    starts: Offsets
    ends: Offsets


class TextPacker:
    """Concatenates texts, one by one or many at a time."""

    def __init__(self) -> None:
        self._spool, self._ends = Spool(), array("q", [0])

    def add(self, text: bytes) -> None:
        """Add one text in UTF-8."""
        self._spool.write(text)
        self._ends.append(self._spool.size)

    def extend(self, data: Bytes, lengths: Offsets) -> None:
        """Add texts that are concatenated in ``data``."""
        self._ends.frombytes((self._spool.size + np.cumsum(lengths, dtype=np.int64)).tobytes())
        self._spool.write(data.tobytes())

    def packed(self, name: str, unit: str) -> PackedTexts:
        """All texts, checked; see ``check_utf8``."""
        ends = np.frombuffer(self._ends, np.int64)
        packed = PackedTexts(self._spool.mapped(), ends[:-1], ends[1:])
        check_utf8(packed, name, unit)
        return packed


def check_utf8(packed: PackedTexts, name: str, unit: str) -> None:
    """Check that texts are valid UTF-8.

    Args:
        packed: the texts; every byte between the first start and the last end is checked.
        name: name of the source, for the message.
        unit: name of one text in the source: line, row, document, text.

    Raises:
        InputError: invalid UTF-8; the message contains the number of the first invalid text.
    """
    wrong = _invalid_byte(packed.data)
    row = None if wrong is None else max(int(np.searchsorted(packed.starts, wrong, side="right")) - 1, 0)
    if row is None:
        # Texts that are valid when concatenated can still be cut inside a character.
        filled = np.flatnonzero(packed.ends > packed.starts)
        cut = filled[(packed.data[packed.starts[filled]] & 0xC0) == 0x80]
        row = int(cut[0]) if len(cut) else None
    if row is not None:
        raise InputError(
            f"{unit} {row + 1:,} of {name} is not valid UTF-8",
            expected="text in UTF-8",
            remedy="say which encoding it has, such as encoding='latin-1' (--encoding latin-1)",
        )


def _invalid_byte(data: Bytes) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data) + 1, BLOCK):
        kept = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + BLOCK].tobytes(), final=start + BLOCK > len(data))
        except UnicodeDecodeError as error:
            return start - kept + error.start
    return None
