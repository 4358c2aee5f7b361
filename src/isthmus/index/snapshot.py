"""Immutable snapshots of an index: a frozen segment, a mask of its deleted rows, and a small segment of additions.

Rows are numbered consecutively: those of the frozen segment first, then the additions in insertion order. A change
creates a new snapshot and leaves the old one as it is, so a running search keeps the state it started with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.errors import DuplicateIdError, InputError, UnknownIdError
from isthmus.ids import Id
from isthmus.index.exact.filters import Allow
from isthmus.index.exact.rescoring import first_k
from isthmus.index.exact.top_k import Best, merge
from isthmus.index.segment import Query, Segment
from isthmus.index.vectors import Metric
from isthmus.protocols import Neighbours
from isthmus.reprs import brief
from isthmus.rowlists import RowLists
from isthmus.vocabulary import Kind, Rows, Vocabulary

Remaining = Int64[Tensor, " kept"] | RowLists | None
"""The part of an ``allow`` filter that concerns one segment."""


@brief
@dataclass(frozen=True)
class Snapshot:
    """The content of an index at one moment. Immutable.

    Attributes:
        metric, width: metric and number of dimensions of all vectors.
        kind: type of all ids.
        base: the frozen segment, or None.
        deleted: mask of the rows of the frozen segment that were removed or replaced, or None.
        later: segment of later additions, or None.
    """

    metric: Metric
    width: int
    kind: Kind
    base: Segment | None
    deleted: Bool[Tensor, " rows"] | None
    later: Segment | None

    @property
    def frozen(self) -> int:
        """Number of rows of the frozen segment, including deleted ones."""
        return 0 if self.base is None else len(self.base)

    @cached_property
    def deleted_count(self) -> int:
        """Number of deleted rows of the frozen segment."""
        return 0 if self.deleted is None else int(self.deleted.sum())

    @property
    def added(self) -> int:
        """Number of rows that were added later."""
        return 0 if self.later is None else len(self.later)

    def __len__(self) -> int:
        return self.frozen - self.deleted_count + self.added

    def nearest(
        self, queries: Float[Tensor, "batch width"], k: int, exclude: RowLists | None, allow: Allow
    ) -> Neighbours:
        """The ``k`` nearest rows of each query.

        Args:
            queries: checked queries.
            k: number of results per query.
            exclude: rows to exclude, for each query.
            allow: the only rows that may be returned: for all queries (a tensor) or for each (lists).

        Returns:
            Rows and scores, nearest first; padded with -1 and -inf where fewer than ``k`` pass the filters.
        """
        if self.base is not None and self.later is None and self.deleted is None and exclude is None and allow is None:
            return self.base.nearest(Query(queries, None, None, None), k)
        found: Best | None = None
        for start, request, own in self._requests(queries, exclude, allow):
            near = own.nearest(request, k)
            rows = torch.where(near.rows >= 0, near.rows + start, -1) if start else near.rows
            found = Best(near.scores, rows) if found is None else merge(found, Best(near.scores, rows), k)
        if found is None:
            return Neighbours(torch.full((len(queries), k), -1), torch.full((len(queries), k), -torch.inf))
        return Neighbours(found.columns, found.scores)

    def within(
        self,
        queries: Float[Tensor, "batch width"],
        floor: Float[Tensor, " batch"],
        exclude: RowLists | None,
        allow: Allow,
    ) -> Neighbours:
        """All rows with at least a minimum score.

        Args:
            queries: checked queries.
            floor: minimum score of each query.
            exclude: rows to exclude, for each query.
            allow: the only rows that may be returned: for all queries (a tensor) or for each (lists).

        Returns:
            Rows and scores, best first, padded with -1 and -inf to the length of the longest result.
        """
        none = torch.empty(0, dtype=torch.int64)
        query, row, scores = [none], [none], [torch.empty(0)]
        for start, request, own in self._requests(queries, exclude, allow):
            (owner, place), found = own.within(request, floor)
            query, row, scores = [*query, owner], [*row, place + start], [*scores, found]
        owners, order = torch.cat(query).sort(stable=True)
        most = int(torch.bincount(owners, minlength=1).max()) if len(owners) else 0
        if not most:
            return Neighbours(torch.empty(len(queries), 0, dtype=torch.int64), torch.empty(len(queries), 0))
        return first_k(owners, torch.cat(row)[order], torch.cat(scores)[order], len(queries), most)

    def rows(self, ids: Iterable[Id]) -> tuple[Rows, list[Id]]:
        """The rows of the known ids, and the unknown ids."""
        found, unknown = np.empty(0, dtype=np.int64), list(ids)
        if self.base is not None and unknown:
            found, unknown = self._live_rows(unknown)
        if self.later is None or not unknown:
            return found, unknown
        later, unknown = self.later.vocabulary.split(unknown)
        return np.concatenate([found, later + self.frozen]), unknown

    def places(self, ids: Sequence[Id]) -> Rows:
        """The row of each id, in the order given; -1 for unknown ones."""
        found = np.full(len(ids), -1, dtype=np.int64)
        if self.base is not None:
            found = self.base.vocabulary.places(ids)
            if self.deleted is not None:
                found[(found >= 0) & self.deleted.numpy()[found]] = -1
        if self.later is not None:
            later = self.later.vocabulary.places(ids)
            found[later >= 0] = later[later >= 0] + self.frozen
        return found

    def ids_of(self, rows: Rows) -> list[Any]:
        """The ids of rows; nested lists for a 2-D array of rows."""
        frozen = self.frozen
        if self.base is None or self.later is None:
            own = self.base or self.later
            return [] if own is None else own.vocabulary.ids[rows].tolist()
        is_later = rows >= frozen
        ids = np.empty(rows.shape, dtype=object)
        ids[~is_later] = self.base.vocabulary.take(rows[~is_later])
        ids[is_later] = self.later.vocabulary.take(rows[is_later] - frozen)
        taken: list[Any] = ids.tolist()
        return taken

    def live(self) -> tuple[Float[Tensor, "rows width"], list[Id]]:
        """All vectors and ids in row order, without deleted rows."""
        vectors, ids = [torch.empty(0, self.width)], list[Id]()
        if self.base is not None:
            kept = torch.arange(self.frozen) if self.deleted is None else (~self.deleted).nonzero()[:, 0]
            vectors.append(self.base.vectors[kept] if self.deleted_count else self.base.vectors)
            ids += self.base.vocabulary.take(kept.numpy())
        if self.later is not None:
            vectors.append(self.later.vectors)
            ids += self.later.vocabulary.take(np.arange(self.added))
        parts = [part for part in vectors if len(part)] or vectors[:1]
        return parts[0] if len(parts) == 1 else torch.cat(parts), ids

    def vectors_of(self, rows: Rows) -> Float[Tensor, "some width"]:
        """The original vectors of rows."""
        wanted = torch.from_numpy(rows)
        found = torch.empty(len(rows), self.width)
        early = wanted < self.frozen
        if self.base is not None:
            found[early] = self.base.vectors[wanted[early]]
        if self.later is not None:
            found[~early] = self.later.vectors[wanted[~early] - self.frozen]
        return found

    def with_rows(self, vectors: Float[Tensor, "some width"], ids: list[Id]) -> Snapshot:
        """A snapshot with additional rows.

        Raises:
            DuplicateIdError: an id that is already in the index, or is given twice.
            InputError: ids of another type.
        """
        check_distinct(ids)
        known = self.rows(ids)[0]
        if len(known):
            raise DuplicateIdError(f"id {self.ids_of(known)[0]!r} is in the index", remedy="update it, or remove it")
        more = Vocabulary(ids)
        if more.kind != self.kind and len(self):
            raise InputError(f"ids of type {more.kind}", expected=f"{self.kind}, like the existing ids")
        if self.later is not None:
            vectors = torch.cat([self.later.vectors, vectors])
            more = self.later.vocabulary.extended(ids)
        return replace(self, later=Segment(vectors, more, self.metric), kind=more.kind)

    def without_rows(self, ids: list[Id]) -> Snapshot:
        """A snapshot without some rows.

        Raises:
            DuplicateIdError: duplicate ids.
            UnknownIdError: an id that is not in the index.
        """
        check_distinct(ids)
        rows, unknown = self.rows(ids)
        if unknown:
            raise UnknownIdError(f"id {unknown[0]!r} is not in the index", expected="ids of the index")
        early = rows < self.frozen
        deleted, later = self.deleted, self.later
        if early.any():
            deleted = torch.zeros(self.frozen, dtype=torch.bool) if deleted is None else deleted.clone()
            deleted[torch.from_numpy(rows[early])] = True
        if later is not None and not early.all():
            kept = np.delete(np.arange(len(later)), rows[~early] - self.frozen)
            later = segment_of(later.vectors[torch.from_numpy(kept)], later.vocabulary.take(kept), self.metric)
        return Snapshot(self.metric, self.width, self.kind, self.base, deleted, later)

    def _live_rows(self, ids: list[Id]) -> tuple[Rows, list[Id]]:
        assert self.base is not None
        found, unknown = self.base.vocabulary.split(ids)
        if self.deleted is None or not len(found):
            return found, unknown
        deleted = self.deleted[torch.from_numpy(found)].numpy()
        return found[~deleted], unknown + self.base.vocabulary.take(found[deleted])

    def _requests(
        self, queries: Tensor, exclude: RowLists | None, allow: Allow
    ) -> Iterable[tuple[int, Query, Segment]]:
        """The first row, the queries and filters, and the segment, for each segment."""
        for start, segment in ((0, self.base), (self.frozen, self.later)):
            if segment is not None:
                own = Query(queries, _cut(exclude, start, len(segment)), _allowed(allow, start, len(segment)), None)
                if start == 0 and segment is self.base and self.deleted is not None:
                    own = own._replace(deleted=self.deleted, allow=_without(own.allow, self.deleted))
                yield start, own, segment


def segment_of(vectors: Float[Tensor, "some width"], ids: list[Id], metric: Metric) -> Segment | None:
    """A segment of some vectors; None if there are none.

    Args:
        vectors: one vector per row.
        ids: ids of the vectors.
        metric: metric of the comparison.
    """
    return Segment(vectors, Vocabulary(ids), metric) if ids else None


def check_distinct(ids: list[Id]) -> None:
    """Check that no id is given twice.

    Raises:
        DuplicateIdError: duplicate ids.
    """
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise DuplicateIdError(f"id {twice!r} is given twice", expected="distinct ids")


def _cut(lists: RowLists | None, start: int, rows: int) -> RowLists | None:
    """The rows of one segment, counted from its first row."""
    if lists is None:
        return None
    return _kept(lists, (lists.rows >= start) & (lists.rows < start + rows), start)


def _allowed(allow: Allow, start: int, rows: int) -> Remaining:
    if allow is None or isinstance(allow, RowLists):
        return _cut(allow, start, rows)
    allowed: Int64[Tensor, " allowed"] = allow[(allow >= start) & (allow < start + rows)] - start
    return allowed


def _without(allow: Allow, deleted: Bool[Tensor, " rows"]) -> Remaining:
    if allow is None:
        return None
    if isinstance(allow, RowLists):
        return _kept(allow, ~deleted[allow.rows], 0)
    kept: Int64[Tensor, " kept"] = allow[~deleted[allow]]
    return kept


def _kept(lists: RowLists, chosen: Bool[Tensor, " entries"], start: int) -> RowLists:
    ends = torch.cat([torch.zeros(1, dtype=torch.int64), chosen.cumsum(0)])[lists.offsets]
    return RowLists(lists.rows[chosen] - start, ends)
