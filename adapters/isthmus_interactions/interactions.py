"""Interactions: a sparse matrix of users and items with their ids, and a report of how it was read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse, sparray, spmatrix

from isthmus.errors import InputError, SettingError
from isthmus.files import Told
from isthmus.ids import Id
from isthmus.reprs import counted, described, joined
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.csr import Csr, Ints, as_csr, csr_of, row_of_entry, select_rows, stored_where
from isthmus_interactions.exchange.sql import QueryResult, run_query
from isthmus_interactions.files.assemble import Assembled, assemble
from isthmus_interactions.files.read import read_events
from isthmus_interactions.files.reading import Weights, columns_told
from isthmus_interactions.files.report import Report
from isthmus_interactions.files.threshold import Keep, parse_keep
from isthmus_interactions.ordered_histories import OrderedHistories, Times
from isthmus_interactions.store.store import InteractionStore, is_store
from isthmus_interactions.vocabularies import Ids, translate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Interactions of users with items. Immutable; selections are new objects.

    Attributes:
        users: the users, one for each row of ``matrix``.
        items: the items, one for each column.
        matrix: SciPy CSR, float32, shape (users, items); sorted columns, no duplicates, all stored values positive.
        histories: all events of each user in order, with times if known; None if the order is unknown.
        report: numbers of rows that were read, dropped and merged.
    """

    users: Vocabulary
    items: Vocabulary
    matrix: Csr
    histories: OrderedHistories | None
    report: Report

    @classmethod
    def read(
        cls,
        source: object,
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        value: str | int | None = None,
        time: str | int | None = None,
        keep: str | float | int | None = None,
        weights: Weights | None = None,
        ordered: bool | None = False,
        users: Ids | None = None,
        items: Ids | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
    ) -> Interactions:
        """Read a table with one event per row, or a matrix. The order of the rows only affects ``histories``.

        Rows without a user or an item (empty, null, NaN, or a text such as NULL or NA) are dropped and counted. Users
        and items without any remaining row are not in the result, except for a matrix, which is used as it is: see
        ``from_csr``.

        Args:
            source: a path to delimited text (CSV, TSV, ``::``, ...), JSON or Parquet, an Arrow table or record batch,
                any object with the Arrow PyCapsule interface (pandas, polars, DuckDB, ...), a tuple of arrays (users,
                items), (users, items, values) or (users, items, values, times), or a SciPy sparse matrix, shape (users,
                items). Interactions are returned as they are. The arrays of an ``InteractionStore``, or of the store at
                a path, stay on disk; how its rows are read was said when it was made.
            user: the column of users; by default ``user``, ``user_id`` or ``userId`` (see ``columns.find_columns``).
                The columns of a file without names are identified by their numbers, counted from 1.
            item: the column of items; by default ``item``, ``item_id``, ``itemId``, ``movieId`` or ``book_id``.
            value: the column of ratings or amounts; by default ``rating`` or ``value`` if there is one. ``""``: none.
            time: the column of times; by default ``timestamp`` or ``time`` if there is one. ``""``: none. Numbers,
                dates as 2024-01-31 12:00:00 (also with a zone, or without the time of day), or m/d/Y or d/m/Y where
                only one of them fits. With times, ``histories`` are kept and sorted by them. If the column is named
                here, rows without a time are dropped and counted; otherwise a column with missing times is ignored.
            keep: which values count: ``"all"``, ``">=4"``, ``">3.5"`` or a number, meaning "at least". By default the
                top two fifths of a rating scale, and for other values all above 0 (see ``threshold.default_keep``);
                ``report`` says which. For a matrix, every entry counts by default.
            weights: content of a cell: 1 (``"binary"``, the default), the sum of the values of its rows (``"value"``,
                the default for a matrix) or log(1 + sum) (``"log"``). Without a value column each row counts 1; with
                ``"value"`` and ``"log"``, rows of value 0 are dropped.
            ordered: whether the rows are in chronological order, at least those of each user; if so, the order is kept
                in ``histories`` even without a column of times.
            users, items: ids for the rows and columns of a matrix; by default their numbers from 0.
            encoding, delimiter, header: the format of a text file: its encoding, the separator of columns, and whether
                its first line contains names. By default they are detected (see ``isthmus.files``).

        Returns:
            The interactions, with the numbers of rows that were read, dropped and merged in ``report``.

        Raises:
            SourceError: no file, an unreadable or empty one, or no row left.
            ColumnError: a column that is missing or ambiguous, or has an unusable type.
            ValueRangeError: a value that is missing or not finite, or negative if the rule keeps it; the message
                names row and column.
            SettingError: an invalid ``keep`` or ``weights``, or an argument that does not apply to this kind of source.
        """
        if weights not in (None, "binary", "value", "log"):
            raise SettingError(f"weights={weights!r}", expected="'binary', 'value' or 'log'")
        roles = {"user": user, "item": item, "value": value, "time": time}
        columns = {role: None if name is None else str(name) for role, name in roles.items()}
        file = Told.of(encoding, delimiter, header)
        if is_store(source):
            source = InteractionStore.open(cast(str, source))
        if isinstance(source, InteractionStore):
            given = {**columns, **file.asdict(), "users": users, "items": items, "ordered": ordered or None}
            return cls(*_asked_of(source, given, keep, weights))
        if isinstance(source, Interactions):
            told = {**columns, "keep": keep, "weights": weights, "ordered": ordered or None}
            _refuse(
                {**told, "users": users, "items": items, **file.asdict()},
                "interactions that are read already",
                "none of them",
            )
            return source
        if issparse(source):
            _refuse({**columns, **file.asdict()}, "a matrix", "ids of its rows and columns with users= and items=")
            return cls.from_csr(cast(sparray, source), users=users, items=items, keep=keep, weights=weights or "value")
        _refuse({"users": users, "items": items}, "a table", "the columns of users and items with user= and item=")
        asked = parse_keep(keep)
        # No reference to the events is kept, so that their memory can be freed on the way.
        parts = assemble(read_events(source, **columns, told=file), asked, weights or "binary", ordered=bool(ordered))
        built = cls(*parts[:-1], replace(parts[-1], columns=columns_told(columns), file=file.said()))
        built.report.tell(logger)
        return built

    @classmethod
    def from_sql(
        cls,
        connection: Any,
        query: str,
        *,
        parameters: Any = None,
        user: str | None = None,
        item: str | None = None,
        value: str | None = None,
        time: str | None = None,
        keep: str | float | int | None = None,
        weights: Weights | None = None,
        ordered: bool | None = False,
    ) -> Interactions:
        """Read the result of an SQL query with one row per event. Rows are fetched in batches, as Arrow if the library
        supports it (DuckDB, ADBC).

        Args:
            connection: a connection of DuckDB, ADBC, SQLAlchemy (or an engine), sqlite3, psycopg, or any other DBAPI
                library. It stays open, and nothing is committed.
            query: an SQL statement that returns rows.
            parameters: values of its placeholders, in the form of the library.
            user, item, value, time, keep, weights: as for ``read``.
            ordered: whether the query has ordered the events of each user by time.

        Returns:
            The interactions.

        Raises:
            SettingError: not a connection, or a query that is not text.
            SourceError: the query fails or returns no rows; and the other errors of ``read``.
        """

        def read(found: QueryResult) -> Interactions:
            return cls.read(
                found, user=user, item=item, value=value, time=time, keep=keep, weights=weights, ordered=ordered
            )

        interactions: Interactions = run_query(connection, query, parameters, read)
        return interactions

    @classmethod
    def from_csr(
        cls,
        matrix: sparray | spmatrix,
        *,
        users: Ids | None = None,
        items: Ids | None = None,
        keep: str | float | int | None = None,
        weights: Weights = "value",
    ) -> Interactions:
        """Interactions from a SciPy matrix, shape (users, items); ids default to row and column numbers.

        Duplicates are summed. Users and items without entries are kept. The given matrix is not changed.

        Args:
            matrix: any SciPy sparse matrix, shape (users, items).
            users: an id for each row; by default numbers from 0.
            items: an id for each column; by default numbers from 0.
            keep: which entries count, as for ``read``; by default all above 0.
            weights: whether values are kept, or become 1 (``"binary"``) or log(1 + value) (``"log"``).

        Returns:
            Interactions without times and order.

        Raises:
            ValueRangeError: a value that is negative or not finite.
            InputError: a different number of ids than rows or columns.
            SettingError: an invalid ``keep``.
        """
        clean, stored = as_csr(matrix)
        user_ids, item_ids = _named(users, clean.shape[0], "users"), _named(items, clean.shape[1], "items")
        zeros, rule = stored - clean.nnz, parse_keep(keep) or Keep(None, False, "every entry of the matrix")
        kept = rule.mask(clean.data)
        filtered = 0 if kept is None else int((~kept).sum())
        clean = clean if kept is None else stored_where(clean, kept)
        if weights != "value":
            clean.data = np.ones_like(clean.data) if weights == "binary" else np.log1p(clean.data)
        report = Report(stored, filtered=filtered, zeros=zeros, keep=rule.rule, why=rule.why, weights=weights)
        if filtered:
            report.tell(logger)
        return cls(user_ids, item_ids, clean, None, report)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        known = [counted(len(self.users), "user"), counted(len(self.items), "item"), counted(self.nnz, "interaction")]
        return described(self, joined([*known, "" if self.histories is None else "in order"]))

    @property
    def nnz(self) -> int:
        """The number of (user, item) pairs."""
        return int(self.matrix.nnz)

    @cached_property
    def times(self) -> Times | None:
        """Times, aligned with ``matrix.data`` (the latest of several events); None if times are unknown."""
        return None if self.histories is None else self.histories.latest_times(self.matrix)

    def row_of(self, user: Id) -> int:
        """The row of a user.

        Raises:
            UnknownIdError: there is no such user.
        """
        return int(self.users.rows([user])[0])

    def select_users(self, rows: Ints) -> Interactions:
        """The given rows, in the given order; all items are kept."""
        wanted = np.asarray(rows, dtype=np.int64)
        matrix = select_rows(self.matrix, wanted)
        histories = None if self.histories is None else self.histories.take(wanted)
        users = Vocabulary(self.users.ids[wanted])
        return Interactions(users, self.items, matrix, histories, self._part(matrix.nnz))

    def select_entries(self, mask: npt.NDArray[np.bool_]) -> Interactions:
        """The stored entries where ``mask`` (aligned with ``matrix.data``) is true; all users and items are kept."""
        matrix = stored_where(self.matrix, mask)
        histories = None if self.histories is None else self.histories.inside(matrix)
        return replace(self, matrix=matrix, histories=histories, report=self._part(matrix.nnz))

    def select_items(self, rows: Ints) -> Interactions:
        """The given items, in the given order; all users are kept, including those without any remaining item."""
        return self._over(Vocabulary(self.items.ids[np.asarray(rows, dtype=np.int64)]))

    def with_items(self, items: Vocabulary, *, log: bool = True) -> Interactions:
        """The same users over another vocabulary of items. Interactions with unknown items are dropped, counted in
        ``report.unknown_items`` and, with ``log``, logged. Integers also match their text, and the reverse."""
        if items == self.items:
            return self
        over = self._over(items)
        if log and over.nnz < self.nnz:
            logger.warning("%s of %s interactions have unknown items and are dropped", self.nnz - over.nnz, self.nnz)
        return over

    def _over(self, items: Vocabulary) -> Interactions:
        renumbered = translate(self.items, items)
        columns = renumbered[self.matrix.indices]
        owners = row_of_entry(self.matrix)
        order = np.lexsort((columns, owners))
        order = order[columns[order] >= 0]
        shape = (len(self), len(items))
        matrix = csr_of(owners[order], columns[order], self.matrix.data[order], shape)
        histories = None if self.histories is None else self.histories.renumbered(renumbered)
        unknown = self.report.unknown_items + self.nnz - matrix.nnz
        return Interactions(self.users, items, matrix, histories, replace(self.report, unknown_items=unknown))

    def _part(self, rows: int) -> Report:
        told = self.report
        return Report(rows, keep=told.keep, why=told.why, weights=told.weights, columns=told.columns, file=told.file)


def _refuse(given: Mapping[str, object], source: str, instead: str) -> None:
    """Refuse arguments that do not apply to the source. Raises SettingError."""
    odd = [name for name, value in given.items() if value is not None]
    if odd:
        raise SettingError(f"{' and '.join(f'{name}=' for name in odd)} for {source}", expected=instead)


def _asked_of(
    store: InteractionStore, given: Mapping[str, object], keep: str | float | int | None, weights: Weights | None
) -> Assembled:
    """The parts of a store; raises SettingError if it was made with other options."""
    _refuse(given, "a store", "none of them: they are told to isthmus store, or InteractionStore.create")
    held, rule = store.report, parse_keep(keep)
    asked = {"keep": None if rule is None else rule.rule, "weights": weights}
    for name, value in asked.items():
        if value is not None and value != getattr(held, name):
            raise SettingError(
                f"{name}={value!r} for a store of {name}={getattr(held, name)!r}",
                expected="what it was made with",
                remedy="make another store",
            )
    return store.parts


def _named(ids: Ids | None, count: int, what: str) -> Vocabulary:
    if ids is None:
        return Vocabulary(np.arange(count))
    vocabulary = ids if isinstance(ids, Vocabulary) else Vocabulary(ids)
    if len(vocabulary) != count:
        raise InputError(f"{len(vocabulary):,} ids of {what} for a matrix with {count:,}", expected="an id for each")
    return vocabulary
