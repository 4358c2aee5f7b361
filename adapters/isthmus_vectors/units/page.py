"""The page of units: one file of HTML without scripts."""

from __future__ import annotations

from typing import Any

from isthmus.answers.pages import page_template


def page(title: str, units: Any) -> str:
    """A page of HTML; all text of the data is escaped.

    Args:
        title: of the page.
        units: ``isthmus_vectors.units.units.Units``.
    """
    return page_template("isthmus_vectors.units").render(title=title, all=units)
