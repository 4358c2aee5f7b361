"""Titles of items from a table."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from isthmus.errors import ColumnError, SourceError
from isthmus.vocabulary import Id, Vocabulary

ITEM_NAMES = ("item", "item_id", "itemId", "movieId", "id")
TITLE_NAMES = ("title", "name")


def read(path: Path, items: Vocabulary) -> dict[Id, str]:
    """Titles of the items of a vocabulary; other rows are left out.

    Args:
        path: CSV (also .gz) or Parquet with a column of ids (item, item_id, itemId, movieId or id) and one of titles
            (title or name); a column of authors is appended to the title.

    Raises:
        ColumnError: no column of ids or of titles.
        SourceError: a file that cannot be read.
    """
    table = _table(path)
    ids, titles = (_column(table, names, path) for names in (ITEM_NAMES, TITLE_NAMES))
    authors = table["authors"].to_pylist() if "authors" in table.column_names else [None] * len(table)
    found: dict[Id, str] = {}
    for id_, title, author in zip(ids, titles, authors, strict=True):
        key = str(id_) if items.kind == "string" else id_
        if isinstance(key, int | str) and key in items and title is not None:
            found[key] = f"{title}, {author}" if author else str(title)
    return found


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise SourceError(f"no file {path}", expected="a CSV or Parquet file with ids and titles")
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else pacsv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="a CSV or Parquet file") from error


def _column(table: pa.Table, names: tuple[str, ...], path: Path) -> list[object]:
    for name in names:
        if name in table.column_names:
            column: list[object] = table[name].to_pylist()
            return column
    raise ColumnError(f"{path} has the columns {', '.join(table.column_names)}", expected=f"one of {', '.join(names)}")
