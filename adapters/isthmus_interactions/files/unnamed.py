"""Determines the roles of columns in a file without a header from their content."""

from __future__ import annotations

import logging
import re
from itertools import islice

import numpy as np

from isthmus.errors import ColumnError
from isthmus.files import DelimitedTable
from isthmus_interactions.files.columns import said

LOOKED_AT = 1000
"""Number of rows that are inspected."""

MOST = 4
"""Columns that a file of interactions without names can have: user, item, value, time."""

ENOUGH = 20
"""Rows of which some have a user in common, and not all have an item that could be a rating."""

RATINGS = frozenset(map(str, range(11)))

_WHOLE = re.compile(r"-?\d+(\.0*)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?")
_CUSTOMER = re.compile(r"A[0-9A-Z]{11,20}")
_PRODUCT = re.compile(r"[B0-9][0-9A-Z]{9}")
SECONDS = (1e8, 1e10)
"""Times in seconds since 1970 lie here, from 1973 on; in milliseconds a thousand times as high."""

logger = logging.getLogger(__name__)


def columns_by_content(table: DelimitedTable) -> dict[str, str]:
    """The role of each column of a file without a header: users, items, and then a value, a time, or both.

    The first two columns are taken as users and items if a value or a time follows; ids in the style of Amazon
    distinguish customers from products. Two columns alone are users and items, as is usual, unless their content
    contradicts this. The result is logged.

    Args:
        table: a table without a header.

    Returns:
        Numbers of columns, counted from 1, by role; ``""`` for a missing column.

    Raises:
        ColumnError: another number of columns, or columns whose roles are unclear.
    """
    cells = _first_rows(table)
    kinds = [_kind(column) for column in cells]
    rest = kinds[2:]
    clear = 2 <= len(kinds) <= MOST and all(kind in ("id", "value") for kind in kinds[:2])
    alone = clear and not rest and table.dialect.sure and _are_pairs(*cells)
    if not clear or (not alone and rest not in (["value"], ["time"], ["value", "time"], ["time", "value"])):
        raise _unclear(table, len(kinds))
    roles = {"user": "1", "item": "2", "value": "", "time": ""}
    if _all(cells[0], _PRODUCT) and _all(cells[1], _CUSTOMER):
        roles |= {"user": "2", "item": "1"}
    roles |= {kind: str(place) for place, kind in enumerate(rest, 3)}
    hints = said({role: number for role, number in roles.items() if number})
    say = logger.warning if alone else logger.info
    say("%s has no line of names: it is read with %s", table.name, hints["remedy"])
    return roles


def _first_rows(table: DelimitedTable) -> list[list[str]]:
    cells: list[list[str]] = [[] for _ in table.header]
    for batch in islice(table.batches(), 1):
        cells = [column.slice(0, LOOKED_AT).to_pylist() for column in batch.columns]
    return cells


def _kind(cells: list[str]) -> str:
    """``time``, ``value`` for other numbers, ``id`` for other words, empty for neither."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    if filled and all(_DATE.fullmatch(cell) for cell in filled):
        return "time"
    try:
        numbers = np.array([float(cell.replace(",", ".")) for cell in filled])
    except ValueError:
        return "id" if filled and not any(" " in cell for cell in filled) else ""
    if not len(numbers) or not np.isfinite(numbers).all():
        return ""
    low, high = SECONDS
    times = np.any([(low * unit <= numbers) & (numbers < high * unit) for unit in (1, 1e3, 1e6, 1e9)], axis=0)
    return "time" if times.all() and all(_WHOLE.fullmatch(cell) for cell in filled) else "value"


def _are_pairs(users: list[str], items: list[str]) -> bool:
    """Whether two columns can be users and items: the first is not unique, and the second is not a rating."""
    if any("." in cell.strip().rstrip("0").rstrip(".") and _kind([cell]) == "value" for cell in (*users, *items)):
        return False
    levels = set(items)
    rating = len(items) >= ENOUGH and len(levels) <= len(RATINGS) and levels <= RATINGS
    return not rating and (len(users) < ENOUGH or len(set(users)) < len(users))


def _all(cells: list[str], form: re.Pattern[str]) -> bool:
    return all(form.fullmatch(cell.strip()) for cell in cells)


def _unclear(table: DelimitedTable, count: int) -> ColumnError:
    hints = {"remedy": "say which they are by number, counted from 1, such as header=False, user=1, item=2"}
    hints["option"] = "say which they are by number, counted from 1, such as --no-header --user 1 --item 2"
    return ColumnError(
        f"{table.name} has no line of names, and its {count} columns do not tell which of them are users and items",
        expected="a line of names, or users, items, values and times in this order",
        **hints,
    )
