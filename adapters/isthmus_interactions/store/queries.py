"""Reads queries and files at an address with DuckDB. This is the only file that imports DuckDB, from the extra
``store``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.errors import MissingLibraryError, SourceError
from isthmus_interactions.files.tables import BATCH_ROWS, StreamTable

MEMORY = "1GB"
"""Memory limit of DuckDB; larger sorts and joins are written to disk."""


def query_table(sql: str, scratch: Path) -> StreamTable:
    """The rows of a query, as a stream.

    Args:
        sql: statements in DuckDB's SQL, the last of which returns rows.
        scratch: a folder for what does not fit in memory.

    Raises:
        MissingLibraryError: DuckDB is not installed.
        SourceError: an error of DuckDB.
    """
    duckdb = _duckdb()
    try:
        connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(scratch)})
        result = connection.sql(sql)
        if result is None:
            raise SourceError(f"a query without rows: {_short(sql)}", expected="a SELECT as its last statement")
        reader = result.to_arrow_reader(BATCH_ROWS)
    except duckdb.Error as error:
        raise SourceError(f"DuckDB refuses {_short(sql)}: {_first_line(error)}", expected="a query that runs") from None
    return StreamTable(reader, f"the query {_short(sql)}")


def address_query(address: str) -> str:
    """The query for files at an address such as s3://bucket/*.parquet."""
    quoted = address.replace("'", "''")
    return f"SELECT * FROM '{quoted}'"


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingLibraryError("queries need DuckDB", remedy='pip install "isthmus[store]"') from error
    return duckdb


def _short(sql: str) -> str:
    line = " ".join(sql.split())
    return repr(line if len(line) <= 80 else f"{line[:77]}...")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
