"""Titles of items, from a table or a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from isthmus.errors import ColumnError, SourceError
from isthmus.ids import without_surrogates
from isthmus.vocabulary import Id, Vocabulary
from isthmus_interactions.recommend.histories import id_list

ITEM_NAMES = ("item", "item_id", "itemId", "movieId", "book_id", "id")
TITLE_NAMES = ("title", "name")
AUTHORS = "authors"


def known_titles(titles: Mapping[Any, str], items: Vocabulary) -> dict[Id, str]:
    """The titles of items that the vocabulary holds, under plain Python ids."""
    held = dict(zip(id_list(titles, items), titles.values(), strict=True))
    return {id_: without_surrogates(str(text)) for id_, text in held.items() if id_ in items}


def read(path: Path, items: Vocabulary) -> dict[Id, str]:
    """Titles of the items of a vocabulary; other rows are left out.

    Args:
        path: CSV or TSV (also .gz) or Parquet with a column of ids (item, item_id, itemId, movieId, book_id or id) and
            one of titles (title or name); what a column of authors holds is appended to the title.

    Raises:
        ColumnError: no column of ids or of titles.
        SourceError: a file that cannot be read.
    """
    table = _table(path)
    ids, titles = (_column(table, names, path) for names in (ITEM_NAMES, TITLE_NAMES))
    authors = table[AUTHORS].to_pylist() if AUTHORS in table.column_names else [None] * len(table)
    found: dict[Id, str] = {}
    for id_, title, author in zip(ids, titles, authors, strict=True):
        if title and id_ in items:
            found[items.held(id_)] = f"{title}, {author}" if author else str(title)
    return found


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise SourceError(f"no file {path}", expected="a CSV, TSV or Parquet file with ids and titles")
    # Ids are read as text, so that "007" stays what it is.
    convert = pacsv.ConvertOptions(column_types=dict.fromkeys((*ITEM_NAMES, *TITLE_NAMES, AUTHORS), pa.string()))
    parse = pacsv.ParseOptions(delimiter="\t" if ".tsv" in path.suffixes else ",", newlines_in_values=True)
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        return pacsv.read_csv(path, parse_options=parse, convert_options=convert)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="a CSV, TSV or Parquet file") from error


def _column(table: pa.Table, names: tuple[str, ...], path: Path) -> list[object]:
    for name in names:
        if name in table.column_names:
            column: list[object] = table[name].to_pylist()
            return column
    raise ColumnError(f"{path} has the columns {', '.join(table.column_names)}", expected=f"one of {', '.join(names)}")
