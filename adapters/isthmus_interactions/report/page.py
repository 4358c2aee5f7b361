"""The HTML page of a report: one file with embedded pictures and without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from isthmus.answers.pages import page_template
from isthmus.errors import MissingLibraryError
from isthmus.plots import Panel, drawn
from isthmus.plots.drawing import svg
from isthmus.reprs import number

WORDS = {"fault": "Fault", "note": "Note", "ok": "OK"}


def page(tables: Mapping[str, Sequence[Mapping[str, Any]]], panels: Sequence[Panel], **values: Any) -> str:
    """A page of HTML; all text of the data is escaped.

    Args:
        tables: rows of each table, by its title.
        panels: pictures, which are left out without Matplotlib.
        values: further values for the template.
    """
    try:
        picture, missing = Markup(svg(drawn(panels))), ""
    except MissingLibraryError as error:
        picture, missing = Markup(""), str(error)
    shown = [(title, _table(rows)) for title, rows in tables.items()]
    return page_template("isthmus_interactions.report").render(
        words=WORDS, picture=picture, missing=missing, tables=shown, **values
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Names of columns, and cells as text with whether they are numbers."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {
        "names": [name.replace("_", " ") for name in names],
        "rows": [[_cell(row.get(n)) for n in names] for row in rows],
    }


def _cell(value: Any) -> tuple[str, bool]:
    if isinstance(value, Mapping):
        if value["mean"] is None:
            return "no users", True
        return f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]", True
    if isinstance(value, float | int):
        return number(value), True
    return "" if value is None else str(value), False
