"""One-line representations of objects, without their data. Only a few values are read, and nothing is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

LONGEST = 290
"""Maximum number of characters of a repr."""

FEW = 3
"""Number of values of a container that are shown; more are counted."""


def brief(kind: T) -> T:
    """A decorator for dataclasses with large fields: arrays show their shapes, containers their sizes."""
    type.__setattr__(kind, "__repr__", _of_fields)
    return kind


def described(thing: object, about: str) -> str:
    """``<Name: about>``, truncated if it is long."""
    return f"<{one_line(f'{type(thing).__name__}: {about}', LONGEST - 2)}>"


def one_line(value: object, width: int = 40) -> str:
    """A value as text without line breaks, truncated if it is long.

    Args:
        value: anything with a cheap text representation.
        width: maximum number of characters.
    """
    text = str(value)
    head = " ".join(text[: 4 * width].split())
    return head if len(head) <= width and len(text) <= 4 * width else head[: width - 1] + "…"


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 item", "1,200 items"."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of an English noun."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "sh", "tch")) else f"{noun}s"


def number(value: float | int) -> str:
    """A readable number: integers with separators, others with four significant digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def joined(parts: Iterable[str]) -> str:
    """The nonempty parts, separated by commas."""
    return ", ".join(part for part in parts if part)


def shown(value: object) -> str:
    """A short representation of a value."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, str):
        return repr(one_line(value))
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        kind = str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")
        return f"{kind}[{', '.join(map(str, shape))}]"
    if is_dataclass(value) or type(value).__module__.split(".")[0].startswith("isthmus"):
        return _of_own(value)
    if isinstance(value, Sized) and isinstance(value, Mapping | list | tuple | set | frozenset | range):
        return _of_container(value)
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return one_line(value) if type(value).__module__ in ("torch", "pathlib") else type(value).__name__


def _of_fields(self: Any) -> str:
    parts = [f"{field.name}={shown(getattr(self, field.name))}" for field in fields(self) if field.repr]
    return one_line(f"{type(self).__name__}({', '.join(parts)})", LONGEST)


def _of_own(value: object) -> str:
    """Objects of the library in one line; networks and other objects by their class name."""
    kind = type(value)
    silent = kind.__repr__ is object.__repr__ or callable(getattr(value, "named_modules", None))
    return kind.__name__ if silent else one_line(repr(value), 80)


def _of_container(value: Any) -> str:
    if len(value) > FEW:
        return f"<{counted(len(value), 'key' if isinstance(value, Mapping) else 'value')}>"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(one)}" for key, one in islice(value.items(), FEW)) + "}"
    return f"[{', '.join(map(shown, value))}]"
