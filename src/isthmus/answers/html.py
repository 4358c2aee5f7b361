"""Pieces of HTML for notebooks. Whatever is shown is escaped here, and only here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from isthmus.reprs import number, one_line

CELL = 120
"""The most characters of a cell."""


def paragraph(text: str) -> str:
    """One paragraph."""
    return f"<p>{escape(text)}</p>"


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers stand to the right, None is an empty cell.

    Args:
        names: of the columns.
        rows: as many values as names.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float):
        return f'<td style="text-align: right">{number(value)}</td>'
    return f'<td style="text-align: left">{escape(one_line(value, CELL))}</td>'
