"""Finds items by their titles or ids."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple

import numpy as np

from isthmus.checked.arguments import checked_k
from isthmus.ids import Id
from isthmus.similar_texts import folded, similar_texts
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
    return ItemFinder(recommender).find(text, k)


class ItemFinder:
    """``find_items`` for many texts: everything that does not depend on the text is computed once.

    Args:
        recommender: the recommender whose catalogue is searched.
    """

    def __init__(self, recommender: Recommender) -> None:
        self._ids: list[Id] = recommender.adapter.items.ids.tolist()
        self._titles = recommender.titles
        # 0 users for items that are known only by features.
        counted = np.bincount(recommender.interactions.indices, minlength=len(self._ids))
        self._counts = counted.astype(np.int64)
        self._names = [_name(id_, recommender.titles.get(id_)) for id_ in self._ids]

    def find(self, text: str = "", k: int = 10, *, similar: bool = True) -> list[FoundItem]:
        """See ``find_items``.

        Args:
            text: part of a title, or an id.
            k: maximum number of items.
            similar: whether similar titles follow if there are too few matches.
        """
        k, asked = checked_k(k), folded(text)
        if not asked:
            return [self._found(row) for row in self.by_popularity[:k].tolist()]
        ranks = self._ranks(asked)
        rows = sorted(ranks, key=lambda row: (ranks[row], -self._counts[row], row))[:k]
        if similar and len(rows) < k:
            rows += [row for row in similar_texts(text, self._names, k) if row not in set(rows)][: k - len(rows)]
        return [self._found(row) for row in rows]

    def titled(self, title: str) -> Id | None:
        """The item with this title, ignoring case; the most popular one if there are several, None if there is none."""
        row = self._by_title.get(folded(title))
        return None if row is None else self._ids[row]

    @cached_property
    def by_popularity(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """All rows of the catalogue, the most popular first."""
        return np.argsort(-self._counts, kind="stable").astype(np.int64)

    def _ranks(self, asked: str) -> dict[int, int]:
        """How well each row matches, for those that match: 0 is best."""
        words, rank = set(_WORDS.findall(asked)), {}
        for row, (name, id_) in enumerate(zip(self._folded_names, self._folded_ids, strict=True)):
            if asked in (name, id_):
                rank[row] = 0
            # Searching for the words as substrings first avoids splitting most names.
            elif words and all(word in name for word in words) and words <= set(_WORDS.findall(name)):
                rank[row] = 1
            elif asked in name:
                rank[row] = 2
        return rank

    def _found(self, row: int) -> FoundItem:
        id_ = self._ids[row]
        return FoundItem(id_, self._titles.get(id_), int(self._counts[row]))

    @cached_property
    def _folded_names(self) -> list[str]:
        return list(map(folded, self._names))

    @cached_property
    def _folded_ids(self) -> list[str]:
        return [folded(str(id_)) for id_ in self._ids]

    @cached_property
    def _by_title(self) -> dict[str, int]:
        rows = self.by_popularity[::-1].tolist()
        return {self._folded_names[row]: row for row in rows if self._ids[row] in self._titles}


def _name(id_: Id, title: str | None) -> str:
    return str(id_) if title is None else title
