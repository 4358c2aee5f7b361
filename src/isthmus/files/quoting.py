"""Detects the use of quotes in a delimited text: whether they enclose fields, or are ordinary characters."""

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
    """The use of quotes in a whole text.

    Attributes:
        any: whether there are quotes.
        strict: whether every quote that opens a field is closed at the end of a field, with inner quotes doubled.
        escaped: the same if a backslash escapes quotes.
        inside: number of line feeds within quoted fields, under the strict interpretation.
        broken: number of lines with such fields.
        torn: how many of these lines would be complete rows of the right width on their own.
        feeds: number of line feeds.
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
    """The fields of one record without enclosing quotes; None if a quoted field is not closed correctly.

    Args:
        line: the record without its final line feed. Spaces around quoted fields are removed.
        delimiter: delimiter of the fields.
        escape: whether a backslash escapes a quote.

    Returns:
        The fields. A quote that does not begin a field is an ordinary character.
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
    """The position of the quote that closes a field; -1 if there is none."""
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
    """Follows the quotes of a text in blocks of whole lines, for one interpretation of backslashes."""

    def __init__(self, delimiter: int, *, escape: bool) -> None:
        self._escape = escape
        self._border = np.zeros(256, bool)
        self._border[[delimiter, FEED, RETURN, QUOTE]] = True
        self.strict, self.inside, self.open = True, 0, False

    def escaping(self) -> _Machine:
        """A copy that continues with the other interpretation."""
        other = _Machine(0, escape=True)
        other._border, other.strict, other.inside, other.open = self._border, self.strict, self.inside, self.open
        return other

    def follow(self, data: Bytes, quotes: Places, feeds: Places) -> Any:
        """Process the next block; returns which of its line feeds are within quotes."""
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
    """Detect the use of quotes in a whole text.

    Args:
        blocks: blocks of whole lines in UTF-8.
        delimiter: delimiter of the fields, a byte.
        width: number of fields per row.

    Returns:
        The use of quotes.
    """
    plain, escaped = _Machine(delimiter, escape=False), None
    found, feeds, broken, torn, last = False, 0, 0, 0, b"\n"
    for block in blocks:
        feeds, last = feeds + block.count(b"\n"), block[-1:]
        if not (plain.open or (escaped and escaped.open) or b'"' in block):
            continue
        found = True
        if escaped is None and b'\\"' in block:
            escaped = plain.escaping()  # Up to here, both interpretations agree.
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
    """The number of lines with quoted fields of several lines, and how many of them are as wide as a row."""
    if width < 2 or not (within.any() or before):
        return 0, 0
    begun = np.concatenate([[before], within])[: len(ends)].astype(bool)
    between = np.diff(np.searchsorted(np.flatnonzero(data == delimiter), ends), prepend=0)
    on = within | begun
    return int(on.sum()), int((between[on] == width - 1).sum())
