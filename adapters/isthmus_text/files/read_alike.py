"""Reads further files of texts with the options of the training file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from isthmus.files import FileOptions, told_in
from isthmus_text.texts import Texts, Unit

FILE = "file"
"""The fact of a model with the file options that the caller gave for the training file."""


class TextFileOptions(FileOptions, total=False):
    """Options for reading a file of texts.

    Attributes:
        column: the column of a table that holds the texts.
    """

    column: str | None


def read_alike(path: Path, facts: Mapping[str, Any], *, unit: Unit = "line", **file: Unpack[TextFileOptions]) -> Texts:
    """The texts of a file, with the given options, or else those of the training file.

    Args:
        path: any file that ``Texts.read`` accepts.
        facts: facts of the model.
        unit: whether a text is a line or a whole file.
        file: the given options.

    Returns:
        The texts.

    Raises:
        InputError: the errors of ``Texts.read``.
    """
    before: Mapping[str, Any] = facts.get(FILE, {})
    told, column = told_in(file), file.get("column")
    if column is None and unit == "line" and "column" in before:
        column = str(before["column"])
    return Texts.read(path, column=column, unit=unit, remembered=told_in(before), **told.asdict())
