"""Which column plays which part. A header goes in, names come out; nothing here reads data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.errors import ColumnError

DEFAULTS = {
    "user": ("user", "userid"),
    "item": ("item", "itemid", "movieid", "bookid"),
    "value": ("rating", "value"),
    "time": ("timestamp", "time"),
}
"""Names that are recognised by themselves, after case, underscores and a type suffix are taken away."""

_TYPE_SUFFIX = re.compile(r":(token|token_seq|float|float_seq)$")


@dataclass(frozen=True)
class Columns:
    """The names, as the header spells them, of the columns to read; None where there is no such column."""

    user: str
    item: str
    value: str | None = None
    time: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns to read: user, item, then value and time where there are any."""
        return [name for name in (self.user, self.item, self.value, self.time) if name is not None]


def find_columns(
    header: Sequence[str],
    *,
    user: str | None = None,
    item: str | None = None,
    value: str | None = None,
    time: str | None = None,
) -> Columns:
    """Find the columns of users, items, values and times in a header.

    A column is found by the name that is given, or by a default name: ``user``, ``user_id``, ``userId``; ``item``,
    ``item_id``, ``itemId``, ``movieId``, ``book_id``; ``rating``, ``value``; ``timestamp``, ``time``. Defaults ignore
    case, underscores and a type suffix such as ``user_id:token``. For ``value`` and ``time`` the empty string means
    "there is none", even when a column has a default name.

    Args:
        header: names of columns, as they stand in the file.
        user: the name of the column of users.
        item: the name of the column of items.
        value: the name of the column of ratings or amounts.
        time: the name of the column of times.

    Returns:
        The columns to read.

    Raises:
        ColumnError: users or items have no column, a name that was given is not in the header, two columns could be
            meant, or one column would play two parts.
    """
    users, items = _required(header, "user", user), _required(header, "item", item)
    columns = Columns(users, items, _optional(header, "value", value), _optional(header, "time", time))
    if len(set(columns.names)) < len(columns.names):
        raise ColumnError(f"one column for two things: {', '.join(columns.names)}", expected="a column for each")
    return columns


def _required(header: Sequence[str], role: str, asked: str | None) -> str:
    found = _matches(header, role, asked)
    if found:
        return _only(found, role)
    raise ColumnError(
        f"no column for the {role} (header: {_listed(header)})"
        if asked is None
        else f"no column {asked!r} (header: {_listed(header)})",
        expected=f"a column named {', '.join(DEFAULTS[role])} or the like" if asked is None else "a name in the header",
        remedy=f"say which column it is with {role}=NAME (--{role} NAME)",
    )


def _optional(header: Sequence[str], role: str, asked: str | None) -> str | None:
    if asked == "":
        return None
    if asked is not None:
        return _required(header, role, asked)
    found = _matches(header, role, None)
    return _only(found, role) if found else None


def _matches(header: Sequence[str], role: str, asked: str | None) -> list[str]:
    if asked is None:
        return [name for name in header if _canonical(name) in DEFAULTS[role]]
    exact = [name for name in header if name.strip() == asked]
    return exact or [name for name in header if _bare(name) == asked]


def _only(found: list[str], role: str) -> str:
    if len(found) == 1:
        return found[0]
    raise ColumnError(
        f"{len(found)} columns could hold the {role}: {_listed(found)}",
        expected="exactly one",
        remedy=f"say which column it is with {role}=NAME (--{role} NAME), and give every column its own name",
    )


def _bare(name: str) -> str:
    return _TYPE_SUFFIX.sub("", name.strip())


def _canonical(name: str) -> str:
    return _bare(name).lower().replace("_", "")


def _listed(header: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in header[:30])
    return shown + (f" and {len(header) - 30} more" if len(header) > 30 else "")
