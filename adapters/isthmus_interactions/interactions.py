"""Which user has which item: a sparse matrix with its ids, and how it came to be."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import sparray, spmatrix

from isthmus.errors import InputError, SettingError
from isthmus.reprs import counted, described, joined
from isthmus.vocabulary import Id, Vocabulary
from isthmus_interactions.csr import Csr, Ints, as_csr, csr_of, entries_of, row_of_entry, stored_where
from isthmus_interactions.files.assemble import Weights, assemble
from isthmus_interactions.files.read import read_events
from isthmus_interactions.files.report import Report
from isthmus_interactions.files.threshold import parse_keep
from isthmus_interactions.ordered_histories import OrderedHistories, Times
from isthmus_interactions.vocabularies import translate

logger = logging.getLogger(__name__)

Ids = Vocabulary | Iterable[Id] | npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Interactions of users with items. Nothing in it changes; selections are new objects.

    Attributes:
        users: the users, one for each row of ``matrix``.
        items: the items, one for each column.
        matrix: SciPy CSR, float32, shape (users, items); sorted columns, no duplicates, every stored value positive.
        histories: every event of each user in order, with times where they are known; None where the order is not.
        report: what was read, dropped and merged on the way.
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
        user: str | None = None,
        item: str | None = None,
        value: str | None = None,
        time: str | None = None,
        keep: str | float | int | None = None,
        weights: Weights = "binary",
        ordered: bool = False,
    ) -> Interactions:
        """Read one event a row. The order of the rows has no influence on anything but ``histories``.

        Args:
            source: a path to CSV, TSV (also .gz) or Parquet, an Arrow table or record batch, or anything with the Arrow
                PyCapsule interface (pandas, polars, DuckDB, ...).
            user: the column of users; by default ``user``, ``user_id`` or ``userId`` (see ``columns.find_columns``).
            item: the column of items; by default ``item``, ``item_id``, ``itemId`` or ``movieId``.
            value: the column of ratings or amounts; by default ``rating`` or ``value`` if there is one. ``""``: none.
            time: the column of times; by default ``timestamp`` or ``time`` if there is one. ``""``: none. With times
                ``histories`` are kept, sorted by them.
            keep: which values count: ``"all"``, ``">=4"``, ``">3.5"`` or a number, meaning "at least". By default every
                row, or the top two fifths of a rating scale (see ``keep.default_keep``); ``report`` says which.
            weights: what a cell holds: 1 (``"binary"``), the sum of its rows' values (``"value"``) or log(1 + that sum)
                (``"log"``). Without a value column each row counts 1; under the latter two, rows of value 0 go.

            ordered: the rows are in the order in which things happened, at least those of each user: keep it in
                ``histories`` also where there is no column of times. Only the caller can know, and nothing is kept for
                those who do not ask.

        Rows without a user or an item are dropped and counted. Users and items with no row left have no place in the
        result.

        Returns:
            The interactions, with what was read, dropped and merged in ``report``.

        Raises:
            SourceError: no file, an unreadable or empty one, or no row left.
            ColumnError: a column that is missing or ambiguous, or of a type that has no meaning there.
            ValueRangeError: a value that is negative, missing or not finite; row and column are named.
            SettingError: ``keep`` or ``weights`` of an unknown form.
        """
        if weights not in ("binary", "value", "log"):
            raise SettingError(f"weights={weights!r}", expected="'binary', 'value' or 'log'")
        asked = parse_keep(keep)
        # The events are handed on and not kept, so that their memory can be given back on the way.
        columns = {"user": user, "item": item, "value": value, "time": time}
        built = cls(*assemble(read_events(source, **columns), asked, weights, ordered=ordered))
        built.report.log(logger)
        return built

    @classmethod
    def from_csr(
        cls, matrix: sparray | spmatrix, *, users: Ids | None = None, items: Ids | None = None
    ) -> Interactions:
        """Take over a SciPy matrix, shape (users, items); ids default to row and column numbers.

        Values stay as they are and duplicates are summed. Users and items without entries keep their place. The given
        matrix is not changed.

        Args:
            matrix: any SciPy sparse matrix, shape (users, items).
            users: an id for each row; numbers from 0, if not given.
            items: an id for each column; numbers from 0, if not given.

        Returns:
            Interactions without times and order.

        Raises:
            ValueRangeError: a value that is negative or not finite.
            InputError: ids that are not as many as rows or columns.
        """
        clean, stored = as_csr(matrix)
        user_ids, item_ids = _named(users, clean.shape[0], "users"), _named(items, clean.shape[1], "items")
        report = Report(rows_read=stored, zeros=stored - clean.nnz, why="every entry of the matrix", weights="value")
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
        """When, aligned with ``matrix.data`` (the latest of several events); None where no times are known."""
        return None if self.histories is None else self.histories.latest_times(self.matrix)

    def row_of(self, user: Id) -> int:
        """The row of a user.

        Raises:
            UnknownIdError: no such user.
        """
        return int(self.users.rows([user])[0])

    def select_users(self, rows: Ints) -> Interactions:
        """The given rows, in the given order; all items stay."""
        wanted = np.asarray(rows, dtype=np.int64)
        entries = entries_of(self.matrix, wanted)
        owners = np.repeat(np.arange(len(wanted)), np.diff(self.matrix.indptr)[wanted])
        shape = (len(wanted), len(self.items))
        matrix = csr_of(owners, self.matrix.indices[entries], self.matrix.data[entries], shape)
        histories = None if self.histories is None else self.histories.take(wanted)
        users = Vocabulary(self.users.ids[wanted])
        return Interactions(users, self.items, matrix, histories, self._part(matrix.nnz))

    def select_entries(self, mask: npt.NDArray[np.bool_]) -> Interactions:
        """The stored entries where ``mask`` (aligned with ``matrix.data``) is true; all users and items stay."""
        matrix = stored_where(self.matrix, mask)
        histories = None if self.histories is None else self.histories.inside(matrix)
        return replace(self, matrix=matrix, histories=histories, report=self._part(matrix.nnz))

    def select_items(self, rows: Ints) -> Interactions:
        """The given items, in the given order; all users stay, also those that have nothing left."""
        return self._over(Vocabulary(self.items.ids[np.asarray(rows, dtype=np.int64)]))

    def with_items(self, items: Vocabulary) -> Interactions:
        """The same users over another vocabulary of items; interactions with items unknown to it are dropped, counted
        in ``report.unknown_items`` and logged. Integers are found in a vocabulary of text, and the reverse.
        """
        if items == self.items:
            return self
        over = self._over(items)
        if over.nnz < self.nnz:
            logger.warning("%s of %s interactions are with unknown items: dropped", self.nnz - over.nnz, self.nnz)
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
        return Report(rows_read=rows, keep=self.report.keep, why=self.report.why, weights=self.report.weights)


def _named(ids: Ids | None, count: int, what: str) -> Vocabulary:
    if ids is None:
        return Vocabulary(np.arange(count))
    vocabulary = ids if isinstance(ids, Vocabulary) else Vocabulary(ids)
    if len(vocabulary) != count:
        raise InputError(f"{len(vocabulary):,} ids of {what} for a matrix with {count:,}", expected="an id for each")
    return vocabulary
