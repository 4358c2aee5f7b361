"""Finds the roles of columns from a header; no data are read here."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.errors import ColumnError

DEFAULTS = {
    "user": ("user", "userid"),
    "item": ("item", "itemid", "movieid", "bookid"),
    "value": ("rating", "value"),
    "time": ("timestamp", "time"),
}
FURTHER = {
    "user": ("reviewerid",),
    "item": ("isbn", "asin"),
    "value": ("bookrating", "overall"),
    "time": ("unixreviewtime",),
}
"""Names in well-known data sets, which are used if no other name is found."""

"""Names that are recognised by default, without case, underscores, hyphens and a type suffix."""

_SPELLED = {"user": "user, user_id or userId", "item": "item, item_id, itemId, movieId or book_id"}
_TYPE_SUFFIX = re.compile(r":(token|token_seq|float|float_seq)$")


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read, as in the header; None for missing columns."""

    user: str
    item: str
    value: str | None = None
    time: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns to read: user, item, then value and time if they exist."""
        return [name for name in (self.user, self.item, self.value, self.time) if name is not None]


def find_columns(
    header: Sequence[str],
    *,
    user: str | None = None,
    item: str | None = None,
    value: str | None = None,
    time: str | None = None,
    unsure: bool = False,
) -> Columns:
    """Find the columns of users, items, values and times in a header.

    A column is found by the name that is given, or by a default name: ``user``, ``user_id``, ``userId``; ``item``,
    ``item_id``, ``itemId``, ``movieId``, ``book_id``; ``rating``, ``value``; ``timestamp``, ``time``. Defaults ignore
    case, underscores, hyphens and a type suffix such as ``user_id:token``. For ``value`` and ``time`` the empty string
    means "there is none", even when a column has a default name.

    Args:
        header: names of columns, as in the file.
        user: the name of the column of users.
        item: the name of the column of items.
        value: the name of the column of ratings or amounts.
        time: the name of the column of times.
        unsure: whether the header may be a row of data.

    Returns:
        The columns to read.

    Raises:
        ColumnError: no column of users or items, a given name that is not in the header, an ambiguous column, or one
            column for two roles.
    """
    asked = {"user": user, "item": item, "value": value, "time": time}
    for role, name in asked.items():
        if name is not None and (name or role in ("user", "item")) and not is_column(header, role, name):
            raise _no_such_column(header, role, name)
    missing = [role for role in ("user", "item") if not _matches(header, role, asked[role])]
    if missing:
        raise _not_found(header, missing, asked, unsure=unsure)
    found = {role: None if name == "" else _only(header, role, name) for role, name in asked.items()}
    columns = Columns(str(found["user"]), str(found["item"]), found["value"], found["time"])
    if len(set(columns.names)) < len(columns.names):
        raise ColumnError(f"one column for two things: {', '.join(columns.names)}", expected="a column for each")
    return columns


def is_column(header: Sequence[str], role: str, name: str | None) -> bool:
    """Whether a header contains a column of that name or, without a name, one with a default name of the role."""
    return bool(_matches(header, role, name))


def said(columns: Mapping[str, str]) -> dict[str, str]:
    """Examples of naming columns in Python and on the command line, as the ``remedy`` and ``option`` of an error."""
    return {
        "remedy": ", ".join(f"{role}={name!r}" for role, name in columns.items()),
        "option": " ".join(f"--{role} {shlex.quote(name)}" for role, name in columns.items()),
    }


def _no_such_column(header: Sequence[str], role: str, asked: str) -> ColumnError:
    lower = {_bare(name).lower(): _bare(name) for name in header}
    near = difflib.get_close_matches(asked.lower(), lower, n=1)
    hints = said({role: lower[near[0]]}) if near else {}
    return ColumnError(
        f"no column {asked!r} among {_listed(header)}",
        expected=f"the name of the column of {role}s",
        **{kind: f"did you mean {hint}?" for kind, hint in hints.items()},
    )


def _not_found(
    header: Sequence[str], missing: Sequence[str], asked: Mapping[str, str | None], *, unsure: bool
) -> ColumnError:
    """The error for columns that were neither named nor recognised, with examples."""
    unknown = " or ".join(f"{role}s" for role in missing)
    given = f"no column is known to hold the {unknown}, among {_listed(header)}"
    expected = " and ".join(f"a column named {_SPELLED[role]}" for role in missing)
    taken = {name for role in DEFAULTS for name in _matches(header, role, asked[role])}
    free = [name for name in header if name not in taken] or list(header)
    example = {role: _bare(name) for role, name in zip(missing, free, strict=False)}
    if len(example) < len(missing):
        return ColumnError(given, expected=expected)
    hints = {kind: f"say which columns they are, such as {hint}" for kind, hint in said(example).items()}
    if unsure:
        hints["remedy"] += "; if the first line holds no names: header=False, and columns by number, user=1, item=2"
        hints["option"] += "; if the first line holds no names: --no-header --user 1 --item 2"
    return ColumnError(given, expected=expected, **hints)


def _matches(header: Sequence[str], role: str, asked: str | None) -> list[str]:
    if asked is None:
        usual = [name for name in header if _canonical(name) in DEFAULTS[role]]
        return usual or [name for name in header if _canonical(name) in FURTHER[role]]
    exact = [name for name in header if name.strip() == asked]
    return exact or [name for name in header if _bare(name) == asked]


def _only(header: Sequence[str], role: str, asked: str | None) -> str | None:
    found = _matches(header, role, asked)
    if len(found) < 2:
        return found[0] if found else None
    hints = said({role: found[0]})
    again = "" if len(set(found)) == len(found) else ", and give every column a name of its own"
    raise ColumnError(
        f"{len(found)} columns could hold the {role}: {', '.join(map(repr, found))}",
        expected="exactly one",
        **{kind: f"say which column it is, such as {hint}{again}" for kind, hint in hints.items()},
    )


def _bare(name: str) -> str:
    return _TYPE_SUFFIX.sub("", name.strip())


def _canonical(name: str) -> str:
    return re.sub(r"[_\- ]", "", _bare(name).lower())


def _listed(header: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in header[:30])
    return "the columns " + shown + (f" and {len(header) - 30} more" if len(header) > 30 else "")
