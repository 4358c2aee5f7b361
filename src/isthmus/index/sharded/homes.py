"""Which part holds which id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.errors import DuplicateIdError, InputError, UnknownIdError
from isthmus.ids import Id
from isthmus.index.sharded.parts import Part


def homes_of(parts: Sequence[Part], ids: Sequence[Id]) -> list[int | None]:
    """The number of the part of each id; None for unknown ones."""
    homes: list[int | None] = [None] * len(ids)
    left = list(range(len(ids)))
    for number, part in enumerate(parts):
        if not left:
            break
        held = part.holds([ids[place] for place in left])
        for place, here in zip(left, held, strict=True):
            homes[place] = number if here else None
        left = [place for place in left if homes[place] is None]
    return homes


def at_home(parts: Sequence[Part], ids: Sequence[Id]) -> list[tuple[Part, list[int]]]:
    """The parts that hold some of the ids, each with the places of these.

    Raises:
        UnknownIdError: an id that is in no part.
    """
    homes = homes_of(parts, ids)
    if None in homes:
        raise UnknownIdError(f"id {ids[homes.index(None)]!r} is not in the index", expected="ids of the index")
    own = [[place for place, home in enumerate(homes) if home == part] for part in range(len(parts))]
    return [(parts[part], places) for part, places in enumerate(own) if places]


def check_new(parts: Sequence[Part], ids: Sequence[Id]) -> None:
    """Check that ids are in no part.

    Raises:
        DuplicateIdError: an id that is in one.
    """
    for name, home in zip(ids, homes_of(parts, ids), strict=True):
        if home is not None:
            raise DuplicateIdError(f"id {name!r} is in the index", remedy="update it, or remove it")


def next_ids(parts: Sequence[Part], count: int) -> list[Id]:
    """Integer ids above those of all parts.

    Raises:
        InputError: the ids are text.
    """
    first = 0
    for part in parts:
        ids = part.ids
        if ids and isinstance(ids[0], str):
            raise InputError("no ids", expected="one text id for each vector, like the existing ids")
        first = max(first, 1 + max((name for name in ids if isinstance(name, int)), default=-1))
    return list(range(first, first + count))


def check_apart(parts: Sequence[Part]) -> None:
    """Check that no id is in two parts, and that all ids are numbers or all are text.

    Raises:
        DuplicateIdError: an id in two parts.
        InputError: ids of both types.
    """
    texts = {isinstance(name, str) for part in parts for name in part.ids[:1]}
    if len(texts) > 1:
        raise InputError("ids that are numbers in one part and text in another", expected="ids of one type")
    if texts == {False}:
        # Ten million numbers in a set of Python take a gigabyte.
        numbers = [np.array(part.ids) for part in parts]
        every = np.concatenate(numbers)
        if every.dtype == np.int64 and len(np.unique(every)) == len(every):
            return
    seen: set[Id] = set()
    for number, part in enumerate(parts):
        own = part.ids
        both = seen.intersection(own)
        if both:
            raise DuplicateIdError(
                f"id {min(both, key=str)!r} is in part {number} and in one before it", expected="distinct ids"
            )
        seen.update(own)
