"""Titles of items, from a table or a mapping."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from isthmus.errors import ColumnError, InputError, SourceError
from isthmus.files import NOTHING_TOLD, FileTable, Told, open_beside
from isthmus.ids import Id, without_surrogates
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.files.columns import is_column
from isthmus_interactions.recommend.histories import id_list

TITLES = ("title", "name", "booktitle", "movietitle", "producttitle", "itemname", "productname")
"""Names of a column of titles, without case, underscores and hyphens."""

AUTHORS = "authors"
LOOKED_AT = 1000
"""Number of rows for finding the column of ids if its name is not recognised."""

logger = logging.getLogger(__name__)


def known_titles(titles: Any, items: Vocabulary) -> dict[Id, str]:
    """The titles of items in the vocabulary, by their ids there.

    Raises:
        InputError: not a mapping from ids to titles (or a pandas series).
    """
    if callable(getattr(titles, "to_dict", None)):
        titles = titles.to_dict()
    if not isinstance(titles, Mapping):
        raise InputError(f"titles is a {type(titles).__name__}", expected="titles by id, such as {1: 'Dune'}")
    held = dict(zip(id_list(titles, items), titles.values(), strict=True))
    return {id_: without_surrogates(str(text)) for id_, text in held.items() if id_ in items}


def read(
    path: Path, items: Vocabulary, *, id: str | None = None, title: str | None = None, beside: Told = NOTHING_TOLD
) -> dict[Id, str]:
    """Read the titles of the items of a vocabulary; other rows are ignored.

    Args:
        path: a file of delimited text, JSON or Parquet. The column of ids is named item, item_id, itemId, movieId,
            book_id or id, and that of titles title or name. Otherwise, the ids are the first column with mostly known
            ids, and the titles the first column of words after it. A column of authors is appended to the titles.
        items: the vocabulary of items.
        id: the column of ids; its number, counted from 1, in a file without names.
        title: the column of titles, likewise.
        beside: options of the file of interactions, used as far as they fit.

    Returns:
        Titles by id.

    Raises:
        ColumnError: no column of ids or of titles.
        SourceError: a file that cannot be read.
    """
    if not path.is_file():
        raise SourceError(f"no file {path}", expected="a CSV, TSV, JSON or Parquet file with ids and titles")
    opened = open_beside(path, beside)
    id_, title = _columns(opened, items, id, title)
    authors = AUTHORS if AUTHORS in opened.header and AUTHORS not in (id_, title) else None
    table = opened.read([id_, title, *([authors] if authors else [])])
    found: dict[Id, str] = {}
    writers = table[authors].to_pylist() if authors else [None] * len(table)
    for given, text, author in zip(table[id_].to_pylist(), table[title].to_pylist(), writers, strict=True):
        if text and given in items:
            found[items.held(given)] = without_surrogates(f"{text}, {author}" if author else str(text))
    return found


def _columns(table: FileTable, items: Vocabulary, id_: str | None, title: str | None) -> tuple[str, str]:
    """The columns of ids and titles as given, or by their usual names, or else by their content, which is logged."""
    header = table.header
    for named in (id_, title):
        if named is not None:
            table.place_of(named)
    if id_ is not None and id_ == title:
        raise ColumnError(f"one column for two things: {id_!r}", expected="a column of ids and one of titles")
    ids = [name for name in header if _bare(name) == "id" or is_column([name], "item", None)]
    titles = [name for name in header if _bare(name) in TITLES]
    by_item = [name for name in ids if is_column([name], "item", None)]
    if id_ is None and ids:
        id_ = (by_item or ids)[0]
    if title is None and titles:
        title = min(titles, key=lambda name: TITLES.index(_bare(name)))
    if id_ is not None and title is not None:
        return id_, title
    first = next(iter(table.batches()), None)
    id_ = id_ or (None if first is None else _known(first, items))
    title = title or (None if first is None or id_ is None else _words(first, id_))
    if id_ is None or title is None:
        missing = "ids of the recommender" if id_ is None else "titles"
        raise ColumnError(
            f"no column of {table.name} holds {missing}, among {', '.join(map(repr, header[:30]))}",
            expected="a column of ids (item, item_id, itemId, movieId, book_id, id) and one of titles (title, name)",
            option="say which they are: --title-id NAME --title-column NAME, or by number where there are no names",
        )
    logger.info("%s: ids are read from column %r, titles from column %r", table.name, id_, title)
    return id_, title


def _known(batch: pa.RecordBatch, items: Vocabulary) -> str | None:
    """The first column of which at least half of the cells are ids of the vocabulary, or the one with most of them."""
    shares = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        cells = column.slice(0, LOOKED_AT).to_pylist()
        shares[name] = sum(cell in items for cell in cells) / max(len(cells), 1)
    if not shares or not max(shares.values()):
        return None
    best = max(shares, key=lambda name: shares[name])
    return str(next((name for name, share in shares.items() if share >= 0.5), best))


def _words(batch: pa.RecordBatch, id_: str) -> str | None:
    """The first column after that of the ids in which most cells have letters."""
    names = batch.schema.names
    for name in [*names[names.index(id_) + 1 :], *names[: names.index(id_)]]:
        cells = batch.column(names.index(name)).slice(0, LOOKED_AT).to_pylist()
        if 2 * sum(isinstance(cell, str) and any(map(str.isalpha, cell)) for cell in cells) > len(cells):
            return str(name)
    return None


def _bare(name: str) -> str:
    return name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")
