"""HTML for notebooks. All displayed text is escaped here, and only here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from isthmus.reprs import number, one_line

CELL = 120
"""Maximum number of characters in a cell."""

WIDTH, HEIGHT = 240, 60
"""Size of a curve in pixels."""


def facts(pairs: Mapping[str, Any]) -> str:
    """Facts as a table of two columns."""
    return table(("", ""), [(name, value) for name, value in pairs.items() if value is not None])


def paragraph(text: str) -> str:
    """Text as one HTML paragraph, escaped."""
    return f"<p>{escape(text)}</p>"


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with right-aligned numbers; None is an empty cell.

    Args:
        names: names of the columns.
        rows: as many values as names.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def curve(points: Sequence[tuple[float, float]], label: str) -> str:
    """A small line chart as inline SVG; empty for fewer than two points.

    Args:
        points: x and y, in ascending order of x; values that are not finite are left out.
        label: name of the curve; its first and last values are written next to it.
    """
    known = [(x, y) for x, y in points if math.isfinite(y)]
    if len(known) < 2:
        return ""
    (left, right), (low, high) = (_range(place, known) for place in (0, 1))
    places = " ".join(
        f"{WIDTH * (x - left) / (right - left):.1f},{HEIGHT * (high - y) / (high - low):.1f}" for x, y in known
    )
    text = f"{label}: {known[0][1]:.4g} to {known[-1][1]:.4g}"
    line = f'<polyline points="{places}" fill="none" stroke="#4c78a8" stroke-width="1.5"/>'
    drawn = f'<svg width="{WIDTH}" height="{HEIGHT}" style="overflow: visible; margin: 4px">{line}</svg>'
    return f'<figure style="display: inline-block; margin: 8px">{drawn}<figcaption>{escape(text)}</figcaption></figure>'


def _range(place: int, points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    least, most = (pick(point[place] for point in points) for pick in (min, max))
    return least, most if most > least else least + 1


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float):
        return f'<td style="text-align: right">{number(value)}</td>'
    return f'<td style="text-align: left">{escape(one_line(value, CELL))}</td>'
