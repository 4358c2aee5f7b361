"""Texts in which some quotes hold fields together and others are letters: decided line by line."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from isthmus.errors import InputError
from isthmus.files.quoting import split

JOINED = 1000
"""Lines that a quoted field may hold, where quotes are not kept to throughout."""

WRITTEN = 4096
"""Rows that are handed on together."""


@dataclass
class Mended:
    """What happened on the way.

    Attributes:
        literal: rows in which a quote was taken as a letter.
        inside: line feeds within quoted fields.
    """

    literal: int = 0
    inside: int = 0


def quoted_share(blocks: Iterable[bytes], delimiter: str, width: int, *, escape: bool) -> tuple[float, bool]:
    """Of the lines that have quotes: the share that are whole rows with their quotes closed.

    Args:
        blocks: of whole lines.
        delimiter: between two fields.
        width: fields of a row.
        escape: whether a backslash before a quote makes it a letter.

    Returns:
        That share, and whether all lines with quotes are whole rows when quotes are letters.
    """
    closed = seen = literal = 0
    for line in _lines(blocks):
        if '"' in line:
            fields = split(line, delimiter, escape=escape)
            seen += 1
            closed += fields is not None and len(fields) == width and f'"{delimiter}' in f"{line}{delimiter}"
            literal += len(line.split(delimiter)) == width
    return closed / max(seen, 1), literal == seen


@dataclass
class Mender:
    """Writes every row so that its quotes are closed.

    Attributes:
        name: of the file, for messages.
        delimiter: between two fields.
        width: fields of a row.
        escape: whether a backslash before a quote makes it a letter.
        first: the number of the first line.
        mended: what happened.
    """

    name: str
    delimiter: str
    width: int
    escape: bool
    first: int
    mended: Mended = field(default_factory=Mended)

    def rows(self, blocks: Iterable[bytes]) -> Generator[bytes, None, None]:
        """The same rows, a quoted field being closed, and quotes within it doubled.

        Raises:
            InputError: a line that is no row by any reading of its quotes; it is named.
        """
        ahead, number = _Ahead(_lines(blocks)), self.first - 1
        out: list[str] = []
        for line in ahead:
            number += 1
            text, more = self._row(line, ahead, number) if '"' in line else (line, 0)
            number += more
            out.append(text)
            if len(out) >= WRITTEN:
                yield ("\n".join(out) + "\n").encode()
                out = []
        if out:
            yield ("\n".join(out) + "\n").encode()

    def _row(self, line: str, ahead: _Ahead, number: int) -> tuple[str, int]:
        fields = split(line, self.delimiter, escape=self.escape)
        if fields is not None and len(fields) == self.width:
            return self._written(fields), 0
        whole = len(line.split(self.delimiter)) == self.width
        if whole and self._begins_row(ahead.peek(1)):
            return self._literal(line), 0
        joined = line
        for more in range(1, JOINED):
            following = ahead.peek(more)
            if following is None:
                break
            joined = f"{joined}\n{following}"
            fields = split(joined, self.delimiter, escape=self.escape) if '"' in following else None
            if fields is not None and len(fields) == self.width:
                ahead.skip(more)
                self.mended.inside += more
                return self._written(fields), more
        if whole:
            return self._literal(line), 0
        raise InputError(
            f"line {number:,} of {self.name} has a quote that is not closed",
            expected=f'{self.width} columns, quoted fields as in "one, ""two"""',
            remedy="correct the line, or say how the file is written with delimiter= (--delimiter)",
        )

    def _begins_row(self, line: str | None) -> bool:
        """Whether a line is a row by itself, or there is none."""
        if line is None or len(line.split(self.delimiter)) == self.width:
            return True
        fields = split(line, self.delimiter, escape=self.escape)
        return fields is not None and len(fields) == self.width

    def _literal(self, line: str) -> str:
        self.mended.literal += 1
        return self._written(line.split(self.delimiter))

    def _written(self, fields: list[str]) -> str:
        return self.delimiter.join('"' + text.replace('"', '""') + '"' for text in fields)


class _Ahead:
    """Lines, of which the next ones can be looked at."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._next = lines, list[str]()

    def __iter__(self) -> Iterator[str]:
        while (line := self.peek(1)) is not None:
            self.skip(1)
            yield line

    def peek(self, count: int) -> str | None:
        while len(self._next) < count:
            line = next(self._lines, None)
            if line is None:
                return None
            self._next.append(line)
        return self._next[count - 1]

    def skip(self, count: int) -> None:
        del self._next[:count]


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    for block in blocks:
        yield from (
            line.removesuffix("\r") for line in block.decode("utf-8", "surrogatepass").removesuffix("\n").split("\n")
        )
