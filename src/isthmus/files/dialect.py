"""Detects the dialect of a delimited text from its first lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.files.decimals import decimal_of
from isthmus.files.headers import has_header, is_number
from isthmus.files.options import Told
from isthmus.files.quoting import split
from isthmus.reprs import brief

PREFERRED = ("\t", ";", "::", ",", "|")
"""Candidate delimiters, most likely first; spaces are only tried if none of them fits."""

JOINED = 50
"""Maximum number of lines in a quoted field of the first rows."""

ROWS = 200
"""Number of rows that are inspected."""

ENOUGH = 0.9
"""Share of rows of one width, of the best share, with which a delimiter is considered."""

_SEP = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)

Row = list[str]


@brief
@dataclass(frozen=True)
class Dialect:
    """The dialect of a delimited text.

    Attributes:
        delimiter: delimiter of the fields; None for lines of one field.
        header: names of the columns; 1, 2, 3, ... if the text has no header.
        headed: whether the text has a header.
        skipped: number of lines before the first row: blank lines, ``sep=``, the header.
        decimal: decimal separator; empty if the first rows do not show it.
        sure: whether the presence or absence of a header is clear from the content or was given.
        before: number of lines with comments or titles before the table.
    """

    delimiter: str | None
    header: tuple[str, ...]
    headed: bool
    skipped: int
    decimal: str
    sure: bool
    before: int = 0


def dialect_of(start: str, told: Told, *, tabs: bool = False, numbered: bool = False) -> Dialect:
    """Detect the dialect of a text.

    Args:
        start: the first lines, all complete.
        told: options given by the caller.
        tabs: whether the file name implies tabs as delimiters.
        numbered: whether a header may be a row of evenly spaced numbers.

    Returns:
        The dialect; that of an empty table if there are no lines.
    """
    lines = [line.removesuffix("\r") for line in start.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    skipped = next((place for place, line in enumerate(lines) if line.strip()), len(lines))
    said = _SEP.fullmatch(lines[skipped].strip(" ")) if skipped < len(lines) else None
    delimiter = told.delimiter
    if said:
        delimiter, skipped = delimiter or said.group(1).replace("\\t", "\t"), skipped + 1
        skipped += next((place for place, line in enumerate(lines[skipped:]) if line.strip()), 0)
    lines = lines[skipped:]
    before = _before(lines, delimiter)
    lines, skipped = lines[before:], skipped + before
    found = delimiter if delimiter is not None else find_delimiter(lines, tabs=tabs)
    rows, sizes = rows_of(lines, found)
    decimal = decimal_of(rows, found)
    headed, sure = (
        (told.header, True) if told.header is not None else has_header(rows, decimal or ".", numbered=numbered)
    )
    names = _names(rows, headed)
    return Dialect(found, names, headed, skipped + (sizes[0] if headed and sizes else 0), decimal, sure, before)


def find_delimiter(lines: Sequence[str], *, tabs: bool = False) -> str | None:
    """Detect the delimiter of these lines; None for lines of one field.

    Each candidate splits the first rows, respecting quotes. Candidates that give nearly all rows the same width are
    considered; among them, the one with the most numbers is chosen, then the preferred one.
    """
    scores = {}
    for candidate in PREFERRED:
        rows, _ = rows_of(lines, candidate)
        share = _same_width(rows)
        if share and len(rows[0]) > 1:
            scores[candidate] = (share, _numbers(rows, candidate))
    if tabs and "\t" in scores:
        return "\t"
    if not scores:
        return " " if _by_spaces(lines) else None
    best = max(share for share, _ in scores.values())
    likely = [name for name, (share, _) in scores.items() if share >= ENOUGH * best]
    return max(likely, key=lambda name: (round(scores[name][1], 2), -PREFERRED.index(name)))


def rows_of(lines: Sequence[str], delimiter: str | None) -> tuple[list[Row], list[int]]:
    """The fields of the first lines, and the number of lines of each row."""
    rows: list[Row] = []
    sizes: list[int] = []
    place = 0
    while place < len(lines) and len(rows) < ROWS:
        line = lines[place]
        if not line.strip():
            place += 1
            continue
        fields, taken = _row(lines, place, delimiter)
        rows.append(fields)
        sizes.append(taken)
        place += taken
    return rows, sizes


def _before(lines: Sequence[str], delimiter: str | None) -> int:
    """The number of lines before the table: comments and titles, which have one cell above rows of several."""
    filled = [place for place, line in enumerate(lines) if line.strip()][:ROWS]
    for candidate in PREFERRED if delimiter is None else (delimiter,):
        rows = [rows_of(lines[place : place + 1], candidate)[0][0] for place in filled]
        body = [len(row) for row in rows[len(rows) // 2 :]]
        width = max(set(body), key=body.count, default=0)
        if width < 2 or len(body) < 2 or body.count(width) < ENOUGH * len(body):
            continue
        first = next((number for number, row in enumerate(rows) if _begins(rows, number, width)), 0)
        if first and all(_is_title(lines, filled[number], row, width) for number, row in enumerate(rows[:first])):
            return filled[first]
    return 0


def _begins(rows: Sequence[Row], number: int, width: int) -> bool:
    """Whether a table can begin with a row: it is as wide as the others, and not a title above a header."""
    row, following = rows[number], rows[number + 1] if number + 1 < len(rows) else []
    title = len(row) > 2 and sum(bool(cell.strip()) for cell in row) == 1 and all(cell.strip() for cell in following)
    return len(row) == width and not title


def _is_title(lines: Sequence[str], place: int, row: Row, width: int) -> bool:
    """Whether a line is a comment or a title. One name above two columns is a header without the row names."""
    if lines[place].lstrip().startswith("#"):
        return True
    if len(row) == 1 and any(len(rows_of([lines[place]], other)[0][0]) == width for other in PREFERRED):
        return False  # a line of names, with another delimiter than the rows
    alone = place + 1 < len(lines) and not lines[place + 1].strip()
    return sum(bool(cell.strip()) for cell in row) == 1 and (width > 2 or alone)


def _row(lines: Sequence[str], place: int, delimiter: str | None) -> tuple[Row, int]:
    line = lines[place]
    if delimiter == " ":
        return line.split(), 1
    between = "\x1f" if delimiter is None else delimiter
    if '"' not in line:
        return line.split(between), 1
    escape = '\\"' in line
    fields = split(line, between)
    if fields is None and escape:
        fields = split(line, between, escape=True)
    if fields is not None:
        return fields, 1
    for more in range(2, JOINED + 1):
        if place + more > len(lines):
            break
        joined = split("\n".join(lines[place : place + more]), between, escape=escape)
        if joined is not None:
            # An unclosed quote may pair with another one by chance; then each line is a separate row.
            alone = {len(one.split(between)) for one in lines[place : place + more]}
            return (joined, more) if alone != {len(joined)} or len(joined) == 1 else (line.split(between), 1)
    return line.split(between), 1


def _same_width(rows: Sequence[Row]) -> float:
    """The share of rows as wide as the first, or as the middle one, since a header may lack a name."""
    if not rows:
        return 0.0
    widths = [len(row) for row in rows]
    return max(widths.count(width) for width in (widths[0], widths[len(widths) // 2])) / len(rows)


def _numbers(rows: Sequence[Row], delimiter: str) -> float:
    """The share of fields that are numbers."""
    decimal = "." if delimiter == "," else ","
    fields = [field for row in rows for field in row]
    return sum(is_number(field, ".") or is_number(field, decimal) for field in fields) / max(len(fields), 1)


def _by_spaces(lines: Sequence[str]) -> bool:
    """Whether all lines have the same number of words, most of them numbers."""
    rows = [line.split() for line in lines[:ROWS] if line.strip()]
    if not rows or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return False
    body = rows[1:] or rows
    return sum(is_number(field, ".") for row in body for field in row) * 2 >= sum(map(len, body))


def _names(rows: Sequence[Row], headed: bool) -> tuple[str, ...]:
    """The names of the columns, one for each field of most rows."""
    if not rows:
        return ()
    body = [len(row) for row in rows[1:]]
    width = max(set(body), key=body.count) if body else len(rows[0])
    if not headed:
        return tuple(str(place) for place in range(1, max(width, len(rows[0])) + 1))
    names = tuple(name.strip() for name in rows[0])
    names = (names[0].lstrip("# ") or names[0], *names[1:])
    if width != len(names) + 1 or body.count(width) != len(body):
        return names
    # One name too few: each row ends with a delimiter, or the first column (row names) has no name.
    if all(not row[-1].strip() for row in rows[1:]):
        return (*names, "")
    return ("", *names) if 1 < len(body) == len({row[0] for row in rows[1:]}) else names
