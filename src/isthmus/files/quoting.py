"""How quotes are used in a delimited text: whether they hold fields together, or are letters as any other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

QUOTE, BACKSLASH, FEED, RETURN = b'"\\\n\r'

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quotes:
    """What a whole text says of its quotes.

    Attributes:
        any: whether there is one.
        strict: whether every quote that opens a field is closed at the end of one, those within being doubled.
        escaped: the same where a backslash makes a quote a letter.
        inside: line feeds within quoted fields, by the reading that is strict.
        broken: lines that such fields lie on.
        torn: how many of them would be whole rows of the right width by themselves.
        feeds: line feeds.
        ended: whether the last line ends with one.
    """

    any: bool
    strict: bool
    escaped: bool
    inside: int
    broken: int
    torn: int
    feeds: int
    ended: bool


def split(line: str, delimiter: str, *, escape: bool = False) -> list[str] | None:
    """The fields of one record, quotes taken away; None where a quoted field is not closed as it should be.

    Args:
        line: without its line feed; line feeds within quotes may be there. Spaces around a quoted field go.
        delimiter: between two fields.
        escape: whether a backslash before a quote makes it a letter.

    Returns:
        The fields. A quote that does not begin a field is a letter.
    """
    fields, place = [], 0
    while True:
        begin = place + len(line[place:]) - len(line[place:].lstrip(" ")) if line.startswith(" ", place) else place
        if line.startswith('"', begin):
            close = _closing(line, begin + 1, escape)
            if close < 0:
                return None
            text = line[begin + 1 : close].replace('""', '"')
            fields.append(text.replace('\\"', '"') if escape else text)
            place = close + 1
            while line.startswith(" ", place):
                place += 1
            if place < len(line) and not line.startswith(delimiter, place):
                return None
        else:
            stop = line.find(delimiter, place)
            fields.append(line[place:] if stop < 0 else line[place:stop])
            place = len(line) if stop < 0 else stop
        if place >= len(line):
            return fields
        place += len(delimiter)
        if place == len(line):
            return [*fields, ""]


def _closing(line: str, start: int, escape: bool) -> int:
    """The place of the quote that closes a field; -1 without one."""
    while True:
        close = line.find('"', start)
        if close < 0:
            return -1
        slashes = len(line[start:close]) - len(line[start:close].rstrip("\\")) if escape else 0
        if slashes % 2:
            start = close + 1
        elif line.startswith('"', close + 1):
            start = close + 2
        else:
            return close


class _Machine:
    """Follows the quotes of a text, a block of whole lines at a time, by one reading of backslashes."""

    def __init__(self, delimiter: int, *, escape: bool) -> None:
        self._escape = escape
        self._border = np.zeros(256, bool)
        self._border[[delimiter, FEED, RETURN, QUOTE]] = True
        self.strict, self.inside, self.open = True, 0, False

    def escaping(self) -> _Machine:
        """The other reading, from here on."""
        other = _Machine(0, escape=True)
        other._border, other.strict, other.inside, other.open = self._border, self.strict, self.inside, self.open
        return other

    def follow(self, data: Bytes, quotes: Places, feeds: Places) -> Any:
        """Take the next block; which of its line feeds stand within quotes."""
        if self._escape:
            letters = (data[quotes - 1] == BACKSLASH) & (data[quotes - 2] != BACKSLASH) & (quotes > 0)
            quotes = quotes[~letters]
        opening, closing = quotes[int(self.open) :: 2], quotes[1 - int(self.open) :: 2]
        if self.strict:
            before, after = data[opening - 1], data[np.minimum(closing + 1, len(data) - 1)]
            begins = self._border[before] | (opening == 0)
            ends = self._border[after] | (closing + 1 == len(data))
            self.strict = bool(begins.all() and ends.all())
        within = ((np.searchsorted(quotes, feeds) + int(self.open)) % 2).astype(bool)
        self.inside += int(within.sum())
        self.open = bool((len(quotes) + int(self.open)) % 2)
        return within


def quotes_of(blocks: Iterable[bytes], delimiter: int, width: int) -> Quotes:
    """Go through a whole text.

    Args:
        blocks: in UTF-8, each of whole lines.
        delimiter: the byte between two fields.
        width: fields of a row.

    Returns:
        How quotes are used in it.
    """
    plain, escaped = _Machine(delimiter, escape=False), None
    found, feeds, broken, torn, last = False, 0, 0, 0, b"\n"
    for block in blocks:
        feeds, last = feeds + block.count(b"\n"), block[-1:]
        if not (plain.open or (escaped and escaped.open) or b'"' in block):
            continue
        found = True
        if escaped is None and b'\\"' in block:
            escaped = plain.escaping()  # Up to here, both readings are one.
        data = np.frombuffer(block, np.uint8)
        quotes, ends = np.flatnonzero(data == QUOTE), np.flatnonzero(data == FEED)
        before, within = plain.open, plain.follow(data, quotes, ends)
        if escaped is not None:
            other_before, other = escaped.open, escaped.follow(data, quotes, ends)
            before, within = (before, within) if plain.strict else (other_before, other)
        on, whole = _whole_rows(data, ends, within, before, delimiter, width)
        broken, torn = broken + on, torn + whole
    strict = plain.strict and not plain.open
    by_escape = escaped is not None and escaped.strict and not escaped.open
    inside = plain.inside if strict else escaped.inside if escaped is not None and by_escape else 0
    return Quotes(found, strict, by_escape, inside, broken, torn, feeds, last == b"\n")


def _whole_rows(data: Bytes, ends: Places, within: Any, before: bool, delimiter: int, width: int) -> tuple[int, int]:
    """The lines that quoted fields of several lines lie on, and how many of them are as wide as a row."""
    if width < 2 or not (within.any() or before):
        return 0, 0
    begun = np.concatenate([[before], within])[: len(ends)].astype(bool)
    between = np.diff(np.searchsorted(np.flatnonzero(data == delimiter), ends), prepend=0)
    on = within | begun
    return int(on.sum()), int((between[on] == width - 1).sum())
