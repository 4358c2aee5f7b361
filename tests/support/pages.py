"""Pages of commands with what they print."""

from __future__ import annotations

import re
from typing import Any

import typer

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: str) -> list[tuple[str, str]]:
    """Commands (of no language) and the documents (json) that they print, in the order of the page."""
    return [(kind, text) for kind, text in _BLOCK.findall(page) if kind in ("", "json")]


def shape(value: Any) -> Any:
    """Keys and kinds of a document; a list is known by its first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def undescribed(page: str, heading: str, function: Any) -> set[str]:
    """Options of a command that neither its section nor the head of the page names, in any of their spellings."""
    section = re.search(rf"^## isthmus {heading}\b.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no section on {heading}"
    app = typer.Typer(add_completion=False)
    app.command()(function)
    options = [
        one.opts + one.secondary_opts for one in typer.main.get_command(app).params if one.opts[0].startswith("-")
    ]
    # What all commands share stands before the first section.
    text = page.partition("\n## ")[0] + section.group()
    unnamed = {names[0] for names in options if not any(name in text for name in names)}
    return unnamed - {"--json", "--help"}
