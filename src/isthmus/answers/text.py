"""Short texts for people to read in a terminal: one line, few words."""

from __future__ import annotations

from itertools import islice
from typing import Any


def one_line(value: Any, width: int = 40) -> str:
    """A value as text without line breaks, cut where it is long.

    Args:
        value: anything.
        width: the most characters.
    """
    text = str(value)
    text = " ".join(text[: 4 * width].split()) + ("…" if len(text) > 4 * width else "")
    return text if len(text) <= width else text[: width - 1] + "…"


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 item", "1,200 items"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural(noun)}"


def plural(noun: str) -> str:
    """The plural of an English noun."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def listed(values: Any, most: int = 3, width: int = 40) -> str:
    """The first of several values, joined by commas, and how many more there are.

    Args:
        values: anything with a length that can be iterated.
        most: how many are shown.
        width: the most characters of each.
    """
    shown = [one_line(value, width) for value in islice(values, most)]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
