"""Prepares a text for the parser: UTF-8, blocks of whole lines, one byte as delimiter."""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from isthmus.errors import SourceError
from isthmus.files.encodings import as_utf8
from isthmus.files.opening import Contents

UNIT = b"\x1f"
"""Replaces a delimiter of several bytes, or none at all."""

LONGEST_LINE = 1 << 28
"""Maximum bytes of a line; a file with longer ones is not a table, and would need unbounded memory."""

_SPACES = re.compile(rb"(?m)[ \t]+")
_EDGES = re.compile(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)")


@dataclass(frozen=True)
class Plan:
    """The transformation of the bytes of a file.

    Attributes:
        encoding: encoding of the file.
        returns: whether lines end with a carriage return alone.
        skipped: number of lines to skip at the beginning.
        delimiter: delimiter of the fields; None for lines of one field.
    """

    encoding: str
    returns: bool
    skipped: int
    delimiter: str | None

    @property
    def byte(self) -> bytes:
        """The delimiter after the transformation."""
        given = UNIT if self.delimiter is None else self.delimiter.encode()
        return given if len(given) == 1 and self.delimiter != " " else UNIT


def prepared(contents: Contents, plan: Plan, nulls: list[int] | None = None) -> Generator[bytes, None, None]:
    """The rows of a file in UTF-8, in blocks of whole lines.

    Args:
        contents: content of the file.
        plan: the transformation.
        nulls: list to which the numbers of removed null bytes are appended, which have no meaning in tables.

    Yields:
        Blocks that end with a line feed, except perhaps the last one.

    Raises:
        SourceError: the file cannot be read.
        EncodingError: the file has another encoding; the message names the line.
    """
    blocks: Iterable[bytes] = as_utf8(contents.blocks(), plan.encoding, contents.name)
    blocks = _without_nulls(blocks, [] if nulls is None else nulls)
    if plan.returns:
        blocks = (block.replace(b"\r", b"\n") for block in blocks)
    for block in _without_first(whole_lines(blocks, contents.name), plan.skipped):
        if plan.delimiter == " ":
            yield _SPACES.sub(UNIT, _EDGES.sub(b"", block))
        elif plan.delimiter is not None and plan.byte == UNIT:
            yield block.replace(plan.delimiter.encode(), UNIT)
        else:
            yield block


def _without_nulls(blocks: Iterable[bytes], counts: list[int]) -> Iterator[bytes]:
    for block in blocks:
        if b"\0" in block:
            counts.append(block.count(b"\0"))
            block = block.replace(b"\0", b"")
        yield block


def whole_lines(blocks: Iterable[bytes], name: str = "") -> Iterator[bytes]:
    """The same bytes, cut after line feeds.

    Raises:
        SourceError: a line that is too long, in the file of that name.
    """
    left: list[bytes] = []
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if not cut:
            left.append(block)
            if name and sum(map(len, left)) > LONGEST_LINE:
                raise SourceError(
                    f"{name} has a line of more than {LONGEST_LINE:,} bytes", expected="a table, a row in each line"
                )
            continue
        yield b"".join([*left, block[:cut]]) if left else block[:cut]
        left = [block[cut:]] if cut < len(block) else []
    if left:
        yield b"".join(left)


def _without_first(blocks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    for block in blocks:
        rest = block
        while lines and rest:
            rest, lines = rest[rest.find(b"\n") + 1 :] if b"\n" in rest else b"", lines - 1
        if rest:
            yield rest


class BlockFile(io.RawIOBase):
    """Blocks of bytes as a file that is read once."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._left = iter(blocks), memoryview(b"")

    def readable(self) -> bool:
        """Whether the file can be read. It can."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; none at the end."""
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        some, self._left = self._left[:size], self._left[size:]
        return bytes(some)
