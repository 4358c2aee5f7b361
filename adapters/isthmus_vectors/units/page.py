"""The page of units: one file of HTML without scripts."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template


def page(title: str, units: Any) -> str:
    """A page of HTML; all text of the data is escaped.

    Args:
        title: of the page.
        units: ``isthmus_vectors.units.units.Units``.
    """
    return _template().render(title=title, all=units)


@cache
def _template() -> Template:
    text = resources.files("isthmus_vectors.units").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        text
    )
