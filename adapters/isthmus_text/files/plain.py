"""Reads text files, in which a text is a line or a whole file."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from isthmus.errors import SourceError
from isthmus.files import Contents, EncodingError, Told, as_utf8, encoding_of, guessed, opened, say_guessed
from isthmus_text.files.packed import BLOCK, IN_MEMORY, Bytes, Offsets, PackedTexts, Spool, TextPacker, check_utf8

BOM = b"\xef\xbb\xbf"
EXPECTED = "a text file"


def read_lines(path: Path, told: Told) -> PackedTexts:
    """Read each line of a file as a text. Lines end with a line feed; a preceding carriage return is removed, and
    nothing else.

    A large file in UTF-8 is memory-mapped, not copied: it must not change while its texts are used.

    Raises:
        SourceError: an unreadable or empty file, or one that is not text.
        InputError: bytes that are invalid in the encoding; the message names the line.
    """
    data = _contents(path, told)
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


def read_documents(path: Path, told: Told) -> PackedTexts:
    """Read a file as one text, or each ``*.txt`` below a folder in the order of their paths; Windows line endings
    become line feeds.

    Raises:
        SourceError: an unreadable file, one that is not text, a folder without text files, or only empty files.
        InputError: bytes that are invalid in the encoding; the message names file and line.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path} holds no .txt file", expected="a folder of documents")
    packer = TextPacker()
    filled = False
    for file in files:
        data = _contents(file, told)
        check_utf8(_lines_of(data), str(file), "line")
        text = data.tobytes().removeprefix(BOM).replace(b"\r\n", b"\n")
        filled = filled or bool(text)
        packer.add(text)
    if not filled:
        raise SourceError(f"{path} is empty", expected="at least one document with text")
    return packer.packed(str(path), "document")


def _contents(path: Path, told: Told) -> Bytes:
    """The whole file as UTF-8; memory-mapped if it is large and needs no conversion."""
    if path.stat().st_size == 0:
        return np.empty(0, np.uint8)
    contents = opened(path, EXPECTED)
    encoding = told.encoding or encoding_of(contents)
    if encoding == "utf-8":
        _checked(np.frombuffer(contents.start(4096)[0], np.uint8), path)
    try:
        return _checked(_decoded(contents, encoding), path)
    except EncodingError:
        if told.encoding is not None or encoding != "utf-8":
            raise
        found = guessed(contents.blocks())
        if found is None:
            raise
    encoding = found
    data = _checked(_decoded(contents, encoding), path)
    say_guessed(contents.name, encoding)
    return data


def _decoded(contents: Contents, encoding: str) -> Bytes:
    blocks = as_utf8(contents.blocks(), encoding, contents.name)
    if encoding == "utf-8" and not contents.packed and contents.path.stat().st_size > IN_MEMORY:
        for _ in blocks:
            pass  # Bytes that are not UTF-8 are named.
        with contents.path.open("rb") as file:
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    return _spooled(blocks)


def _spooled(blocks: Iterable[bytes]) -> Bytes:
    spool = Spool()
    for block in blocks:
        spool.write(block)
    return spool.mapped()


def _checked(data: Bytes, path: Path) -> Bytes:
    if (data[:4096] == 0).any():
        raise SourceError(
            f"{path} holds null bytes",
            expected=EXPECTED,
            remedy="if it is text in another encoding, say which: encoding='utf-16' (--encoding utf-16)",
        )
    return data


def _lines_of(data: Bytes) -> PackedTexts:
    feeds = np.flatnonzero(data == 10).astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), feeds + 1])
    return PackedTexts(data, starts, np.append(feeds, len(data)))
