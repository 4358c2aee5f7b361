"""What a reader of interactions may be told, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from isthmus.files import FileOptions
from isthmus_interactions.vocabularies import Ids

Weights = Literal["binary", "value", "log"]

ROLES = ("user", "item", "value", "time")
"""What a column may be."""


class Reading(FileOptions, total=False):
    """How a table, a matrix or arrays are to be read: keywords of ``Interactions.read``, which explains them.

    Attributes:
        user: the column of users of a table; of a file without names its number, counted from 1.
        item: the column of items.
        value: the column of ratings or amounts; ``""`` for none.
        time: the column of times; ``""`` for none.
        keep: which values count.
        weights: what a cell holds.
        ordered: whether the rows are in the order in which things happened.
        users: ids of the rows of a matrix.
        items: ids of the columns of a matrix.
        encoding, delimiter, header: how a file of text is written, where that is not found out.
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
    """What a command was told of a file; without ``--ordered`` the reader finds out whether rows are in order."""
    return {**told, "ordered": True} if ordered else told


def columns_told(reading: Mapping[str, object]) -> dict[str, str]:
    """The columns that were named, by role; those that are found by themselves need no memory."""
    return {role: str(reading[role]) for role in ROLES if reading.get(role) is not None}
