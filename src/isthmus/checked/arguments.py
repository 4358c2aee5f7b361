"""Checks of common arguments: integers, seeds, shares, paths and flags.

Each returns the value in plain form (an ``int``, a ``float``, a ``Path``) or raises an error of ``isthmus.errors``.
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
"""The smallest number above 0."""


def whole(name: str, value: Any, *, least: int = 0, most: int = MOST) -> int:
    """Convert an integer of Python, NumPy or torch to ``int``; ``True`` and 3.0 are rejected.

    Args:
        name: name of the argument, for error messages.
        value: value of the argument.
        least: minimum.
        most: maximum.

    Raises:
        SettingError: not an integer, or out of range.
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
    """Check the number of results ``k``.

    Raises:
        SettingError: not an integer, or below 1.
    """
    return whole(name, k, least=1)


def checked_seed(seed: Any) -> int:
    """Check a random seed.

    Raises:
        SettingError: not an integer from 0 to 2^64 - 1.
    """
    return whole("seed", seed, most=LARGEST_SEED)


def real(
    name: str, value: Any, expected: str, *, least: int | float = -math.inf, most: int | float = math.inf
) -> float:
    """Convert a number to ``float``; NaN and ``True`` are rejected.

    Args:
        name: name of the argument, for error messages.
        value: what was given.
        expected: description of valid values, for error messages.
        least: minimum.
        most: maximum.

    Raises:
        SettingError: not a number, or out of range.
    """
    number = math.nan
    if not isinstance(value, bool | str | bytes) and "bool" not in str(getattr(value, "dtype", "")):
        try:
            # Converting a tensor with a gradient to a number gives a warning.
            number = float(value.detach() if hasattr(value, "detach") else value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
    if not least <= number <= most:
        raise SettingError(f"{name}={one_line(repr(value))}", expected=expected)
    return number


def choice(
    name: str, value: Any, choices: Iterable[str], meant: Callable[[str, Iterable[str]], str] | None = None
) -> str:
    """Check that a value is one of several words.

    Args:
        name: name of the argument, for error messages.
        value: value of the argument.
        choices: the valid words.
        meant: returns a suggestion for a misspelt word.

    Raises:
        SettingError: another value.
    """
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        remedy = meant(value, known) if meant is not None and isinstance(value, str) else ""
        raise SettingError(f"{name}={one_line(repr(value))}", expected=" or ".join(map(repr, known)), remedy=remedy)
    return str(value)


def listed(name: str, values: Any, expected: str) -> list[Any]:
    """Convert several values to a list; the elements of an array become plain Python values.

    Args:
        name: name of the argument, for error messages.
        values: an array or any iterable except text.
        expected: what was expected, for error messages.

    Raises:
        InputError: a single value, or not iterable.
    """
    try:
        plain = values.tolist() if callable(getattr(values, "tolist", None)) else values
        if not isinstance(plain, str | bytes | bytearray | memoryview) and isinstance(plain, Iterable):
            return list(plain)
    except (TypeError, ValueError, RuntimeError):  # for example an empty tensor
        pass
    raise InputError(f"{name}={one_line(repr(values))}", expected=expected)


def path_of(name: str, value: Any) -> Path:
    """Convert a path of a file or a directory to ``Path``.

    Raises:
        SettingError: not a valid path.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and path and "\0" not in path and _is_writable(path):
            return Path(path)
    raise SettingError(f"{name}={one_line(ascii(value))}", expected="a path")


def _is_writable(path: str) -> bool:
    """Whether the system's encoding can represent the characters of a path, including undecodable bytes."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def flag(name: str, value: Any) -> bool:
    """Check a boolean.

    Raises:
        SettingError: neither ``True`` nor ``False``.
    """
    if not (isinstance(value, bool) or (getattr(value, "shape", None) == () and str(value.dtype) == "bool")):
        raise SettingError(f"{name}={one_line(repr(value))}", expected="True or False")
    return bool(value)
