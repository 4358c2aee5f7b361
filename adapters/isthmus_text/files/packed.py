"""Many texts as one run of UTF-8 bytes with the place of each: 16 bytes a text beside its own. The bytes stay in memory
while they are few and are mapped from disk when they are many."""

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
"""Up to here (64 MiB) bytes stay in memory."""

BLOCK = 1 << 24


class Spool:
    """Bytes that are appended. What no longer fits in memory goes to a temporary file without a name, which is deleted
    as soon as nothing refers to it, however the process ends.
    """

    def __init__(self) -> None:
        # It outlives this object: the mapping below needs it.
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self.size = 0

    def __del__(self) -> None:
        # After an error nobody asks for what was written.
        self._file.close()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes to those written before."""
        self._file.write(chunk)
        self.size += len(chunk)

    def mapped(self) -> Bytes:
        """All that was written, read-only. Nothing can be written afterwards."""
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
    """Packs texts end to end, one by one or many at a time."""

    def __init__(self) -> None:
        self._spool, self._ends = Spool(), array("q", [0])

    def add(self, text: bytes) -> None:
        """One more text, UTF-8."""
        self._spool.write(text)
        self._ends.append(self._spool.size)

    def extend(self, data: Bytes, lengths: Offsets) -> None:
        """Texts that lie end to end in ``data``."""
        self._ends.frombytes((self._spool.size + np.cumsum(lengths, dtype=np.int64)).tobytes())
        self._spool.write(data.tobytes())

    def packed(self, name: str, unit: str) -> PackedTexts:
        """All texts, checked; see ``check_utf8``."""
        ends = np.frombuffer(self._ends, np.int64)
        packed = PackedTexts(self._spool.mapped(), ends[:-1], ends[1:])
        check_utf8(packed, name, unit)
        return packed


def check_utf8(packed: PackedTexts, name: str, unit: str) -> None:
    """Refuse bytes that are not UTF-8.

    Args:
        packed: the texts; every byte between the first start and the last end is looked at.
        name: where they come from, for the message.
        unit: what one of them is called there: line, row, document, text.

    Raises:
        InputError: naming the number of the first text that is none.
    """
    wrong = _invalid_byte(packed.data)
    row = None if wrong is None else max(int(np.searchsorted(packed.starts, wrong, side="right")) - 1, 0)
    if row is None:
        # Bytes that are valid end to end can still be cut inside a character.
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
