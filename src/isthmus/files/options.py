"""Options of text files, which are detected from the content if they are not given."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from isthmus.errors import SettingError

NAMED = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
"""Names of delimiters that are awkward to type."""


class FileOptions(TypedDict, total=False):
    """Keywords of all functions that read files.

    Attributes:
        encoding: encoding of the text, such as ``utf-8`` or ``latin-1``; detected if not given.
        delimiter: delimiter of the columns, ``tab`` and ``space`` by name; detected if not given.
        header: whether the first line is a header; detected if not given. Without a header the columns are called 1, 2,
            3, ...
    """

    encoding: str | None
    delimiter: str | None
    header: bool | None


@dataclass(frozen=True)
class Told:
    """Options of a text file; None means detect.

    Attributes:
        encoding: Python's name of the encoding.
        delimiter: delimiter of the columns.
        header: whether the first line is a header.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None

    @classmethod
    def of(cls, encoding: str | None = None, delimiter: str | None = None, header: bool | None = None) -> Told:
        """Check and normalise the options of a caller.

        Args:
            encoding: encoding of the text.
            delimiter: delimiter of the columns, or its name (tab, space, comma, semicolon, pipe).
            header: whether the first line is a header.

        Returns:
            The normalised options.

        Raises:
            SettingError: an unknown encoding, or an impossible delimiter.
        """
        if header is not None and not isinstance(header, bool):
            raise SettingError(f"header={header!r}", expected="True, False, or None to find it out")
        return cls(_encoding(encoding), _delimiter(delimiter), header)

    def without(self, *names: str) -> Told:
        """The options without the named ones."""
        return Told(**{field.name: getattr(self, field.name) for field in fields(self) if field.name not in names})

    def over(self, earlier: Told) -> Told:
        """These options, completed by those of ``earlier``."""
        mine, theirs = (some.asdict() for some in (self, earlier))
        return Told(**{name: theirs[name] if value is None else value for name, value in mine.items()})

    def asdict(self) -> dict[str, Any]:
        """The keywords of ``of``, None included."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def said(self) -> dict[str, Any]:
        """The options that were given, as JSON."""
        return {name: value for name, value in self.asdict().items() if value is not None}


NOTHING_TOLD = Told()
"""No options: everything is detected."""

NAMES = ("encoding", "delimiter", "header")
"""The keywords of ``FileOptions``."""


def told_in(keywords: Mapping[str, Any]) -> Told:
    """The options among other keywords. Raises the errors of ``Told.of``."""
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
