"""Ranked results of one query, and of several."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, starmap
from typing import Any, ClassVar, Generic, TypeVar, final, overload

import pyarrow as pa

from isthmus.answers import html
from isthmus.answers.tabular import Tabular
from isthmus.ids import Id
from isthmus.reprs import counted, number, one_line
from isthmus.vocabulary import Kind

Row = TypeVar("Row", bound=tuple[Any, ...])
One = TypeVar("One", bound="RankedList[Any]")
Own = TypeVar("Own", bound="RankedList[Any]")
OwnLists = TypeVar("OwnLists", bound="RankedLists[Any]")

SHOWN_ROWS = 10
SHOWN_LISTS = 3
"""Number of results and answers that are shown in a notebook."""

_ID_TYPES = {"int64": pa.int64(), "uint64": pa.uint64(), "string": pa.large_string()}


def id_type(kind: Kind | None, ids: Iterable[Id] = ()) -> pa.DataType:
    """The Arrow type of ids.

    Args:
        kind: type of the ids in their vocabulary; None to determine it from ``ids``.
        ids: ids to determine the type from; without any, integers.
    """
    told: Kind = kind or ("string" if any(isinstance(id_, str) for id_ in ids) else "int64")
    return _ID_TYPES[told]


class RankedList(Tabular, Generic[Row]):
    """The results of one query, best first: a sequence of named tuples that is also a table.

    A subclass defines the columns. Equal to another one with the same results and remarks, and to a list of its
    results.
    """

    row_type: ClassVar[Any]
    """The named tuple of one result, whose fields are the columns."""

    # --- implemented by subclasses ----------------------------------------------------------------------------------

    @abstractmethod
    def columns(self) -> tuple[Sequence[Any], ...]:
        """The values of all results as plain Python values, one sequence for each field of ``row_type``, and after them
        those that only tables have."""

    @abstractmethod
    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow type of each column."""

    @abstractmethod
    def remarks(self) -> list[str]:
        """Remarks on this answer for its reader; usually none."""

    @abstractmethod
    def _cut(self: Own, places: slice) -> Own:
        """A slice of the results, with all other attributes."""

    @abstractmethod
    def _labels(self) -> Sequence[Any]:
        """A short label for each result."""

    # --- shared ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.columns()[0])

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self: Own, place: slice) -> Own: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return self._cut(place)
        at = operator.index(place)
        return self.row_type(*(column[at] for column in self._fields()))

    def __iter__(self) -> Iterator[Row]:
        return starmap(self.row_type, zip(*self._fields(), strict=True))

    def _fields(self) -> tuple[Sequence[Any], ...]:
        """The columns of ``row_type``."""
        return self.columns()[: len(self.row_type._fields)]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | tuple):
            return list(self) == list(other)
        if not isinstance(other, RankedList) or type(self) is not type(other):
            return NotImplemented
        return list(self) == list(other) and self.remarks() == other.remarks()

    __hash__ = None  # type: ignore[assignment]

    def to_arrow(self) -> pa.Table:
        """A row for each result: ``rank``, from 1, and the fields of the result."""
        ranks = pa.array(range(1, len(self) + 1), pa.int64())
        return _table({"rank": ranks}, self.columns(), self.column_types())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary()}>"

    def summary(self) -> str:
        """The best results in one line, and the first remark, if any, in a second line."""
        scores = dict(zip(self.column_types(), self.columns(), strict=True))["score"]
        places = range(min(len(self), 3))
        labels = self._labels()
        best = [f"{one_line(labels[place])} {number(scores[place])}" for place in places]
        more = len(self) - len(best)
        results = ", ".join(best) + (f" and {more:,} more" if more else "") if best else "no results"
        return "\n  ".join([results, *(one_line(remark, 100) for remark in self.remarks()[:1])])

    def _repr_html_(self) -> str:
        types = self.column_types()
        names, columns = [], []
        for name, column in zip(types, self.columns(), strict=True):
            if not column or any(value is not None for value in column[:SHOWN_ROWS]):
                names.append(name)
                columns.append(column)
        rows = [[str(rank), *row] for rank, row in enumerate(islice(zip(*columns, strict=True), SHOWN_ROWS), start=1)]
        more = len(self) - len(rows)
        below = [f"and {counted(more, 'more result')}"] if more else []
        remarks = [one_line(remark, 400) for remark in self.remarks()]
        return html.table(("", *names), rows) + "".join(map(html.paragraph, [*below, *remarks]))


class RankedLists(Tabular, Generic[One]):
    """The answers to several queries, in order: a sequence that is also one table.

    Equal to another one, or to a list, with the same answers.
    """

    # --- implemented by subclasses ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def queries(self) -> Sequence[Id]:
        """The value for each query in the table: the id of the query, or its number, from 0."""

    @abstractmethod
    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of ``query`` and of the fields of a result."""

    @abstractmethod
    def _answer(self, place: int) -> One:
        """The answer to one query; raises ``IndexError`` if there is none."""

    @abstractmethod
    def _cut(self: OwnLists, places: slice) -> OwnLists:
        """The answers to some of the queries."""

    # --- shared ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.queries)

    @overload
    def __getitem__(self, place: int) -> One: ...
    @overload
    def __getitem__(self: OwnLists, place: slice) -> OwnLists: ...
    def __getitem__(self, place: Any) -> Any:
        return self._cut(place) if isinstance(place, slice) else self._answer(operator.index(place))

    def __iter__(self) -> Iterator[One]:
        return map(self._answer, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | tuple) or type(self) is type(other):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def to_arrow(self) -> pa.Table:
        """A row for each result of each query: ``query``, ``rank`` (from 1), and the fields of the result."""
        types = dict(self.column_types())
        answers = list(self)
        counts = list(map(len, answers))
        queries = [query for query, count in zip(self.queries, counts, strict=True) for _ in range(count)]
        ranks = list(chain.from_iterable(range(1, count + 1) for count in counts))
        first = {"query": pa.array(queries, types.pop("query")), "rank": pa.array(ranks, pa.int64())}
        each = zip(*(answer.columns() for answer in answers), strict=True)
        columns = [list(chain.from_iterable(one)) for one in each] if answers else [[] for _ in types]
        return _table(first, columns, types)

    def __repr__(self) -> str:
        name = type(self).__name__
        if not len(self):
            return f"<{name}: no queries>"
        return f"<{name} to {counted(len(self), 'query')}; [0]: {self[0].summary()}>"

    def _repr_html_(self) -> str:
        parts = []
        for query, answer in islice(zip(self.queries, self, strict=True), SHOWN_LISTS):
            parts += [html.paragraph(f"query {one_line(query)}"), answer._repr_html_()]
        more = len(self) - min(len(self), SHOWN_LISTS)
        return "".join(parts) + (html.paragraph(f"and {counted(more, 'more query')}") if more else "")


@final
class Answers(RankedLists[One]):
    """The answers to several queries, stored as a list.

    Args:
        answers: one for each query.
        types: Arrow types of the fields of a result.
        queries: ids of the queries; by default the queries are numbered.
        query_kind: type of these ids.
    """

    def __init__(
        self,
        answers: Sequence[One],
        types: Mapping[str, pa.DataType],
        queries: Sequence[Id] | None = None,
        query_kind: Kind = "int64",
    ) -> None:
        self._answers, self._types, self._query_kind = answers, types, query_kind
        self._queries: Sequence[Id] = range(len(answers)) if queries is None else queries

    @property
    def queries(self) -> Sequence[Id]:
        """The ids of the queries, or their numbers, from 0."""
        return self._queries

    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of ``query`` and of the fields of a result."""
        return {"query": id_type(self._query_kind), **self._types}

    def _answer(self, place: int) -> One:
        return self._answers[place]

    def _cut(self, places: slice) -> Answers[One]:
        return Answers(self._answers[places], self._types, self._queries[places], self._query_kind)


def _table(
    first: Mapping[str, pa.Array], columns: Sequence[Sequence[Any]], types: Mapping[str, pa.DataType]
) -> pa.Table:
    rest = {name: pa.array(values, types[name]) for name, values in zip(types, columns, strict=True)}
    return pa.table({**first, **rest})
