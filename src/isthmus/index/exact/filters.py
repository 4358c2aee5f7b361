"""Filters of a search (excluded and allowed columns for each query), applied block by block.

Columns are addressed by *position*: among all columns, or among the few that are allowed for any query. Positions
increase with the column, so sorting by position is sorting by column.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.reprs import brief
from isthmus.rowlists import RowLists, check_lists, check_rows, owners, part, take

GATHER_SHARE = 4
"""Columns are gathered if at most one in this many is allowed; otherwise all are scored and the others masked."""

Allow = Int64[Tensor, " allowed"] | RowLists | None


@brief
@dataclass(frozen=True)
class Filters:
    """What a search may answer, checked.

    Attributes:
        width: number of columns.
        exclude: columns to exclude, one list for each query.
        lists: the only columns that may be returned, one list for each query.
        shared: the only columns that may be returned for any query, distinct and ascending.
    """

    width: int
    exclude: RowLists | None
    lists: RowLists | None
    shared: Int64[Tensor, " allowed"] | None

    @classmethod
    def checked(cls, width: int, queries: int, exclude: RowLists | None, allow: Allow, device: torch.device) -> Filters:
        """Filters on one device.

        Args:
            width: number of columns.
            queries: number of queries.
            exclude: columns to exclude, one list for each query.
            allow: the only columns that may be returned: for all queries (a tensor) or for each (lists).
            device: device on which the scores are computed.

        Raises:
            InputError: a number of lists that is not the number of queries.
            ValueRangeError: a row that does not exist.
        """
        if exclude is not None:
            check_lists(exclude, queries, width, "exclude")
        if isinstance(allow, RowLists):
            check_lists(allow, queries, width, "allow")
            return cls(width, _moved(exclude, device), _moved(allow, device), None)
        shared: Tensor | None = allow
        if shared is not None:
            check_rows(shared, width, "allow")
            shared = torch.unique(shared.to(device))
        return cls(width, _moved(exclude, device), None, shared)

    def part(self, start: int, stop: int) -> Filters:
        """The filters of queries ``start`` to ``stop``."""
        exclude = None if self.exclude is None else part(self.exclude, start, stop)
        lists = None if self.lists is None else part(self.lists, start, stop)
        return Filters(self.width, exclude, lists, self.shared)

    def take(self, queries: Int64[Tensor, " batch"]) -> Filters:
        """The filters of a subset of the queries, in the order given."""
        exclude = None if self.exclude is None else take(self.exclude, queries)
        lists = None if self.lists is None else take(self.lists, queries)
        return Filters(self.width, exclude, lists, self.shared)

    @property
    def allow(self) -> Allow:
        """The ``allow`` filter in either form."""
        return self.lists if self.shared is None else self.shared

    def candidates(self) -> Int64[Tensor, " candidates"] | None:
        """The columns to score, ascending, or None for all."""
        if self.shared is not None and len(self.shared) * GATHER_SHARE <= self.width:
            return self.shared
        if self.lists is not None and len(self.lists.rows) * GATHER_SHARE <= self.width:
            distinct: Tensor = torch.unique(self.lists.rows)
            return distinct
        return None

    def mask(self) -> Mask:
        """The same filters as positions to mask in blocks of scores."""
        ids = self.candidates()
        positions = self.width if ids is None else len(ids)
        closed = None
        if self.shared is not None and ids is None:
            closed = torch.ones(self.width, dtype=torch.bool, device=self.shared.device)
            closed[self.shared] = False
        exclude = None if self.exclude is None else Entries.of(self.exclude, ids)
        allow = None if self.lists is None else Entries.of(self.lists, ids)
        return Mask(positions, ids, closed, exclude, allow)


@dataclass(frozen=True)
class Entries:
    """Pairs of query and position, by ascending position."""

    queries: Int64[Tensor, " entries"]
    positions: Int64[Tensor, " entries"]

    @classmethod
    def of(cls, lists: RowLists, ids: Int64[Tensor, " candidates"] | None) -> Entries:
        """The entries of some lists; columns that are not candidates are dropped."""
        queries, positions = owners(lists), lists.rows
        if ids is not None:
            positions = torch.searchsorted(ids, lists.rows)
            known = torch.isin(lists.rows, ids)
            queries, positions = queries[known], positions[known]
        return cls(queries, positions)

    def sorted(self) -> Entries:
        """Sorted by position, so that the entries of a block are contiguous."""
        positions, order = self.positions.sort()
        return Entries(self.queries[order], positions)

    def between(self, start: int, stop: int) -> Entries:
        """The entries of one block, counted from its start; self must be sorted."""
        ends = torch.tensor([start, stop], device=self.positions.device)
        first, last = torch.searchsorted(self.positions, ends).tolist()
        return Entries(self.queries[first:last], self.positions[first:last] - start)


@dataclass(frozen=True)
class Mask:
    """The positions that each query may return."""

    positions: int
    ids: Int64[Tensor, " candidates"] | None
    closed: Bool[Tensor, " positions"] | None
    exclude: Entries | None
    allow: Entries | None

    def sorted(self) -> Mask:
        """Sorted, so that it can be cut into blocks."""
        exclude = None if self.exclude is None else self.exclude.sorted()
        allow = None if self.allow is None else self.allow.sorted()
        return Mask(self.positions, self.ids, self.closed, exclude, allow)

    def between(self, start: int, stop: int) -> Mask:
        """The mask of one block of positions; self must be sorted."""
        ids = None if self.ids is None else self.ids[start:stop]
        closed = None if self.closed is None else self.closed[start:stop]
        exclude = None if self.exclude is None else self.exclude.between(start, stop)
        allow = None if self.allow is None else self.allow.between(start, stop)
        return Mask(stop - start, ids, closed, exclude, allow)

    def masked(self, scores: Float[Tensor, "batch positions"]) -> Float[Tensor, "batch positions"]:
        """The scores with -inf at masked positions; written in place unless they are a view of a larger tensor."""
        if self.closed is None and self.allow is None and self.exclude is None:
            return scores
        if scores._is_view():
            scores = scores.clone(memory_format=torch.contiguous_format)
        if self.closed is not None:
            scores.masked_fill_(self.closed, -torch.inf)
        if self.allow is not None:
            at = (self.allow.queries, self.allow.positions)
            kept = scores[at]
            scores.fill_(-torch.inf)
            scores[at] = kept
        if self.exclude is not None:
            scores[self.exclude.queries, self.exclude.positions] = -torch.inf
        return scores


def _moved(lists: RowLists | None, device: torch.device) -> RowLists | None:
    if lists is None or lists.rows.device == device:
        return lists
    return RowLists(lists.rows.to(device), lists.offsets.to(device))
