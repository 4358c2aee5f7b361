"""Searches of an index: converts ids to rows, searches, and converts rows to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.answers import RankedList, RankedLists, id_type
from isthmus.checked.arguments import checked_k, listed, real
from isthmus.checked.dense import as_float, real_numbers
from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.ids import Id
from isthmus.index.exact.filters import Allow
from isthmus.index.snapshot import Snapshot
from isthmus.index.vectors import check_queries
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists, from_rows, take
from isthmus.vocabulary import Kind

IdArray = Iterable[Id] | npt.NDArray[np.generic] | Tensor
"""An array of ids."""

Ids = IdArray | Sequence[IdArray]
"""Ids for all queries, or one list of ids for each query."""

FP32_MOST = float(np.finfo(np.float32).max)


class Hit(NamedTuple):
    """One vector that was found.

    Attributes:
        id: id of the vector.
        score: inner product, cosine or negative squared distance; higher is nearer.
    """

    id: Id
    score: float


@final
@dataclass(frozen=True, eq=False, repr=False)
class Hits(RankedList[Hit]):
    """The nearest vectors of one query, best first: a sequence of ``Hit`` (id, score) that is also a table.

    Attributes:
        ids: ids of the vectors.
        scores: inner products, cosines or negative squared distances; higher is nearer.
        kind: whether ids are numbers or text.
    """

    ids: list[Id]
    scores: npt.NDArray[np.float32]
    kind: Kind | None = None

    row_type: ClassVar[Any] = Hit

    def columns(self) -> tuple[Sequence[Any], ...]:
        """The ids and the scores, one column each."""
        return self.ids, self.scores.tolist()

    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of id and score."""
        return {"id": id_type(self.kind, self.ids), "score": pa.float64()}

    def remarks(self) -> list[str]:
        """No remarks, because the columns are complete."""
        return []

    def _cut(self, places: slice) -> Hits:
        return Hits(self.ids[places], self.scores[places], self.kind)

    def _labels(self) -> Sequence[Any]:
        return self.ids


@final
@dataclass(frozen=True, eq=False, repr=False)
class SearchHits(RankedLists[Hits]):
    """Results of several queries, best first, ties in insertion order.

    A sequence with the ``Hits`` of each query, which is also one table.

    Attributes:
        ids: ids of the results, a list for each query.
        scores: inner products, cosines or negative squared distances, an array for each query; higher is nearer.
        kind: whether ids are numbers or text.
        numbers: numbers of the queries, if these results are a slice; otherwise they count from 0.
    """

    ids: list[list[Id]]
    scores: list[npt.NDArray[np.float32]]
    kind: Kind | None = None
    numbers: range | None = None

    @property
    def queries(self) -> range:
        """The numbers of the queries, from 0."""
        return range(len(self.ids)) if self.numbers is None else self.numbers

    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of query, id and score."""
        some = next((ids for ids in self.ids if ids), [])
        return {"query": pa.int64(), "id": id_type(self.kind, some), "score": pa.float64()}

    def _answer(self, place: int) -> Hits:
        return Hits(self.ids[place], self.scores[place], self.kind)

    def _cut(self, places: slice) -> SearchHits:
        return SearchHits(self.ids[places], self.scores[places], self.kind, self.queries[places])


def search(
    snapshot: Snapshot, queries: Any, k: int | Sequence[int], exclude: Ids | None, allow: Ids | None
) -> SearchHits:
    """``Index.search`` on a snapshot.

    Args:
        snapshot: the vectors to search.
        queries: one query, or one per row.
        k: number of results; one number, or one for each query.
        exclude: ids that must not be returned: for all queries, or a list for each.
        allow: the only ids that may be returned, likewise.

    Returns:
        The results.

    Raises:
        SettingError: a k below 1, or a number of k that is not the number of queries.
        InputError: queries of another width; a number of lists that is not the number of queries.
        ValueRangeError: a query contains NaN or infinity.
    """
    asked = as_queries(queries)
    check_queries(asked, snapshot.width, torch.device("cpu"), snapshot.metric)
    out, only = excluded(exclude, asked.shape[0], snapshot), allowed(allow, asked.shape[0], snapshot)
    if isinstance(k, int) or not (isinstance(k, list | tuple | range) or np.ndim(k)):
        return hits_of(snapshot, snapshot.nearest(asked, min(checked_k(k), max(1, len(snapshot))), out, only))
    groups = batches(k, len(asked))
    parts = []
    for some, wanted in groups:
        most = min(max(wanted, default=1), max(1, len(snapshot)))
        own = (asked, out, only) if len(groups) == 1 else (asked[some], *_filters_of(out, only, some))
        near = snapshot.nearest(own[0], most, own[1], own[2])
        found = hits_of(snapshot, near)
        parts.append((some, found if min(wanted, default=most) >= most else cut(found, wanted)))
    return parts[0][1] if len(parts) == 1 else joined(parts, len(asked), snapshot.kind)


def within(snapshot: Snapshot, queries: Any, score: float, exclude: Ids | None, allow: Ids | None) -> SearchHits:
    """``Index.within`` on a snapshot.

    Args:
        snapshot: the vectors to search.
        queries: one query, or one per row.
        score: minimum score.
        exclude: ids that must not be returned: for all queries, or a list for each.
        allow: the only ids that may be returned, likewise.

    Returns:
        The results.

    Raises:
        InputError: queries of another width; a number of lists that is not the number of queries.
        ValueRangeError: a query contains NaN or infinity.
    """
    asked = as_queries(queries)
    check_queries(asked, snapshot.width, torch.device("cpu"), snapshot.metric)
    if isinstance(score, float | np.floating) and np.isnan(score):
        raise ValueRangeError("a score of NaN", expected="a number")
    # Scores lie within the range of fp32.
    score = min(max(real("score", score, "a number"), -FP32_MOST), FP32_MOST)
    out, only = excluded(exclude, len(asked), snapshot), allowed(allow, len(asked), snapshot)
    return hits_of(snapshot, snapshot.within(asked, torch.full((len(asked),), score), out, only))


def hits_of(snapshot: Snapshot, near: Neighbours) -> SearchHits:
    """Results with the ids of a snapshot; rows of -1 are dropped."""
    return _listed(near, snapshot.ids_of, snapshot.kind)


def row_hits(near: Neighbours) -> SearchHits:
    """Results whose ids are the row numbers; rows of -1 are dropped."""
    return _listed(near, lambda rows: rows.tolist(), "int64")


def _listed(near: Neighbours, ids_of: Callable[[Int64[np.ndarray, ...]], Any], kind: Kind) -> SearchHits:
    rows = near.rows.numpy()
    if rows.size and rows.min() >= 0:
        whole: list[list[Id]] = ids_of(rows)
        return SearchHits(whole, list(near.scores.numpy()), kind)
    there = near.rows >= 0
    counts = there.sum(1).tolist()
    ids = ids_of(near.rows[there].numpy())
    values = near.scores[there].numpy()
    lists, scores, start = [], [], 0
    for count in counts:
        lists.append(ids[start : start + count])
        scores.append(values[start : start + count])
        start += count
    return SearchHits(lists, scores, kind)


def joined(parts: Sequence[tuple[Tensor, SearchHits]], queries: int, kind: Kind) -> SearchHits:
    """Merge results of disjoint groups of queries, in the order of the queries."""
    ids: list[list[Id]] = [[] for _ in range(queries)]
    scores = [np.empty(0, dtype=np.float32) for _ in range(queries)]
    for some, found in parts:
        for query, own, values in zip(some.tolist(), found.ids, found.scores, strict=True):
            ids[query], scores[query] = own, values
    return SearchHits(ids, scores, kind)


def batches(k: Any, queries: int) -> list[tuple[Tensor, list[int]]]:
    """Groups of queries with a similar ``k``, and the ``k`` of each query.

    Raises:
        SettingError: a k below 1, or a number of k that is not the number of queries.
    """
    wanted = [checked_k(one) for one in listed("k", k, "one whole number, or one for each query")]
    if len(wanted) != queries:
        raise SettingError(f"{len(wanted)} values of k", expected=f"one k, or one for each of {queries} queries")
    groups: dict[int, list[int]] = {}
    for query, one in enumerate(wanted):
        groups.setdefault(one.bit_length(), []).append(query)
    return [(torch.tensor(some), [wanted[query] for query in some]) for some in groups.values()]


def cut(found: SearchHits, wanted: Sequence[int]) -> SearchHits:
    """The first results of each query, ``wanted`` of them."""
    ids = [own[:k] for own, k in zip(found.ids, wanted, strict=True)]
    return SearchHits(ids, [values[:k] for values, k in zip(found.scores, wanted, strict=True)], found.kind)


def excluded(ids: Ids | None, queries: int, snapshot: Snapshot) -> RowLists | None:
    """Rows to exclude, for each query.

    Args:
        ids: ids for all queries, or a list for each; unknown ids are ignored.
        queries: number of queries.
        snapshot: maps ids to rows.

    Raises:
        InputError: a number of lists that is not the number of queries.
    """
    if ids is None:
        return None
    shared, lists = _read(ids, queries, "exclude")
    if shared is None:
        return _lists(lists, snapshot)
    rows = torch.from_numpy(snapshot.rows(shared)[0])
    return RowLists(rows.repeat(queries), torch.arange(queries + 1) * len(rows))


def allowed(ids: Ids | None, queries: int, snapshot: Snapshot) -> Allow:
    """The only rows that may be returned: for all queries, or for each.

    Args:
        ids: ids for all queries, or a list for each; unknown ids are ignored.
        queries: number of queries.
        snapshot: maps ids to rows.

    Raises:
        InputError: a number of lists that is not the number of queries.
    """
    if ids is None:
        return None
    shared, lists = _read(ids, queries, "allow")
    if shared is None:
        return _lists(lists, snapshot)
    rows: Int64[Tensor, " rows"] = torch.from_numpy(snapshot.rows(shared)[0])
    return rows


def reusable(ids: Ids | None, name: str) -> Ids | None:
    """Ids, or a list of ids for each query, as lists, which can be read more than once.

    Raises:
        InputError: neither.
    """
    if ids is None:
        return None
    given = _list(ids, name)
    return given if not given or _is_id(given[0]) else [_list(one, name) for one in given]


def as_queries(queries: Any) -> Float[Tensor, "batch width"]:
    """One query, or one per row, as float32 on the CPU, from numpy, torch or lists of numbers.

    Raises:
        InputError: not a numeric array with one or two dimensions.
    """
    # A copy, so that nobody changes the queries between their checks and the search.
    if type(queries) is np.ndarray and queries.dtype == np.float32:
        numbers: npt.NDArray[np.generic] = queries.copy()
    else:
        numbers = as_float(real_numbers(queries, "queries of numbers"), np.float32)
    made = numbers[None] if numbers.ndim == 1 else numbers
    if made.ndim != 2:
        raise InputError(f"queries of shape {numbers.shape}", expected="[batch, width] or [width]")
    return torch.from_numpy(made)


def _read(ids: Ids, queries: int, name: str) -> tuple[list[Id] | None, list[list[Id]]]:
    """Ids for all queries, or one list for each query."""
    given = _list(ids, name)
    if not given or _is_id(given[0]):
        return given, []
    if len(given) != queries:
        raise InputError(f"{name} holds {len(given)} lists", expected=f"one for each of {queries} queries")
    return None, [_list(one, name) for one in given]


def _is_id(one: Any) -> bool:
    return isinstance(one, int | str | np.integer)


def _list(ids: Any, name: str) -> list[Any]:
    return listed(name, ids, "a list of ids, or a list of ids for each query")


def _lists(lists: list[list[Id]], snapshot: Snapshot) -> RowLists:
    return from_rows([snapshot.rows(one)[0] for one in lists])


def _filters_of(exclude: RowLists | None, allow: Allow, some: Int64[Tensor, " some"]) -> tuple[RowLists | None, Allow]:
    """The filters of a subset of the queries."""
    only = take(allow, some) if isinstance(allow, RowLists) else allow
    return None if exclude is None else take(exclude, some), only
