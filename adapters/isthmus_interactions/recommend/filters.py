"""Filters of items: ids that a caller excludes or allows, for all histories or for each, as rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.checked.arguments import listed
from isthmus.errors import InputError, UnknownIdWarning
from isthmus.rowlists import RowLists, distinct, from_rows, owners, part
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.recommend.histories import GivenId, id_list, is_single

GivenItems = Iterable[GivenId] | Sequence[Iterable[GivenId]]
"""Ids for all histories, or a list of ids for each history."""

ItemRows = Int64[Tensor, " _"] | RowLists
"""Distinct rows for all histories, or a list of rows for each."""


@dataclass(frozen=True)
class ItemFilters:
    """Which items may be recommended.

    Attributes:
        exclude: rows that must not be recommended; None for no such rows.
        allow: the only rows that may be recommended; None for all of them.
    """

    exclude: ItemRows | None = None
    allow: ItemRows | None = None

    def part(self, start: int, stop: int) -> ItemFilters:
        """The filters of histories ``start`` to ``stop``."""
        exclude, allow = (part(one, start, stop) if isinstance(one, RowLists) else one for one in self._both)
        return ItemFilters(exclude, allow)

    def to(self, device: torch.device) -> ItemFilters:
        """The same on another device."""
        return ItemFilters(*(None if one is None else _moved(one, device) for one in self._both))

    def excluded(self, histories: int, seen: RowLists | None) -> RowLists | None:
        """The items that must not be recommended for each history.

        Args:
            histories: number of histories.
            seen: further rows, one list for each history.

        Returns:
            One list for each history; None for nothing.
        """
        own = self.exclude
        if own is None:
            return seen
        if not isinstance(own, RowLists):
            own = RowLists(own.repeat(histories), torch.arange(histories + 1, device=own.device) * len(own))
        if seen is None:
            return own
        order = torch.cat([owners(own), owners(seen)]).argsort(stable=True)
        return distinct(RowLists(torch.cat([own.rows, seen.rows])[order], own.offsets + seen.offsets))

    @property
    def _both(self) -> tuple[ItemRows | None, ItemRows | None]:
        return self.exclude, self.allow


def item_filters(
    items: Vocabulary, histories: int, exclude: GivenItems | None, allow: GivenItems | None, stacklevel: int = 2
) -> ItemFilters:
    """Convert ids to rows. Unknown ids are ignored, with a warning if all ids of a filter are unknown.

    Args:
        items: the catalogue.
        histories: number of histories.
        exclude: ids that must not be recommended, for all histories or a list for each; None for nothing.
        allow: the only ids that may be recommended, likewise; None for all of them.
        stacklevel: as for ``warnings.warn``.

    Returns:
        The filters, on the CPU.

    Raises:
        InputError: several lists, but not one for each history, or a value that contains no ids.
    """
    given = {"exclude": exclude, "allow": allow}
    read = {name: None if one is None else _rows(items, histories, one, name) for name, one in given.items()}
    for name, found in read.items():
        if found is not None and found[1] and not found[0]:
            message = f"none of the ids of {name}= is in the catalogue, such as {found[1][0]!r}"
            warnings.warn(message, UnknownIdWarning, stacklevel=stacklevel + 1)
    return ItemFilters(*(None if found is None else found[2] for found in read.values()))


def _rows(items: Vocabulary, histories: int, given: Any, name: str) -> tuple[int, list[Any], ItemRows]:
    """The number of known ids, the unknown ids, and the rows of the known ones."""
    if is_single(given):
        raise InputError(
            f"{name}= is {given!r} instead of several ids",
            expected="a list of ids, or a list of ids for each history",
            remedy=f"write {name}=[{given!r}]",
        )
    ids = listed(name, given, "a list of ids, or a list of ids for each history")
    if not ids or is_single(ids[0]):
        rows, unknown = items.split(id_list(ids, items))
        return len(rows), unknown, torch.from_numpy(np.unique(rows))
    if len(ids) != histories:
        raise InputError(f"{name} contains {len(ids):,} lists", expected=f"one for each of {histories:,} histories")
    parts = [items.split(id_list(one, items)) for one in ids]
    found = from_rows([np.unique(rows) for rows, _ in parts])
    return len(found.rows), [id_ for _, unknown in parts for id_ in unknown], found


def _moved(rows: ItemRows, device: torch.device) -> ItemRows:
    if isinstance(rows, RowLists):
        return RowLists(rows.rows.to(device), rows.offsets.to(device))
    return rows.to(device)
