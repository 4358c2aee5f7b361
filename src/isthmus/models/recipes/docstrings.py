"""Reads Google-style docstrings: the entries of a section, a summary with its paper, and the advice."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

_ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:(?: (.*))?$")
_PAPER = re.compile(r"\(([^()]*\b\d{4})\)")
_ADVICE = re.compile(r"\bAdvice: (.*)")
_LITERAL = re.compile(r"(?::[a-z]+:)?(`+)(.+?)\1")


@dataclass(frozen=True)
class Summary:
    """The parts of a docstring.

    Attributes:
        about: the first paragraph, up to the paper in brackets if there is one.
        paper: authors, venue and year.
        advice: the paragraph ``Advice:``.
    """

    about: str
    paper: str | None = None
    advice: str | None = None


def summary(docstring: str) -> Summary:
    """The description of a model, its paper and its advice, each on one line and without markup."""
    paragraphs = [plain(part) for part in inspect.cleandoc(docstring).split("\n\n")]
    about, paper = paragraphs[0], _PAPER.search(paragraphs[0])
    advice = next((found[1] for found in map(_ADVICE.search, paragraphs) if found), None)
    if paper is None:
        return Summary(about, advice=advice)
    return Summary(about[: paper.start()].rstrip(), paper[1], advice)


def entries(docstring: str, section: str) -> dict[str, str]:
    """The entries of a section such as ``Args`` or ``Attributes``.

    Args:
        docstring: the docstring; names may have a type in brackets, and several may share an entry (``low, high:
            ...``).
        section: its heading, without the colon.

    Returns:
        The text for each name, on one line and without markup, in the order of the docstring. Empty if there is no such
        section.
    """
    found: dict[str, str] = {}
    names: list[str] = []
    margin: int | None = None
    for line in _section(docstring, section):
        indent = len(line) - len(line.lstrip())
        margin = indent if margin is None else margin
        entry = _ENTRY.match(line.strip()) if indent <= margin else None
        if entry is not None:
            names = [name.lstrip("*") for name in entry[1].split(", ")]
            found |= dict.fromkeys(names, entry[2] or "")
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: plain(text) for name, text in found.items()}


def plain(text: str) -> str:
    """The text on one line, without the backticks and roles of reStructuredText."""
    return _LITERAL.sub(r"\2", " ".join(text.split()))


def _section(docstring: str, section: str) -> list[str]:
    """The non-empty lines of a section, with their indentation."""
    lines = inspect.cleandoc(docstring).splitlines()
    if f"{section}:" not in lines:
        return []
    body = []
    for line in lines[lines.index(f"{section}:") + 1 :]:
        if line.strip() and not line.startswith(" "):
            break
        if line.strip():
            body.append(line)
    return body
