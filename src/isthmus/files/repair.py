"""Repairs texts in which some quotes enclose fields and others are ordinary characters, line by line."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from isthmus.errors import InputError
from isthmus.files.quoting import split

JOINED = 1000
"""Maximum number of lines in a quoted field, if quotes are not used consistently."""

WRITTEN = 4096
"""Number of rows that are passed on together."""


@dataclass
class Mended:
    """Counts of what was repaired.

    Attributes:
        literal: number of rows in which a quote was taken as an ordinary character.
        inside: number of line feeds within quoted fields.
    """

    literal: int = 0
    inside: int = 0


def quoted_share(blocks: Iterable[bytes], delimiter: str, width: int, *, escape: bool) -> tuple[float, bool]:
    """The share of the lines with quotes that are complete rows with closed quotes.

    Args:
        blocks: blocks of whole lines.
        delimiter: delimiter of the fields.
        width: number of fields per row.
        escape: whether a backslash escapes a quote.

    Returns:
        The share, and whether all lines with quotes are complete rows if quotes are ordinary characters.
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
    """Rewrites every row so that its quotes are closed.

    Attributes:
        name: name of the file, for messages.
        delimiter: delimiter of the fields.
        width: number of fields per row.
        escape: whether a backslash escapes a quote.
        first: number of the first line.
        mended: counts of what was repaired.
    """

    name: str
    delimiter: str
    width: int
    escape: bool
    first: int
    mended: Mended = field(default_factory=Mended)

    def rows(self, blocks: Iterable[bytes]) -> Generator[bytes, None, None]:
        """The same rows, with quoted fields closed and quotes within them doubled.

        Raises:
            InputError: a line that is not a row under any interpretation of its quotes; the message names it.
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
        """Whether a line is a complete row, or there is no line."""
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
    """An iterator of lines with lookahead."""

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
