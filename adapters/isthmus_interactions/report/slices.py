"""Slices of users and items for which scores are reported separately."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus_interactions.csr import Ints

USERS = ("few", "some", "many")
FIRST, SECOND = 0.5, 0.9
"""Shares of all interactions for popular items, and for popular and medium items together."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Some of the users or items.

    Attributes:
        name: a word.
        what: what they have in common.
        rows: their rows.
    """

    name: str
    what: str
    rows: Ints


def by_history(lengths: Ints) -> list[Slice]:
    """Thirds of the users, by the number of items in their histories; equal numbers stay together.

    Args:
        lengths: number of items of each user.

    Returns:
        One to three slices, fewest items first.
    """
    if not len(lengths):
        return []
    edges = np.unique(np.quantile(lengths, [1 / 3, 2 / 3], method="higher"))
    group = np.searchsorted(edges, lengths, side="right")
    there = np.unique(group)
    names = USERS if len(there) == len(USERS) else USERS[:: len(USERS) - 1] if len(there) == 2 else ("all",)
    found = []
    for name, number in zip(names, there, strict=True):
        rows = np.flatnonzero(group == number)
        least, most = int(lengths[rows].min()), int(lengths[rows].max())
        found.append(Slice(name, f"{least:,} items" if least == most else f"{least:,} to {most:,} items", rows))
    return found


def by_popularity(counts: Ints) -> list[Slice]:
    """Items by the number of users who have them in the training data.

    Args:
        counts: number of users of each item.

    Returns:
        Popular items, which have half of the interactions; medium ones, with the next 40 %; rare ones; and new ones,
        which nobody has. Slices without items are left out.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    share = np.empty(len(counts))
    share[order] = before / max(1, int(counts.sum()))
    known = counts > 0
    parts = {
        "popular": known & (share < FIRST),
        "medium": known & (share >= FIRST) & (share < SECOND),
        "rare": known & (share >= SECOND),
        "new": ~known,
    }
    return [
        Slice(name, _users(counts[inside]), np.flatnonzero(inside)) for name, inside in parts.items() if inside.any()
    ]


def _users(counts: Ints) -> str:
    least, most = int(counts.min()), int(counts.max())
    numbers = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{len(counts):,} items with {numbers} users in the training data"
