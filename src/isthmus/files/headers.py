"""Detects whether the first row of a table is a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "?", "\\n", "<na>"})
"""Cells without a value, in lower case, which are neither numbers nor names."""

_NUMBER = re.compile(r"[-+]?(\d+([.]\d*)?|[.]\d+)([eE][-+]?\d+)?")
_DATE = re.compile(r"\d{1,4}([-/.])(\d{1,2}|[A-Za-z]{3})\1\d{1,4}([ T]\d{1,2}:\d{2}.*)?")
_SENTENCE = re.compile(r"[.!?,;:]$|\S+(\s+\S+){3,}")

Row = Sequence[str]


def is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number with this decimal separator."""
    text = cell.strip()
    return _NUMBER.fullmatch(text.replace(decimal, ".") if decimal != "." else text) is not None


def has_header(rows: Sequence[Row], decimal: str, *, numbered: bool = False) -> tuple[bool, bool]:
    """Whether the first row is a header.

    A cell that is not a number above a column of numbers is a name. If there is none, a number (or a date) above
    numbers (or dates) is a value, and so is a text that occurs again below. Other tables of text are assumed to have a
    header.

    Args:
        rows: the first rows of the table.
        decimal: the decimal separator.
        numbered: whether names can be evenly spaced numbers, such as wavelengths.

    Returns:
        Whether there is a header, and whether that is clear from the content.
    """
    if not rows:
        return True, False
    first, body = rows[0], [row for row in rows[1:] if len(row) >= len(rows[0])]
    if not body:
        return not any(_is_value(cell, decimal) for cell in first), False
    kinds = [_kind([row[place] for row in body], decimal) for place in range(len(first))]
    if any(
        kind and not _is_value(cell, decimal) and not _missing(cell) for cell, kind in zip(first, kinds, strict=True)
    ):
        return True, True
    if numbered and _evenly_spaced(first, decimal) and not _mostly_even(body, decimal):
        return True, True
    if any(kind and _is_value(cell, decimal) for cell, kind in zip(first, kinds, strict=True)):
        return False, True
    if len(first) > 1 and _recurs(first, body):
        return False, True
    if len(first) == 1:
        return _SENTENCE.search(first[0].strip()) is None, False
    return True, False


def _kind(cells: Sequence[str], decimal: str) -> bool:
    """Whether a column contains only numbers or dates."""
    filled = [cell for cell in cells if not _missing(cell)]
    return bool(filled) and all(_is_value(cell, decimal) for cell in filled)


def _recurs(first: Row, body: Sequence[Row]) -> bool:
    """Whether a cell of the first row occurs again below it, except in rows that repeat the whole first row."""
    return any(
        not _missing(cell) and cell == row[place] and list(row) != list(first)
        for row in body
        for place, cell in enumerate(first)
    )


def _is_value(cell: str, decimal: str) -> bool:
    return is_number(cell, decimal) or _DATE.fullmatch(cell.strip()) is not None


def _missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _evenly_spaced(row: Row, decimal: str) -> bool:
    """Whether the numbers of a row increase in equal steps: 0, 1, or at least three; other cells may be names."""
    numbers = [float(cell.strip().replace(decimal, ".")) for cell in row if is_number(cell, decimal)]
    if len(numbers) < 2 or any(cell.strip() and not is_number(cell, decimal) and _missing(cell) for cell in row):
        return False
    steps = [after - before for before, after in pairwise(numbers)]
    if numbers == list(range(len(numbers))):
        return True
    span = max(abs(number) for number in numbers)
    return len(numbers) > 2 and steps[0] > 0 and max(steps) - min(steps) <= 1e-6 * span + 0.011 * steps[0]


def _mostly_even(rows: Sequence[Row], decimal: str) -> bool:
    return 2 * sum(_evenly_spaced(row, decimal) for row in rows) >= len(rows)
