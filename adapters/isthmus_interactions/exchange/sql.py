"""Results of SQL queries as streams of Arrow batches, for any database library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa

from isthmus.errors import SettingError, SourceError
from isthmus.reprs import one_line

BATCH_ROWS = 1 << 16
"""Number of rows that are fetched at a time."""


class QueryResult:
    """The result of a query as a table with the Arrow PyCapsule interface, which can be read once.

    Args:
        reader: the rows.
    """

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._reader.__arrow_c_stream__(requested_schema)


def run_query(connection: Any, query: str, parameters: Any, use: Callable[[QueryResult], Any]) -> Any:
    """Run a query and use its result before the cursor is closed.

    Args:
        connection: a connection of DuckDB, ADBC, SQLAlchemy (also an engine), or any other DBAPI library.
        query: an SQL statement that returns rows.
        parameters: values of its placeholders, in the form of the library; None for no placeholders.
        use: called with the result.

    Returns:
        The result of ``use``.

    Raises:
        SettingError: not a connection, or a query that is not text.
        SourceError: the query fails or returns no rows; and the errors of ``use``.
    """
    if not isinstance(query, str) or not query.strip():
        raise SettingError(f"query={one_line(repr(query))}", expected="an SQL statement as text")
    if _is_engine(connection):
        with connection.connect() as opened:
            return run_query(opened, query, parameters, use)
    if hasattr(connection, "exec_driver_sql"):
        given = () if parameters is None else (parameters,)
        result = _told(lambda: connection.exec_driver_sql(query, *given))
        names = list(result.keys()) if result.returns_rows else None
        return use(_of_rows(names, lambda: result.fetchmany(BATCH_ROWS)))
    if not callable(getattr(connection, "cursor", None)):
        raise SettingError(
            f"a connection of type {type(connection).__name__}",
            expected="one of DuckDB, ADBC, SQLAlchemy or another DBAPI library",
            remedy="open the database first, as in sqlite3.connect(path)",
        )
    if callable(getattr(connection, "sql", None)) and hasattr(connection, "execute"):
        relation = _told(lambda: connection.sql(query, params=parameters))
        return use(_of_relation(relation))
    with closing(connection.cursor()) as cursor:
        _told(lambda: cursor.execute(query) if parameters is None else cursor.execute(query, parameters))
        return use(_of_cursor(cursor))


def _is_engine(connection: Any) -> bool:
    return hasattr(connection, "connect") and hasattr(connection, "dialect") and not hasattr(connection, "cursor")


def _of_cursor(cursor: Any) -> QueryResult:
    """The result of any cursor; those of ADBC return Arrow batches."""
    if callable(getattr(cursor, "fetch_record_batch", None)):
        return QueryResult(_told(cursor.fetch_record_batch))
    names = None if cursor.description is None else [str(column[0]) for column in cursor.description]
    return _of_rows(names, lambda: cursor.fetchmany(BATCH_ROWS))


def _of_relation(relation: Any) -> QueryResult:
    """The result of a DuckDB relation; None is a statement without a result."""
    if relation is None:
        return _of_rows(None, list)
    return QueryResult(_told(lambda: pa.RecordBatchReader.from_stream(relation)))


def _of_rows(names: list[str] | None, fetch: Callable[[], Sequence[Sequence[Any]]]) -> QueryResult:
    """The result of rows of Python values. Their types are only known at the end, because a column may begin with
    integers or nulls."""
    if names is None:
        raise SourceError("the statement returns no rows", expected="a query, such as SELECT user_id, item_id FROM ...")
    tables = [_table(names, rows) for rows in _chunks(fetch)]
    if not tables:
        return QueryResult(pa.table([pa.nulls(0)] * len(names), names=names).to_reader())
    try:
        whole = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise SourceError(f"a column of the query has values of several types ({error})", remedy="cast it") from error
    return QueryResult(whole.to_reader())


def _chunks(fetch: Callable[[], Sequence[Sequence[Any]]]) -> Iterator[Sequence[Sequence[Any]]]:
    while rows := _told(fetch):
        yield rows


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = (list(column) for column in zip(*rows, strict=True))
    return pa.table([_column(name, values) for name, values in zip(names, columns, strict=True)], names=list(names))


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        made = pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"the column {name!r} of the query cannot be read ({one_line(error, 200)})",
            expected="numbers, texts, dates or nulls, of one type",
            remedy=f"cast it in the query, as in CAST({name} AS TEXT)",
        ) from error
    if pa.types.is_decimal(made.type):
        return made.cast(pa.int64() if made.type.scale <= 0 else pa.float64())
    return made


def _told(work: Callable[[], Any]) -> Any:
    """The result of an operation of the database, whose libraries have no common class of errors.

    Raises:
        SourceError: instead of any error of the library.
    """
    try:
        return work()
    except (MemoryError, SourceError):
        raise
    except Exception as error:
        raise SourceError(f"the query failed: {one_line(error, 300)} ({type(error).__name__})") from error
