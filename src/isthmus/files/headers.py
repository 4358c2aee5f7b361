"""Whether the first row of a table holds the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "?", "\\n", "<na>"})
"""Cells without a value, in lower case: they tell neither numbers nor names."""

_NUMBER = re.compile(r"[-+]?(\d+([.]\d*)?|[.]\d+)([eE][-+]?\d+)?")
_DATE = re.compile(r"\d{1,4}([-/.])(\d{1,2}|[A-Za-z]{3})\1\d{1,4}([ T]\d{1,2}:\d{2}.*)?")
_SENTENCE = re.compile(r"[.!?,;:]$|\S+(\s+\S+){3,}")

Row = Sequence[str]


def is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number, by this decimal sign."""
    text = cell.strip()
    return _NUMBER.fullmatch(text.replace(decimal, ".") if decimal != "." else text) is not None


def has_header(rows: Sequence[Row], decimal: str, *, numbered: bool = False) -> tuple[bool, bool]:
    """Whether the first row holds names.

    A cell that is no number over a column of numbers is a name. Without one, a number (or a date) over numbers (or
    dates) is a value, and so is a text that comes again below. Another table of texts alone is taken to have names.

    Args:
        rows: the first rows of the table.
        decimal: the decimal sign.
        numbered: whether names can be numbers that are evenly spaced, such as wavelengths.

    Returns:
        Whether it has a header, and whether that is plain from the contents.
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
    """Whether a column holds numbers or dates and nothing else."""
    filled = [cell for cell in cells if not _missing(cell)]
    return bool(filled) and all(_is_value(cell, decimal) for cell in filled)


def _recurs(first: Row, body: Sequence[Row]) -> bool:
    """Whether a cell of the first row comes again below it, in a row that does not repeat the whole of it."""
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
    """Whether the numbers of a row rise in equal steps: 0, 1, or at least three of them; other cells may be names."""
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
