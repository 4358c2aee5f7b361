"""The forms of ids: the same rules apply to ids in data and in requests.

Ids are integers of 64 bits or text. ``9``, ``np.int64(9)``, ``9.0`` and, in a catalogue of integers, ``"9"`` and
``"9.0"`` are the same id; ``"007"`` is text everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from numbers import Integral, Rational, Real
from typing import Any
from uuid import UUID

from isthmus.errors import InputError

Id = int | str

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "Null", "null", "NaN", "NAN", "nan", "NONE", "None", "none", "NaT", "n/a"}
)
"""Texts that programs write into tables for a missing id."""

INTEGER_TEXT = r"^(0|-?[1-9][0-9]{0,19})(\.0+)?$"
"""The text forms of an integer, including that of a float; no leading zeros."""

UUID_BYTES = 16

_INTEGER = re.compile(INTEGER_TEXT)
_LARGEST = 10**40
"""Longer numbers are not converted to text, which is slow or fails in Python."""

_ACCEPTED = "ids that are whole numbers of 64 bits or text"


def integer_of(text: str) -> int | None:
    """The integer that a text represents: 9 for ``"9"`` and ``"9.0"``; None for ``"007"`` and other texts."""
    text = text.strip()
    if len(text) > 400 or _INTEGER.fullmatch(text) is None:
        return None
    number = int(text.partition(".")[0])
    return number if -(2**63) <= number < 2**64 else None


def ids_of_texts(texts: Sequence[str]) -> list[Id]:
    """The ids in a column of a text file: integers if all of them are written as integers, otherwise the texts."""
    stripped = [text.strip() for text in texts]
    numbers = [number for number in map(integer_of, stripped) if number is not None]
    return list(numbers) if len(numbers) == len(stripped) else list(stripped)


def plain_id(given: Any) -> Id:
    """An id as a plain ``int`` or ``str``.

    Args:
        given: an integer or a text, also as a NumPy, torch or Arrow scalar or a subclass; a whole float; a UUID, which
            becomes its text; bytes of UTF-8; a member of an ``Enum``, which represents its value.

    Returns:
        The id; numbers that are not whole and missing values become texts, which equal no integer.

    Raises:
        InputError: a value that cannot be an id, such as a bool, a list or bytes that are not text.
    """
    if type(given) is int or type(given) is str:
        return _checked(given)
    if isinstance(given, Enum) and not isinstance(given, int | str):
        return plain_id(given.value)
    if isinstance(given, str):
        return _checked(str.__str__(given))
    if isinstance(given, bool) or type(given).__name__ in ("bool_", "bool"):
        raise InputError(f"id {given!r} of type {type(given).__name__}", expected=_ACCEPTED)
    if isinstance(given, UUID):
        return str(given)
    if isinstance(given, bytes | bytearray | memoryview):
        return _of_bytes(bytes(given))
    if isinstance(given, Integral):
        return _checked(int(given))
    inner = _inner(given)
    return _of_number(given) if inner is None else plain_id(inner)


def proper_id(given: Any) -> Id:
    """``plain_id`` for ids in data, as opposed to requests; texts are unchanged.

    Raises:
        InputError: a value that cannot be an id, a missing one, or a number that is not whole.
    """
    if isinstance(given, str):
        return str.__str__(given)
    plain = plain_id(given)
    if isinstance(plain, str) and (plain in MISSING or hasattr(given, "__float__")):
        raise InputError(f"id {given!r} of type {type(given).__name__}", expected=_ACCEPTED)
    return plain


def forms(given: Any) -> Iterator[Id]:
    """The forms in which a vocabulary may contain a given id, the most likely one first. Raises the errors of
    ``plain_id``."""
    plain = plain_id(given)
    yield plain
    if isinstance(plain, int):
        yield str(plain)
        if not isinstance(given, int | Integral):
            yield str(given)
        return
    number = integer_of(plain)
    if number is not None:
        yield number
    if plain.strip() != plain:
        yield plain.strip()
    if isinstance(given, UUID):
        yield from (plain.upper(), given.hex, given.hex.upper())
    if isinstance(given, bytes) and len(given) == UUID_BYTES:
        yield str(UUID(bytes=given))


def in_kind(id_: Id, kind: str) -> Id:
    """A plain id in the form of a vocabulary of that kind, if possible: a number as text, or the text of a number as a
    number."""
    if kind == "string":
        return str(id_)
    number = integer_of(id_) if isinstance(id_, str) else None
    return id_ if number is None else number


def without_surrogates(text: str) -> str:
    """The text with lone surrogates, which cannot be written to files, replaced by ``\\udc80`` and so on."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_text(text: str) -> bool:
    """Whether UTF-8 can encode a text: it has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _checked(id_: Id) -> Id:
    if isinstance(id_, int):
        if not -_LARGEST < id_ < _LARGEST:
            raise InputError(f"an id of {id_.bit_length()} bits", expected=_ACCEPTED)
        return id_
    return without_surrogates(id_)


def _of_bytes(given: bytes) -> Id:
    try:
        text = given.decode("utf-8")
        return text if len(given) != UUID_BYTES or text.isprintable() else str(UUID(bytes=given))
    except UnicodeDecodeError:
        if len(given) == UUID_BYTES:
            return str(UUID(bytes=given))
    raise InputError(
        f"id {given[:20]!r}, bytes that are not UTF-8", expected=_ACCEPTED, remedy="write it as text: id.hex()"
    )


def _inner(given: Any) -> Any:
    """The Python value of a NumPy, torch or Arrow scalar; None for other objects."""
    if hasattr(given, "as_py"):
        value = given.as_py()
        return "None" if value is None else value
    if hasattr(given, "item") and getattr(given, "ndim", None) == 0:
        value = given.item()
        return None if type(value) is type(given) else value
    return None


def _of_number(given: Any) -> Id:
    if given is None or type(given).__name__ in ("NAType", "NaTType"):
        return str(given)
    if isinstance(given, Real | Rational) or type(given).__name__ == "Decimal":
        whole = math.isfinite(given) and given == int(given)
        return _checked(int(given)) if whole else str(given)
    raise InputError(f"id {str(given)[:60]!r} of type {type(given).__name__}", expected=_ACCEPTED)
