"""Reads the decompressed bytes of a file in blocks, and rejects known binary formats with a specific message."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from isthmus.checked.paths import plain_file
from isthmus.errors import SourceError
from isthmus.machine.hardware import available_bytes

BLOCK = 1 << 22
"""Number of bytes that are read at a time."""

ABSURD = 400
"""Maximum compression ratio: ordinary text has 3 to 100, a gzip bomb 1,000."""

LARGE = 1 << 28
"""Number of bytes up to which the compression ratio is not checked."""

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, pa.ArrowException, UnicodeDecodeError)

FOREIGN = {
    b"PK\x03\x04": ("a zip archive or an Office document", "unpack it, or save the sheet as CSV"),
    b"PK\x05\x06": ("an empty zip archive", ""),
    b"\xd0\xcf\x11\xe0": ("an old Office document", "save the sheet as CSV"),
    b"\x89PNG": ("a PNG picture", ""),
    b"\xff\xd8\xff": ("a JPEG picture", ""),
    b"GIF8": ("a GIF picture", ""),
    b"RIFF": ("a RIFF file (WebP, WAV, AVI)", ""),
    b"II*\x00": ("a TIFF picture", ""),
    b"MM\x00*": ("a TIFF picture", ""),
    b"%PDF": ("a PDF document", "save its text as .txt"),
    b"PAR1": ("a Parquet file", "give it the ending .parquet"),
    b"ARROW1": ("an Arrow file", "save it as Parquet"),
    b"FEA1": ("a Feather file", "save it as Parquet"),
    b"\x93NUMPY": ("a NumPy array", "give it the ending .npy"),
    b"\x89HDF": ("an HDF5 file", "save the table as Parquet or CSV"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"\x7fELF": ("a program", ""),
    b"MZ\x90\x00": ("a program", ""),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"OggS": ("an Ogg recording", ""),
    b"ID3": ("an MP3 recording", ""),
    b"\x1aE\xdf\xa3": ("a Matroska film", ""),
    b"Obj\x01": ("an Avro file", "save the table as Parquet or CSV"),
    b"ORC": ("an ORC file", "save the table as Parquet or CSV"),
}
"""First bytes of binary formats, with their names and remedies."""


def _streamed(kind: str) -> Callable[[Path], Any]:
    return lambda path: pa.input_stream(str(path), compression=kind)


COMPRESSED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": _streamed("zstd"),
    b"\x04\x22\x4d\x18": _streamed("lz4"),
}
"""First bytes of compressed files, and functions that open them."""


@dataclass(frozen=True)
class Contents:
    """The content of a file, which can be read several times.

    Attributes:
        path: path of the file.
    """

    path: Path

    @property
    def name(self) -> str:
        """The name in messages."""
        return str(self.path)

    @property
    def kinds(self) -> list[str]:
        """The extensions of the file name in lower case, without those of compression, last one first."""
        endings = [ending.lower() for ending in self.path.suffixes]
        return [ending for ending in reversed(endings) if ending not in (".gz", ".bz2", ".xz", ".zst", ".lz4")]

    @property
    def kind(self) -> str:
        """The extension of the file name in lower case, without that of compression."""
        return self.kinds[0] if self.kinds else ""

    @property
    def packed(self) -> bool:
        """Whether it is compressed."""
        with self.path.open("rb") as file:
            return file.read(6).startswith(tuple(COMPRESSED))

    def blocks(self) -> Generator[bytes, None, None]:
        """All decompressed bytes.

        Raises:
            SourceError: the file cannot be read, or is truncated.
        """
        with readable(self.name):
            with self.path.open("rb") as file:
                start = file.read(6)
            opener = next((made for magic, made in COMPRESSED.items() if start.startswith(magic)), _plain)
            most, size = self._most(), 0
            with opener(self.path) as stream:
                while block := stream.read(BLOCK):
                    size += len(block)
                    if size > most:
                        raise self._too_large(most)
                    yield block

    def _most(self) -> int:
        """Maximum number of decompressed bytes: more than any text of its size would have, and more than a fair share
        of the free memory."""
        if not self.packed:
            return sys.maxsize
        return max(ABSURD * self.path.stat().st_size, LARGE, (available_bytes() or 0) // 8)

    def _too_large(self, most: int) -> SourceError:
        packed = self.path.stat().st_size
        return SourceError(
            f"{self.name} of {packed:,} bytes unpacks to more than {most / 1e9:,.1f} GB",
            expected=f"text that is less than {ABSURD} times as large as its compressed file",
            remedy="if that is right, unpack the file first, and read what comes out",
        )

    def start(self, size: int) -> tuple[bytes, bool]:
        """The first ``size`` bytes, and whether this is the whole content."""
        found, blocks = b"", self.blocks()
        for block in blocks:
            found += block
            if len(found) > size:
                break
        blocks.close()
        return found[:size], len(found) <= size


def opened(path: Path, expected: str = "a file of text") -> Contents:
    """Open a text file.

    Args:
        path: path of the file.
        expected: what was expected, for messages.

    Returns:
        The content, of which only the first bytes have been checked.

    Raises:
        SourceError: no such file, not a regular file, an empty file, or a known binary format.
    """
    if not path.exists():
        raise SourceError(f"no file {str(path)[:200]}", expected=expected)
    plain_file(path, expected)
    contents = Contents(path)
    start, _ = contents.start(64)
    if not start:
        raise SourceError(f"{path} is empty", expected=expected)
    for magic, (what, remedy) in FOREIGN.items():
        if start.startswith(magic):
            raise SourceError(f"{path} is {what}", expected=expected, remedy=remedy)
    return contents


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert errors of reading to ``SourceError``."""
    try:
        yield
    except UNREADABLE as error:
        raise SourceError(
            f"{name} cannot be read ({' '.join(str(error).split())[:300]})", expected="a whole, readable file"
        ) from error


def _plain(path: Path) -> Any:
    return path.open("rb")
