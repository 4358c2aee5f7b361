"""Tables of items: ids, tags, texts and vectors by column."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from isthmus.errors import ColumnError, InputError, MissingLibraryError, SettingError, SourceError, ValueRangeError
from isthmus.files import INFERRED, Told, open_beside
from isthmus.ids import Id
from isthmus.reprs import one_line
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.files.ids import IdColumn
from isthmus_interactions.files.tables import Table, open_table

IDS = ("item", "itemid", "movieid", "bookid", "id")
"""Names of the column of ids, without case and underscores."""

TITLE = "title"
MOST_WORDS = 20_000


@dataclass(frozen=True)
class FeatureColumns:
    """The roles of the columns; ``id`` and ``title`` may be found by their names."""

    id: str | None
    tags: list[str]
    text: list[str]
    vectors: list[str]
    title: str | None

    @classmethod
    def asked(
        cls,
        id_: str | None,
        tags: str | Sequence[str] | None,
        text: str | Sequence[str] | None,
        vectors: str | Sequence[str] | None,
        title: str | None,
    ) -> FeatureColumns:
        """Normalise the arguments: one name or several for each role.

        Args:
            id_: the column of ids; None to find it by its name.
            tags: columns of tags.
            text: columns of prose.
            vectors: columns of numbers.
            title: the column of titles; None to find it by its name.

        Returns:
            The columns, as a list for each role.

        Raises:
            InputError: no column of features.
            SettingError: not a name of a column.
        """
        tagged, written, given = (
            _names(role, names) for role, names in (("tags", tags), ("text", text), ("vectors", vectors))
        )
        for role, name in (("id", id_), ("title", title)):
            if name is not None and not isinstance(name, str):
                raise SettingError(f"{role}={one_line(repr(name))}", expected="the name of a column")
        if not (tagged or written or given):
            remedy = 'such as tags="genres" (--tags genres)'
            raise InputError("no column of features", expected="tags, text or vectors", remedy=remedy)
        return cls(id_, tagged, written, given, title)


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The content of a table.

    Attributes:
        items: the ids, in the order of the rows.
        blocks: matrices with a row for each item, and whether rare features should have a higher weight.
        titles: titles by id.
    """

    items: Vocabulary
    blocks: list[tuple[Any, bool]]
    titles: dict[Id, str]


def read(
    source: object, columns: FeatureColumns, separator: str, told: Told | None = None, beside: Told | None = None
) -> FeatureTable:
    """Read the columns of a table. Raises the errors of ``ItemFeatures.read``.

    Args:
        source: a path or a table.
        columns: the roles of the columns.
        separator: separator of tags.
        told: options of a text file that the caller gave.
        beside: options of another file, used as far as they fit where ``told`` has none.

    Returns:
        Ids, blocks of features and titles.
    """
    opened: Table
    if isinstance(source, str | os.PathLike) and beside is not None and not (told and told.said()):
        opened = open_beside(os.fspath(source), beside)
    else:
        opened = open_table(source, told)
    id_ = _id_column(opened.header, columns.id)
    for name in (*columns.tags, *columns.text, *columns.vectors, *([columns.title] if columns.title else [])):
        _check(opened.header, name)
    shown = columns.title or (TITLE if TITLE in opened.header else None)
    wanted = dict.fromkeys([id_, *columns.tags, *columns.text, *columns.vectors, *([shown] if shown else [])])
    table = opened.read(list(wanted), dict.fromkeys(columns.vectors, INFERRED))
    if not table.num_rows:
        raise SourceError(f"{opened.name} has a header but no rows", expected="at least one item")
    items = _ids(table[id_], id_, opened.text)
    blocks: list[tuple[Any, bool]] = []
    if columns.tags:
        blocks.append((_tags([table[name] for name in columns.tags], separator), True))
    if columns.text:
        blocks.append((_words([table[name] for name in columns.text]), False))
    if columns.vectors:
        blocks.append((_vectors(table, columns.vectors), False))
    texts = [None] * len(items) if shown is None else table[shown].to_pylist()
    return FeatureTable(items, blocks, {i: str(t) for i, t in zip(items.ids.tolist(), texts, strict=True) if t})


def _names(role: str, names: Any) -> list[str]:
    """One name of a column, several, or none."""
    if names is None or isinstance(names, str):
        return [] if not names else [str(names)]
    if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
        raise SettingError(f"{role}={one_line(repr(names))}", expected="the name of a column, or a list of names")
    return [str(name) for name in names]


def _id_column(header: list[str], asked: str | None) -> str:
    if asked is not None:
        _check(header, asked)
        return asked
    found = [name for name in header if name.strip().lower().replace("_", "") in IDS]
    if len(found) != 1:
        raise ColumnError(
            f"{len(found)} columns could hold the ids (header: {', '.join(map(repr, header[:30]))})",
            expected=f"exactly one named {', '.join(IDS)} or the like",
            remedy="say which column it is with id=NAME (--feature-id NAME)",
        )
    return found[0]


def _check(header: list[str], name: str) -> None:
    if name not in header:
        raise ColumnError(f"no column {name!r} (header: {', '.join(map(repr, header[:30]))})", expected="a known name")


def _ids(column: pa.ChunkedArray, name: str, text: bool) -> Vocabulary:
    """The ids in the order of their rows, with the same type as in ``Interactions.read``."""
    ids = IdColumn(name, text=text)
    encoded = ids.encode(column.combine_chunks())
    if encoded.indices.null_count:
        raise ValueRangeError(f"column {name!r} has a row without an id", expected="an id in every row")
    ids.add(encoded)
    coded = ids.coded()
    assert coded is not None
    codes, vocabulary = coded.numbered()
    return Vocabulary(vocabulary.ids[codes])


def _tags(columns: list[pa.ChunkedArray], separator: str) -> Any:
    """1 where an item has a tag; each column has its own tags."""
    place: dict[tuple[int, str], int] = {}
    rows, found = [], []
    for number, column in enumerate(columns):
        for row, cell in enumerate(column.to_pylist()):
            words = [] if cell is None else cell if isinstance(cell, list) else str(cell).split(separator)
            for word in {str(word).strip() for word in words} - {""}:
                rows.append(row)
                found.append(place.setdefault((number, word), len(place)))
    if not place:
        raise InputError("the columns of tags are empty", expected="at least one tag")
    return csr_array((np.ones(len(rows), np.float32), (rows, found)), shape=(len(columns[0]), len(place)))


def _words(columns: list[pa.ChunkedArray]) -> Any:
    """tf-idf of the words that at least two items and at most half of the items have."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingLibraryError(
            "texts need scikit-learn, which is not installed",
            remedy='pip install "isthmus[features]", or pass embeddings of the texts as vectors',
        ) from None
    texts = [" ".join(cell for cell in cells if cell) for cells in zip(*(c.to_pylist() for c in columns), strict=True)]
    few = len(texts) < 4
    vectorizer = TfidfVectorizer(
        sublinear_tf=True,
        min_df=1 if few else 2,
        max_df=1.0 if few else 0.5,
        max_features=MOST_WORDS,
        dtype=np.float32,
    )
    try:
        return vectorizer.fit_transform(texts)
    except ValueError as error:
        raise InputError(
            f"the texts contain no usable words ({error})", expected="words that at least two items share"
        ) from None


def _vectors(table: pa.Table, names: list[str]) -> Any:
    first = table[names[0]]
    try:
        if len(names) > 1 or not pa.types.is_nested(first.type):
            return np.column_stack([table[name].to_numpy().astype(np.float32) for name in names])
        return np.array(first.to_pylist(), dtype=np.float32)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise ColumnError(
            f"the vectors in {', '.join(names)} are not numbers or differ in length ({error})",
            expected="lists of equal length, or columns of numbers",
        ) from None
