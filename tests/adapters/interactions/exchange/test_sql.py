"""``Interactions.from_sql``: connections of several libraries, and what they may return."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy

from isthmus.errors import ColumnError, SettingError, SourceError
from isthmus_interactions import Interactions
from isthmus_interactions.exchange import sql

ROWS = [("ann", 7, 5.0, 30), ("bob", 8, 4.0, 10), ("ann", 9, 5.0, 20), ("cay", 7, 1.0, 5)]
QUERY = "SELECT who AS user_id, what AS item_id, stars AS rating, moment AS timestamp FROM events"


def sqlite() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE events (who TEXT, what INTEGER, stars REAL, moment INTEGER)")
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", ROWS)
    return connection


def duckdb() -> Any:
    library = pytest.importorskip("duckdb")
    connection = library.connect()
    connection.execute("CREATE TABLE events (who TEXT, what INTEGER, stars DOUBLE, moment BIGINT)")
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", ROWS)
    return connection


def engine() -> Any:
    made = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE events (who TEXT, what INTEGER, stars REAL, moment INTEGER)")
        connection.exec_driver_sql("INSERT INTO events VALUES (?, ?, ?, ?)", ROWS)
    return made


class Adbc:
    """A connection and a cursor in one, as ADBC has them: rows come as Arrow batches."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.closed = table, False

    def cursor(self) -> Adbc:
        return self

    def execute(self, query: str) -> None:
        assert query == QUERY

    def fetch_record_batch(self) -> pa.RecordBatchReader:
        return self.table.to_reader(max_chunksize=2)

    def close(self) -> None:
        self.closed = True


def adbc() -> Adbc:
    names = ["user_id", "item_id", "rating", "timestamp"]
    return Adbc(pa.table([list(column) for column in zip(*ROWS, strict=True)], names=names))


class Rows:
    """A DBAPI connection whose query finds given rows."""

    def __init__(self, rows: list[tuple[Any, ...]], names: tuple[str, ...] = ("user", "item", "rating")) -> None:
        self.rows, self.description = rows, [(name,) for name in names]

    def cursor(self) -> Rows:
        return self

    def execute(self, query: str) -> None:
        self.left = list(self.rows)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        found, self.left = self.left[:size], self.left[size:]
        return found

    def close(self) -> None: ...


@pytest.mark.parametrize("connect", [sqlite, duckdb, engine, adbc])
def test_every_connection_gives_the_same(connect: Callable[[], Any]) -> None:
    found = Interactions.from_sql(connect(), QUERY, keep=">=4")
    assert (found.users.ids.tolist(), found.items.ids.tolist(), found.nnz) == (["ann", "bob"], [7, 8, 9], 3)
    assert found.histories is not None
    # Ann had item 9 before item 7.
    assert found.histories.items.tolist()[:2] == [2, 0]


def test_placeholders_and_names_of_columns() -> None:
    query = "SELECT * FROM events WHERE who <> ?"
    columns: dict[str, Any] = {"user": "who", "item": "what", "value": "", "time": "moment"}
    found = Interactions.from_sql(sqlite(), query, parameters=("bob",), **columns)
    assert (found.users.ids.tolist(), found.nnz) == (["ann", "cay"], 3)
    with engine().connect() as connection:
        again = Interactions.from_sql(connection, query, parameters=("bob",), **columns)
    assert again.users.ids.tolist() == ["ann", "cay"]


def test_rows_are_fetched_in_chunks_whose_types_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 2)
    rows = [("a", 1, None), ("a", 2, 3), ("b", 1, 4.5), ("b", None, 5), (None, 2, 5), ("c", 2, decimal.Decimal("4.5"))]
    found = Interactions.from_sql(Rows([(*row[:2], row[2] if row[2] is not None else 4) for row in rows]), "q", keep=4)
    assert (found.users.ids.tolist(), found.nnz, found.report.missing_ids) == (["a", "b", "c"], 3, 2)


def test_dates_are_times() -> None:
    days = [datetime.datetime(2026, 5, day) for day in (3, 1, 2)]
    rows = [("a", item, day) for item, day in zip((10, 11, 12), days, strict=True)]
    found = Interactions.from_sql(Rows(rows, ("user", "item", "time")), "q")
    assert found.histories is not None
    assert [found.items.ids[item] for item in found.histories.items] == [11, 12, 10]


def test_a_cursor_is_closed_although_its_rows_cannot_be_read() -> None:
    connection = adbc()
    with pytest.raises(ColumnError):
        Interactions.from_sql(connection, QUERY, user="nobody")
    assert connection.closed


@pytest.mark.parametrize(
    ("connection", "query", "error", "match"),
    [
        ("shop.db", "SELECT 1", SettingError, r"sqlite3\.connect"),
        (None, "SELECT 1", SettingError, "connection"),
        (sqlite, " ", SettingError, "query="),
        (sqlite, "SELECT * FROM nowhere", SourceError, "no such table"),
        (sqlite, "SELECT who, what FROM events WHERE 1 = 0", ColumnError, "who"),
        (sqlite, "SELECT who AS user, what AS item FROM events WHERE 1 = 0", SourceError, "no rows"),
        (sqlite, "CREATE TABLE other (a INTEGER)", SourceError, "returns no rows"),
        (lambda: Rows([("a", object(), 1)]), "q", SourceError, "'item'.*CAST"),
        (lambda: Rows([("a", 1, 1), (2, 1, 1)]), "q", SourceError, "'user'"),
    ],
)
def test_what_cannot_be_read_is_refused(connection: Any, query: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Interactions.from_sql(connection() if callable(connection) else connection, query)
