"""YAML at the top of a card. Only mappings, lists and plain values are written, the values as JSON, which is YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LINE = "---"


def front_matter(document: Mapping[str, Any]) -> str:
    """A mapping as YAML between two lines of dashes.

    Args:
        document: mappings with names as keys, lists, texts and numbers.

    Returns:
        The text, with a line break at the end.
    """
    return "\n".join([LINE, *_mapping(document, 0), LINE, ""])


def _mapping(document: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name, value in document.items():
        yield from _entry(f"{'  ' * depth}{name}:", value, depth)


def _entry(head: str, value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield head
        yield from _mapping(value, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield head
        for one in value:
            yield from _element(one, depth)
    else:
        yield f"{head} {_plain(value)}"


def _element(value: Any, depth: int) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{'  ' * depth}- {_plain(value)}"
        return
    lines = list(_mapping(value, depth + 1))
    yield f"{'  ' * depth}- {lines[0].lstrip()}"
    yield from lines[1:]


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
