"""Reads a table as events: a user code, an item code and optionally a value and a time for every row.

Batches are encoded as they arrive, so only one batch is in memory in addition to the result (8 to 20 bytes per row).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import SourceError
from isthmus.files import DelimitedTable, Told
from isthmus.reprs import counted
from isthmus_interactions.files.columns import Columns, find_columns
from isthmus_interactions.files.ids import Coded, IdColumn, Ids
from isthmus_interactions.files.tables import Table, events_in, open_table
from isthmus_interactions.files.threshold import Levels
from isthmus_interactions.files.times.column import TimeColumn
from isthmus_interactions.files.unnamed import columns_by_content
from isthmus_interactions.files.values import ValueColumn, Values
from isthmus_interactions.ordered_histories import Times, TimeUnit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Events:
    """The rows of a table that have a user and an item, in the order of the table.

    Attributes:
        users: users of the events.
        items: items of the events.
        values: finite values, or None without a value column.
        times: times, or None: numbers unchanged, dates as microseconds since 1970 (UTC).
        unit: unit of the times; None without times.
        levels: the distinct values, ascending; None for more than ``threshold.MOST_LEVELS``; empty without values.
        rows_read: number of rows of the table.
        name: name of the source, for messages.
        value_name: the column of values.
        negative: the first row with a value below 0, for messages; None if there is none.
        untimed_rows: number of rows left out because they have no time.
        missing_words: texts that stood for a missing id, such as NULL.
    """

    users: Coded
    items: Coded
    values: Values | None
    times: Times | None
    unit: TimeUnit | None
    levels: Levels | None
    rows_read: int
    name: str
    value_name: str = ""
    negative: str | None = None
    untimed_rows: int = 0
    missing_words: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.users.codes)

    def kept(self, mask: npt.NDArray[np.bool_]) -> Events:
        """The rows where ``mask`` is true."""
        values = None if self.values is None else self.values[mask]
        times = None if self.times is None else self.times[mask]
        return replace(self, users=self.users.kept(mask), items=self.items.kept(mask), values=values, times=times)

    def unvalued(self) -> Events:
        """The same rows without their values."""
        return replace(self, values=None)

    def untimed(self) -> Events:
        """The same rows without their times."""
        return replace(self, times=None, unit=None)


def read_events(
    source: object,
    *,
    user: str | None,
    item: str | None,
    value: str | None,
    time: str | None,
    told: Told | None = None,
) -> Events:
    """Read the columns that ``find_columns`` finds.

    Rows without a user or an item are left out, and rows without a time if the column of times was named. A column of
    times that was not named and contains something else is not read, which is logged.

    Args:
        source: a path or a table; see ``tables.open_table``.
        user: the column of users.
        item: the column of items.
        value: the column of values; ``""`` for none.
        time: the column of times; ``""`` for none.
        told: options of a text file that the caller gave.

    Returns:
        An event for each row with a user and an item, in the order of the table.

    Raises:
        SourceError: nothing to read, or no row with both a user and an item.
        ColumnError: a column that is missing, ambiguous or of an unusable type.
        ValueRangeError: a value that is missing or not finite, or an invalid time in a named column; the message names
            row and column.
    """
    return read_events_of(open_table(source, told), user=user, item=item, value=value, time=time)


def read_events_of(table: Table, *, user: str | None, item: str | None, value: str | None, time: str | None) -> Events:
    """``read_events`` for an open table."""
    columns = columns_of(table, user=user, item=item, value=value, time=time)
    users, items = (IdColumn(name, text=table.text) for name in (columns.user, columns.item))
    values = None if columns.value is None else ValueColumn(columns.value, table.where)
    times = None if columns.time is None else TimeColumn(columns.time, table.where, asked=bool(time))
    reader = EventReader(table, columns, users, items, values, times)
    for batch in events_in(table, columns):
        reader.add(batch)
    return reader.events()


def columns_of(table: Table, *, user: str | None, item: str | None, value: str | None, time: str | None) -> Columns:
    """The columns that ``find_columns`` finds; in a file without a header, columns are identified by their content."""
    asked = {"user": user, "item": item, "value": value, "time": time}
    unsure = isinstance(table, DelimitedTable) and not table.dialect.sure
    if isinstance(table, DelimitedTable) and not table.headed and (user is None or item is None):
        found = columns_by_content(table)
        asked = {role: found[role] if name is None else name for role, name in asked.items()}
    return find_columns(table.header, **asked, unsure=unsure)


class EventReader:
    """Collects the events of a table batch by batch.

    Args:
        table: the table.
        columns: columns to read.
        users: collects the users.
        items: collects the items.
        values: collects the values, if they are read.
        times: collects the times, if they are read.
        rows: number of rows that were read before.
    """

    def __init__(
        self,
        table: Table,
        columns: Columns,
        users: Ids,
        items: Ids,
        values: ValueColumn | None,
        times: TimeColumn | None,
        rows: int = 0,
    ) -> None:
        self._table, self._columns = table, columns
        self._users, self._items, self._values, self._times = users, items, values, times
        self._rows = rows

    @property
    def rows(self) -> int:
        """The number of rows that were read."""
        return self._rows

    def add(self, batch: pa.RecordBatch) -> None:
        """Encode the users, items and values of one batch of rows, and keep them."""
        columns = self._columns
        users = self._users.encode(batch.column(columns.user))
        items = self._items.encode(batch.column(columns.item))
        complete, repeated = None, self._repeats_names(batch)
        if users.indices.null_count or items.indices.null_count or repeated is not None:
            valid = pc.and_(users.indices.is_valid(), items.indices.is_valid())
            valid = valid if repeated is None else pc.and_not(valid, repeated)
            users, items = users.filter(valid), items.filter(valid)
            complete = valid.to_numpy(zero_copy_only=False)
        self._users.add(users)
        self._items.add(items)
        for kept, name in ((self._values, columns.value), (self._times, columns.time)):
            if kept is not None and name is not None:
                kept.add(batch.column(name), complete, self._rows)
        self._rows += batch.num_rows

    def _repeats_names(self, batch: pa.RecordBatch) -> Any:
        """Rows that repeat the header, as in concatenated files; None if there are none."""
        names = (self._columns.user, self._columns.item)
        if not (self._table.text and self._table.headed):
            return None
        again = pc.and_(*(pc.equal(pc.utf8_trim_whitespace(batch.column(name)), name) for name in names))
        found = pc.sum(again).as_py()
        if not found:
            return None
        logger.warning("%s repeats its line of names, which is left out: %s", self._table.name, counted(found, "row"))
        return again

    def events(self) -> Events:
        """All events; this object is empty afterwards."""
        events, untimed = self.timed_or_not()
        return events if untimed is None else replace(events.kept(~untimed), untimed_rows=int(untimed.sum()))

    def timed_or_not(self) -> tuple[Events, npt.NDArray[np.bool_] | None]:
        """All events, and a mask of the rows without a requested time; None if all rows have one."""
        if not self._rows:
            raise SourceError(f"{self._table.name} has a header and no rows", expected="at least one interaction")
        users, items = self._users.coded(), self._items.coded()
        if users is None or items is None:
            raise SourceError(
                f"none of the {self._rows:,} rows of {self._table.name} has both a user and an item",
                expected=f"ids in the columns {self._columns.user!r} and {self._columns.item!r}",
            )
        values = None if self._values is None else self._values.taken()
        times = None if self._times is None else self._times.taken()
        words = self._users.missing_words | self._items.missing_words
        events = Events(
            users,
            items,
            None if values is None else values.numbers,
            None if times is None else times.numbers,
            None if times is None else times.unit,
            np.empty(0, np.float32) if values is None else values.levels,
            self._rows,
            self._table.name,
            self._columns.value or "",
            None if values is None else values.negative,
            missing_words=tuple(sorted(words)),
        )
        return events, None if times is None else times.missing
