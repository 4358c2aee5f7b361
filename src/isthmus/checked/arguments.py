"""The checks of arguments that many functions take: whole numbers, seeds, shares, paths and flags.

Each returns what was given in plain form (an ``int``, a ``float``, a ``Path``) or raises one of the errors of
``isthmus.errors``, whatever it was given.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from isthmus.errors import InputError, SettingError
from isthmus.reprs import one_line

MOST = 2**63 - 1
LARGEST_SEED = 2**64 - 1
ABOVE_ZERO = math.ulp(0.0)
"""The least number that is above 0."""


def whole(name: str, value: Any, *, least: int = 0, most: int = MOST) -> int:
    """A whole number of Python, NumPy or torch as an ``int``. ``True`` and 3.0 are none.

    Args:
        name: name of the argument, for error messages.
        value: what was given.
        least: minimum.
        most: maximum.

    Raises:
        SettingError: no whole number, or one outside the range.
    """
    expected = f"a whole number, at least {least}" if most == MOST else f"a whole number from {least} to {most:,}"
    number = None
    if not isinstance(value, bool) and "bool" not in str(getattr(value, "dtype", "")):
        try:
            number = operator.index(value)
        except (TypeError, ValueError, RuntimeError):
            number = None
    if number is None or not least <= number <= most:
        raise SettingError(f"{name} is {one_line(repr(value))}", expected=expected)
    return number


def checked_k(k: Any, name: str = "k") -> int:
    """How many answers are wanted.

    Raises:
        SettingError: no whole number, or one below 1.
    """
    return whole(name, k, least=1)


def checked_seed(seed: Any) -> int:
    """The seed of random draws.

    Raises:
        SettingError: no whole number from 0 to 2^64 - 1.
    """
    return whole("seed", seed, most=LARGEST_SEED)


def real(
    name: str, value: Any, expected: str, *, least: int | float = -math.inf, most: int | float = math.inf
) -> float:
    """A number as a ``float``; NaN and ``True`` are none.

    Args:
        name: name of the argument, for error messages.
        value: what was given.
        expected: description of valid values, for error messages.
        least: minimum.
        most: maximum.

    Raises:
        SettingError: no number, or one outside the range.
    """
    number = math.nan
    if not isinstance(value, bool | str | bytes) and "bool" not in str(getattr(value, "dtype", "")):
        try:
            # A tensor with a gradient warns when it becomes a number.
            number = float(value.detach() if hasattr(value, "detach") else value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
    if not least <= number <= most:
        raise SettingError(f"{name}={one_line(repr(value))}", expected=expected)
    return number


def choice(
    name: str, value: Any, choices: Iterable[str], meant: Callable[[str, Iterable[str]], str] | None = None
) -> str:
    """One of several words.

    Args:
        name: name of the argument, for error messages.
        value: what was given.
        choices: what may be given.
        meant: says which of them a wrong word may have meant.

    Raises:
        SettingError: something else.
    """
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        remedy = meant(value, known) if meant is not None and isinstance(value, str) else ""
        raise SettingError(f"{name}={one_line(repr(value))}", expected=" or ".join(map(repr, known)), remedy=remedy)
    return str(value)


def listed(name: str, values: Any, expected: str) -> list[Any]:
    """Several values of any sort, as a list of plain ones where they are an array.

    Args:
        name: name of the argument, for error messages.
        values: an array or anything that can be gone through, but no text.
        expected: what was expected, for error messages.

    Raises:
        InputError: a single value, or what cannot be gone through.
    """
    try:
        plain = values.tolist() if callable(getattr(values, "tolist", None)) else values
        if not isinstance(plain, str | bytes | bytearray | memoryview) and isinstance(plain, Iterable):
            return list(plain)
    except (TypeError, ValueError, RuntimeError):  # such as a tensor that holds nothing
        pass
    raise InputError(f"{name}={one_line(repr(values))}", expected=expected)


def path_of(name: str, value: Any) -> Path:
    """The path of a file or a directory.

    Raises:
        SettingError: no path, or one that no file can have.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and path and "\0" not in path and _is_writable(path):
            return Path(path)
    raise SettingError(f"{name}={one_line(ascii(value))}", expected="a path")


def _is_writable(path: str) -> bool:
    """Whether the system's encoding has the characters of a path; names that it cannot decode count, too."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def flag(name: str, value: Any) -> bool:
    """Yes or no.

    Raises:
        SettingError: neither ``True`` nor ``False``.
    """
    if not (isinstance(value, bool) or (getattr(value, "shape", None) == () and str(value.dtype) == "bool")):
        raise SettingError(f"{name}={one_line(repr(value))}", expected="True or False")
    return bool(value)
