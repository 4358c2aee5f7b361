"""Which items may be answered: the ids that a caller names, for all histories or for each, as rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.errors import InputError, UnknownIdWarning
from isthmus.rowlists import RowLists, distinct, owners, part
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.recommend.histories import GivenId, id_list, is_single

GivenItems = Iterable[GivenId] | Sequence[Iterable[GivenId]]
"""Ids for all histories, or a list of ids for each history."""

ItemRows = Int64[Tensor, " _"] | RowLists
"""Distinct rows for all histories, or a list of rows for each."""


@dataclass(frozen=True)
class ItemFilters:
    """Which items may be answered.

    Attributes:
        exclude: rows that must not be answered; None for no such rows.
        allow: the only rows that may be answered; None for all of them.
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
        """What must not be answered to each history.

        Args:
            histories: how many there are.
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
    """Rows of the ids that a caller names. Unknown ids are ignored, and where none of a filter is known, warned of.

    Args:
        items: the catalogue.
        histories: how many there are.
        exclude: what must not be answered, for all histories or a list for each; None for nothing.
        allow: the only items that may be answered, likewise; None for all of them.
        stacklevel: as for ``warnings.warn``.

    Returns:
        The filters, on the CPU.

    Raises:
        InputError: lists, but not one for each history, or something that holds no ids.
    """
    given = {"exclude": exclude, "allow": allow}
    read = {name: None if one is None else _rows(items, histories, one, name) for name, one in given.items()}
    for name, found in read.items():
        if found is not None and found[1] and not found[0]:
            message = f"none of the ids of {name}= is in the catalogue, such as {found[1][0]!r}"
            warnings.warn(message, UnknownIdWarning, stacklevel=stacklevel + 1)
    return ItemFilters(*(None if found is None else found[2] for found in read.values()))


def _rows(items: Vocabulary, histories: int, given: Any, name: str) -> tuple[int, list[Any], ItemRows]:
    """How many ids are known, the unknown ones, and the rows of the known ones."""
    if is_single(given):
        raise InputError(
            f"{name}= is {given!r} instead of several ids",
            expected="a list of ids, or a list of ids for each history",
            remedy=f"write {name}=[{given!r}]",
        )
    listed = given.tolist() if isinstance(given, np.ndarray | Tensor) else list(given)
    if not listed or is_single(listed[0]):
        rows, unknown = items.split(id_list(listed, items))
        return len(rows), unknown, torch.from_numpy(np.unique(rows))
    if len(listed) != histories:
        raise InputError(f"{name} holds {len(listed):,} lists", expected=f"one for each of {histories:,} histories")
    parts = [
        items.split(id_list(one.tolist() if isinstance(one, np.ndarray | Tensor) else one, items)) for one in listed
    ]
    lists = [np.unique(rows) for rows, _ in parts]
    ends = torch.from_numpy(np.cumsum([0, *map(len, lists)]))
    flat = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *lists]))
    return len(flat), [id_ for _, unknown in parts for id_ in unknown], RowLists(flat, ends)


def _moved(rows: ItemRows, device: torch.device) -> ItemRows:
    if isinstance(rows, RowLists):
        return RowLists(rows.rows.to(device), rows.offsets.to(device))
    return rows.to(device)
