"""Limits for a ``tokenizer.json``, so that an untrusted one cannot make tokenisation endless or fill the memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from isthmus.errors import InputError

MOST_ENTRIES = 4_000_000
"""Maximum size of a vocabulary, of merges or of added tokens; the largest known vocabularies have 256,000."""

MOST_STEPS = 200
"""Maximum number of JSON nodes of a normaliser, pre-tokeniser, post-processor or decoder, without its texts."""

LONGEST_PATTERN = 4096
MOST_GROWTH = 1000
"""Maximum factor by which replacements may lengthen a text."""

LONGEST_WORD = 10_000
"""Maximum characters of a word that is split into pieces, which takes quadratic time; 100 is usual."""

PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")

_ESCAPED = re.compile(r"\\[pP]\{[^}]*\}|\\.", re.DOTALL)
_CLASS = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]")
_ENDLESS = re.compile(r"[+*]|\{\d+,\}")


def check_tokenizer(text: str, name: str) -> None:
    """Check that a tokenizer does not exceed the limits.

    Args:
        text: the content of a ``tokenizer.json``.
        name: name of the file, for messages.

    Raises:
        InputError: not a JSON object; too many entries or steps; or a pattern that may take exponential time.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{name} is not a tokenizer", expected="the contents of a tokenizer.json")
    model = document.get("model")
    _check_model(model if isinstance(model, dict) else {}, name)
    _check_count(document.get("added_tokens"), "added tokens", name)
    for part in PARTS:
        _check_part(document.get(part), f"{part} of {name}")


def _check_model(model: dict[str, Any], name: str) -> None:
    for entries in ("vocab", "merges"):
        _check_count(model.get(entries), entries, name)
    word = model.get("max_input_chars_per_word", 0)
    if isinstance(word, int) and word > LONGEST_WORD:
        raise InputError(f"{name} allows words of {word:,} characters", expected=f"at most {LONGEST_WORD:,}")


def _check_count(entries: Any, what: str, name: str) -> None:
    if isinstance(entries, dict | list) and len(entries) > MOST_ENTRIES:
        raise InputError(f"{name} holds {len(entries):,} {what}", expected=f"at most {MOST_ENTRIES:,}")


def _check_part(part: Any, name: str) -> None:
    growth = 1.0
    for nodes, node in enumerate(_nodes(part), 1):
        if nodes > MOST_STEPS:
            raise InputError(f"the {name} has more than {MOST_STEPS} parts", expected="the steps of a tokenizer")
        pattern = node.get("pattern")
        given = pattern.get("Regex", pattern.get("String")) if isinstance(pattern, dict) else pattern
        if isinstance(given, str):
            growth *= max(1.0, len(str(node.get("content", ""))) / max(len(given), 1))
            if isinstance(pattern, dict) and "Regex" in pattern:
                check_pattern(given, name)
    if growth > MOST_GROWTH:
        raise InputError(f"the {name} makes texts {growth:,.0f} times as long", expected=f"at most {MOST_GROWTH:,}")


def check_pattern(pattern: str, name: str) -> None:
    """Check that a regular expression cannot take exponential time: it has no repeated group with a repetition inside.

    Args:
        pattern: a pattern in the syntax of Oniguruma.
        name: name of its owner, for messages.

    Raises:
        InputError: such a pattern, or one that is too long.
    """
    plain = _CLASS.sub("c", _ESCAPED.sub("e", pattern))
    open_: list[bool] = []
    endless = False
    for place, sign in enumerate(plain):
        if sign == "(":
            open_.append(False)
        elif sign == ")" and open_:
            inside = open_.pop()
            repeated = _ENDLESS.match(plain, place + 1) is not None
            endless = endless or (inside and repeated)
            if open_:
                open_[-1] = open_[-1] or inside or repeated
        elif open_ and _ENDLESS.match(plain, place) is not None:
            open_[-1] = True
    if endless or len(pattern) > LONGEST_PATTERN:
        shown = pattern if len(pattern) < 80 else f"{pattern[:80]}..."
        raise InputError(
            f"the {name} has the pattern {shown!r}",
            expected=f"at most {LONGEST_PATTERN:,} characters, and no repeated group with a repetition inside",
        )


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """The objects of a part, itself included."""
    left = [part]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left.extend(held for name, held in node.items() if name != "special_tokens")
        elif isinstance(node, list):
            left.extend(node)
