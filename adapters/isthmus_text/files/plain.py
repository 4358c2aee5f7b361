"""Text files: a text is a line, or a whole file."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import mmap
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.errors import InputError, SettingError, SourceError
from isthmus_text.files.packed import BLOCK, IN_MEMORY, Bytes, Offsets, PackedTexts, Spool, TextPacker, check_utf8

BOM = codecs.BOM_UTF8
PACKED: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)


def read_lines(path: Path, encoding: str) -> PackedTexts:
    """Each line of a file as a text. Lines end with a line feed; a carriage return before it goes, and nothing else.

    A large file in UTF-8 is mapped, not copied: it must stay as it is while its texts are used.

    Raises:
        SourceError: an unreadable or empty file, or one that is not text.
        InputError: bytes that are not in the encoding; the line is named.
    """
    data = _contents(path, encoding)
    start = len(BOM) if data[: len(BOM)].tobytes() == BOM else 0
    if start == len(data):
        raise SourceError(f"{path} is empty", expected="at least one line")
    feeds = [np.flatnonzero(data[place : place + BLOCK] == 10) + place for place in range(0, len(data), BLOCK)]
    ends: Offsets = np.concatenate(feeds)
    if data[-1] != 10:
        ends = np.append(ends, len(data))
    starts = np.empty_like(ends)
    starts[0], starts[1:] = start, ends[:-1] + 1
    ends = ends - ((ends > starts) & (data[np.maximum(ends - 1, 0)] == 13))
    packed = PackedTexts(data, starts, ends)
    check_utf8(packed, str(path), "line")
    return packed


def read_documents(path: Path, encoding: str) -> PackedTexts:
    """A file as one text, or each ``*.txt`` below a folder in the order of their paths; Windows line ends become line
    feeds.

    Raises:
        SourceError: an unreadable file, one that is not text, a folder without any, or nothing but empty ones.
        InputError: bytes that are not in the encoding; file and line are named.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path} holds no .txt file", expected="a folder of documents")
    packer = TextPacker()
    filled = False
    for file in files:
        data = _contents(file, encoding)
        check_utf8(_lines_of(data), str(file), "line")
        text = data.tobytes().removeprefix(BOM).replace(b"\r\n", b"\n")
        filled = filled or bool(text)
        packer.add(text)
    if not filled:
        raise SourceError(f"{path} is empty", expected="at least one document with text")
    return packer.packed(str(path), "document")


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file for reading, decompressed if its name ends in .gz, .xz or .bz2.

    Raises:
        SourceError: it cannot be read or decompressed.
    """
    try:
        opener = PACKED.get(path.suffix, _open_plain)
        with opener(path) as file:
            yield file
    except UNREADABLE as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="a whole file") from error


def codec_name(encoding: str) -> str:
    """The one name of an encoding.

    Raises:
        SettingError: Python knows no such encoding.
    """
    try:
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except LookupError:
        raise SettingError(f"encoding={encoding!r}", expected="an encoding such as 'utf-8' or 'latin-1'") from None


def _contents(path: Path, encoding: str) -> Bytes:
    """The whole file as UTF-8; mapped in place where it is large and needs no change."""
    codec = codec_name(encoding)
    with opened(path) as file:
        if codec != "utf-8":
            return _transcoded(file, codec, path)
        if path.suffix not in PACKED and path.stat().st_size > IN_MEMORY:
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        else:
            spool = Spool()
            shutil.copyfileobj(file, _Sink(spool), BLOCK)
            data = spool.mapped()
    if (data[:4096] == 0).any():
        raise SourceError(
            f"{path} holds null bytes",
            expected="a text file",
            remedy="if it is text in another encoding, say which: encoding='utf-16' (--encoding utf-16)",
        )
    return data


def _transcoded(file: io.BufferedIOBase, codec: str, path: Path) -> Bytes:
    spool, decoder, lines = Spool(), codecs.getincrementaldecoder(codec)(), 1
    while True:
        chunk = file.read(BLOCK)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = lines + error.object[: error.start].count(b"\n")
            raise InputError(f"line {line:,} of {path} is not valid {codec}", expected=f"text in {codec}") from None
        lines += text.count("\n")
        spool.write(text.encode("utf-8", "replace"))
        if not chunk:
            return spool.mapped()


def _lines_of(data: Bytes) -> PackedTexts:
    feeds = np.flatnonzero(data == 10).astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), feeds + 1])
    return PackedTexts(data, starts, np.append(feeds, len(data)))


def _open_plain(path: Path) -> io.BufferedIOBase:
    return path.open("rb")


class _Sink(io.RawIOBase):
    """A spool with the interface of a file."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        self._spool.write(chunk)
        return len(chunk)
