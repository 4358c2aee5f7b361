"""Further files of texts, read as that of the training was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from isthmus.files import FileOptions, told_in
from isthmus_text.texts import Texts, Unit

FILE = "file"
"""The fact of a model that says how the file of its training was written, as far as that was said."""


class TextFileOptions(FileOptions, total=False):
    """How a file of texts is read.

    Attributes:
        column: the column of a table that holds the texts.
    """

    column: str | None


def read_alike(path: Path, facts: Mapping[str, Any], *, unit: Unit = "line", **file: Unpack[TextFileOptions]) -> Texts:
    """The texts of a file, by what is said now, else by what was said of the file of the training.

    Args:
        path: whatever file ``Texts.read`` takes.
        facts: of the model.
        unit: whether a text is a line or a whole file.
        file: what is said now.

    Returns:
        The texts.

    Raises:
        InputError: what ``Texts.read`` raises.
    """
    before: Mapping[str, Any] = facts.get(FILE, {})
    told, column = told_in(file), file.get("column")
    if column is None and unit == "line" and "column" in before:
        column = str(before["column"])
    return Texts.read(path, column=column, unit=unit, remembered=told_in(before), **told.asdict())
