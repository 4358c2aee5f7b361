"""The tables of items that commands accept in addition to the interactions: titles and features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import InputError
from isthmus.files import Told
from isthmus.ids import Id
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.recommend import titles
from isthmus_interactions.update.merge_data import ids_like


@dataclass(frozen=True)
class Titles:
    """A table of titles as given on the command line.

    Attributes:
        file: the table; None for no table.
        id: its column of ids.
        title: its column of titles.
        beside: format of the file of interactions.
    """

    file: Path | None
    id: str | None
    title: str | None
    beside: Told

    def read(self, items: Vocabulary) -> dict[Id, str]:
        """The titles of items, by id; none without a table.

        Raises:
            InputError: columns without a table, and the errors of ``titles.read``.
        """
        if self.file is not None:
            return titles.read(self.file, items, id=self.id, title=self.title, beside=self.beside)
        if self.id is not None or self.title is not None:
            raise InputError("columns of titles without a table", remedy="give the table with --titles FILE")
        return {}

    def of_update(self, known: Vocabulary, new: Vocabulary) -> dict[Id, str]:
        """The titles of known and new items. Raises the errors of ``read``."""
        return self.read(known.extended(ids_like(new, known, "items")))


def features(
    file: Path | None,
    id_: str | None,
    tags: list[str] | None,
    text: list[str] | None,
    vectors: list[str] | None,
    title: str | None,
    beside: Told,
) -> ItemFeatures | None:
    """Read the features in a table of items, if there is one. Raises the errors of ``ItemFeatures.read``.

    Args:
        file: the table of items.
        id_: its column of ids.
        tags: its columns of tags.
        text: its columns of prose.
        vectors: its columns of numbers.
        title: its column of titles.
        beside: format of the file of interactions.

    Returns:
        The features; None without a table.

    Raises:
        InputError: columns without a table.
    """
    if file is not None:
        return ItemFeatures.read(file, id=id_, tags=tags, text=text, vectors=vectors, title=title, beside=beside)
    if any((id_, tags, text, vectors, title)):
        raise InputError("columns of features without a table", remedy="give the table with --features FILE")
    return None
