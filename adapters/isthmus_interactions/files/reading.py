"""Options for reading interactions, and those that are remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from isthmus.files import FileOptions
from isthmus_interactions.vocabularies import Ids

Weights = Literal["binary", "value", "log"]

ROLES = ("user", "item", "value", "time")
"""Roles of columns."""


class Reading(FileOptions, total=False):
    """Options for reading a table, a matrix or arrays: the keywords of ``Interactions.read``, where they are explained.

    Attributes:
        user: the column of users of a table; in a file without a header its number, counted from 1.
        item: the column of items.
        value: the column of ratings or amounts; ``""`` for none.
        time: the column of times; ``""`` for none.
        keep: which values count.
        weights: content of a cell.
        ordered: whether the rows are in chronological order.
        users: ids of the rows of a matrix.
        items: ids of the columns of a matrix.
        encoding, delimiter, header: format of a text file, if it is not detected correctly.
    """

    user: str | int | None
    item: str | int | None
    value: str | int | None
    time: str | int | None
    keep: str | float | int | None
    weights: Weights | None
    ordered: bool | None
    users: Ids | None
    items: Ids | None


def with_order(told: Reading, ordered: bool) -> Reading:
    """The options of a command; without ``--ordered`` the reader determines whether rows are in order."""
    return {**told, "ordered": True} if ordered else told


def columns_told(reading: Mapping[str, object]) -> dict[str, str]:
    """The named columns, by role; columns that are recognised by default need not be remembered."""
    return {role: str(reading[role]) for role in ROLES if reading.get(role) is not None}
