"""A table to events: one user code, one item code and perhaps a value and a time for every row.

Batches are encoded as they arrive, so beside the result (8 to 20 bytes a row) only one batch is held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ColumnError, SourceError, ValueRangeError
from isthmus.files import DelimitedTable, Told
from isthmus_interactions.files.columns import Columns, find_columns
from isthmus_interactions.files.growing_array import GrowingArray
from isthmus_interactions.files.ids import Coded, IdColumn
from isthmus_interactions.files.tables import Table, events_in, open_table
from isthmus_interactions.files.threshold import Levels, widen
from isthmus_interactions.files.unnamed import columns_by_content
from isthmus_interactions.ordered_histories import Times, TimeUnit

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Events:
    """The rows of a table that have a user and an item, in the order of the table.

    Attributes:
        users: who.
        items: what.
        values: how much (finite, not negative), or None without a value column.
        times: when, or None without a time column: numbers as they are, dates as microseconds since 1970 (UTC).
        unit: which of both; None without a time column.
        levels: the distinct values, ascending; None for more than ``keep.MOST_LEVELS``; empty without a value column.
        rows_read: rows of the table.
        name: what was read, for messages.
    """

    users: Coded
    items: Coded
    values: Values | None
    times: Times | None
    unit: TimeUnit | None
    levels: Levels | None
    rows_read: int
    name: str

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

    Rows without a user or an item are left out; ``rows_read - len(events)`` says how many.

    Args:
        source: a path or a table; see ``tables.open_table``.
        user: the column of users.
        item: the column of items.
        value: the column of values; ``""`` for none.
        time: the column of times; ``""`` for none.
        told: how a file of text is written, as far as the caller says it.

    Returns:
        An event for each row with a user and an item, in the order of the table.

    Raises:
        SourceError: nothing to read, or no row with both a user and an item.
        ColumnError: a column is missing, ambiguous or of a type that has no meaning there.
        ValueRangeError: a value or time that is missing, not finite, or (a value) negative; row and column are named.
    """
    return read_events_of(open_table(source, told), user=user, item=item, value=value, time=time)


def read_events_of(table: Table, *, user: str | None, item: str | None, value: str | None, time: str | None) -> Events:
    """``read_events`` of a table that is open."""
    asked = {"user": user, "item": item, "value": value, "time": time}
    unsure = isinstance(table, DelimitedTable) and not table.dialect.sure
    if isinstance(table, DelimitedTable) and not table.headed and (user is None or item is None):
        found = columns_by_content(table)
        asked = {role: found[role] if name is None else name for role, name in asked.items()}
    columns = find_columns(table.header, **asked, unsure=unsure)
    reader = _EventReader(table, columns)
    for batch in events_in(table, columns):
        reader.add(batch)
    return reader.events()


class _EventReader:
    """What has been read so far; lives only inside ``read_events``."""

    def __init__(self, table: Table, columns: Columns) -> None:
        self._table, self._columns = table, columns
        self._users = IdColumn(columns.user, text=table.text)
        self._items = IdColumn(columns.item, text=table.text)
        self._values, self._times = GrowingArray(), GrowingArray()
        self._levels: Levels | None = np.empty(0, np.float32)
        self._unit: TimeUnit | None = None
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Encode one batch."""
        columns = self._columns
        users = self._users.encode(batch.column(columns.user))
        items = self._items.encode(batch.column(columns.item))
        complete = None
        if users.indices.null_count or items.indices.null_count:
            valid = pc.and_(users.indices.is_valid(), items.indices.is_valid())
            users, items = users.filter(valid), items.filter(valid)
            complete = valid.to_numpy(zero_copy_only=False)
        self._users.add(users)
        self._items.add(items)
        if columns.value is not None:
            values = _values(batch.column(columns.value), columns.value, self._rows)
            values = values if complete is None else values[complete]
            self._values.add(values)
            self._levels = widen(self._levels, values)
        if columns.time is not None:
            times = _times(batch.column(columns.time), columns.time, self._rows)
            self._unit = "us" if _is_date(batch.column(columns.time).type) else "as given"
            self._times.add(times if complete is None else times[complete])
        self._rows += batch.num_rows

    def events(self) -> Events:
        """Everything as one, which empties this object."""
        if not self._rows:
            raise SourceError(f"{self._table.name} has a header and no rows", expected="at least one interaction")
        users, items = self._users.coded(), self._items.coded()
        if users is None or items is None:
            raise SourceError(
                f"none of the {self._rows:,} rows of {self._table.name} has both a user and an item",
                expected=f"ids in the columns {self._columns.user!r} and {self._columns.item!r}",
            )
        values, times = self._values.take_array(), self._times.take_array()
        return Events(users, items, values, times, self._unit, self._levels, self._rows, self._table.name)


def _values(column: pa.Array, name: str, before: int) -> Values:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ColumnError(
            f"column {name!r} of type {kind}",
            expected="numbers",
            remedy="value='' ignores the column",
            option="--value '' ignores the column",
        )
    values: Values = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    bad = ~((values >= 0) & (values < np.inf))
    if bad.any():
        row = int(np.argmax(bad))
        found = column[row].as_py()
        raise ValueRangeError(
            f"row {before + row + 1:,}, column {name!r} holds {'nothing' if found is None else found}",
            expected="a value of 0 or more in every row, none missing",
            remedy="correct or remove such rows, or ignore the column with value=''",
            option="correct or remove such rows, or ignore the column with --value ''",
        )
    return values


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _times(column: pa.Array, name: str, before: int) -> Times:
    kind = column.type
    if _is_date(kind):
        column = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ColumnError(
            f"column {name!r} of type {kind}",
            expected="numbers, or dates as 2024-01-31 12:00:00",
            remedy="time='' ignores the column",
            option="--time '' ignores the column",
        )
    missing = pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)
    if missing.any():
        raise ValueRangeError(
            f"row {before + int(np.argmax(missing)) + 1:,}, column {name!r} holds no time",
            expected="a time in every row",
            remedy="correct or remove such rows, or ignore the column with time=''",
            option="correct or remove such rows, or ignore the column with --time ''",
        )
    wide = pa.float64() if pa.types.is_floating(column.type) else pa.int64()
    times: Times = column.cast(wide, safe=False).to_numpy(zero_copy_only=False)
    return times
