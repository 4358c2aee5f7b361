"""What a caller may say of a file that is otherwise found out from its contents."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from isthmus.errors import SettingError

NAMED = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
"""Delimiters that are awkward to type, by name."""


class FileOptions(TypedDict, total=False):
    """Keywords of everything that reads files.

    Attributes:
        encoding: of the text, such as ``utf-8`` or ``latin-1``; found out if not given.
        delimiter: what stands between two columns, ``tab`` and ``space`` by name; found out if not given.
        header: whether the first line holds the names of the columns; found out if not given. Without names the columns
            are called 1, 2, 3, ...
    """

    encoding: str | None
    delimiter: str | None
    header: bool | None


@dataclass(frozen=True)
class Told:
    """What is known of a file before it is opened; None is found out.

    Attributes:
        encoding: Python's name of the encoding.
        delimiter: the characters between two columns.
        header: whether the first line holds names.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None

    @classmethod
    def of(cls, encoding: str | None = None, delimiter: str | None = None, header: bool | None = None) -> Told:
        """What a caller says, checked.

        Args:
            encoding: of the text.
            delimiter: between two columns, itself or by name (tab, space, comma, semicolon, pipe).
            header: whether the first line holds names.

        Returns:
            The same, in one spelling.

        Raises:
            SettingError: an encoding that Python does not know, or a delimiter that can be none.
        """
        if header is not None and not isinstance(header, bool):
            raise SettingError(f"header={header!r}", expected="True, False, or None to find it out")
        return cls(_encoding(encoding), _delimiter(delimiter), header)

    def without(self, *names: str) -> Told:
        """The same without some of it."""
        return Told(**{field.name: getattr(self, field.name) for field in fields(self) if field.name not in names})

    def over(self, earlier: Told) -> Told:
        """This, and what ``earlier`` says of the rest."""
        mine, theirs = (some.asdict() for some in (self, earlier))
        return Told(**{name: theirs[name] if value is None else value for name, value in mine.items()})

    def asdict(self) -> dict[str, Any]:
        """The keywords of ``of``, None included."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def said(self) -> dict[str, Any]:
        """What was said, as JSON."""
        return {name: value for name, value in self.asdict().items() if value is not None}


NOTHING_TOLD = Told()
"""Everything is found out."""

NAMES = ("encoding", "delimiter", "header")
"""The keywords of ``FileOptions``."""


def told_in(keywords: Mapping[str, Any]) -> Told:
    """What keywords say of the file, among other keywords. Raises what ``Told.of`` raises."""
    return Told.of(**{name: keywords[name] for name in NAMES if name in keywords})


def _encoding(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        name = codecs.lookup(given).name
        "".encode(name)
    except (LookupError, TypeError, ValueError):
        raise SettingError(
            f"encoding={given!r}", expected="an encoding of text, such as 'utf-8', 'latin-1' or 'cp1252'"
        ) from None
    return name


def _delimiter(given: str | None) -> str | None:
    if given is None:
        return None
    delimiter = NAMED.get(given, given) if isinstance(given, str) else given
    fits = isinstance(delimiter, str) and 1 <= len(delimiter.encode("utf-8", "replace")) <= 8
    if not fits or set(delimiter) & set('"\r\n'):
        raise SettingError(
            f"delimiter={given!r}",
            expected="what stands between two columns, such as ',', ';', '|', '::', 'tab' or 'space'",
        )
    return delimiter
