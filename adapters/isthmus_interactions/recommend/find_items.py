"""Finds items by their titles or ids."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from isthmus.checked.arguments import checked_k
from isthmus.ids import Id
from isthmus.similar_texts import folded, similar_texts
from isthmus_interactions.csr import item_counts
from isthmus_interactions.recommender import Recommender

_WORDS = re.compile(r"\w+")


class FoundItem(NamedTuple):
    """An item of the catalogue.

    Attributes:
        id: as in the training data.
        title: None if it has none.
        users: number of users in the training data who interacted with the item.
    """

    id: Id
    title: str | None
    users: int


def find_items(recommender: Recommender, text: str = "", k: int = 10) -> list[FoundItem]:
    """The items whose titles or ids match a text, best matches first; case is ignored.

    Titles or ids equal to the text come first, then those with all of its words, then those that contain it; equal
    matches are ordered by popularity. If there are fewer than ``k`` matches, similar titles and ids follow.

    Args:
        recommender: the recommender whose catalogue is searched.
        text: part of a title, or an id; empty for the most popular items.
        k: maximum number of items.

    Returns:
        At most ``k`` items.

    Raises:
        SettingError: ``k`` below 1.
    """
    k = checked_k(k)
    catalogue = recommender.adapter.items
    ids = catalogue.ids.tolist()
    names = [_name(id_, recommender.titles.get(id_)) for id_ in ids]
    counts = _users(recommender)
    asked = folded(text)
    ranks = [_rank(asked, str(id_), name) for id_, name in zip(ids, names, strict=True)]
    matching = [row for row, rank in enumerate(ranks) if rank < _NO_MATCH]
    rows = sorted(matching, key=lambda row: (ranks[row], -counts[row], row))[:k]
    if asked and len(rows) < k:
        rows += [row for row in similar_texts(text, names, k) if row not in set(rows)][: k - len(rows)]
    return [FoundItem(ids[row], recommender.titles.get(ids[row]), int(counts[row])) for row in rows]


_NO_MATCH = 3


def _rank(asked: str, id_: str, name: str) -> int:
    if not asked:
        return 0
    known = folded(name)
    if asked in (known, folded(id_)):
        return 0
    words = set(_WORDS.findall(asked))
    if words and words <= set(_WORDS.findall(known)):
        return 1
    return 2 if asked in known else _NO_MATCH


def _name(id_: Id, title: str | None) -> str:
    return str(id_) if title is None else title


def _users(recommender: Recommender) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The number of users of each item of the catalogue; 0 for items that are known only by features."""
    counted = item_counts(recommender.interactions)
    return counted.astype(np.int64)
