"""The page of a report: one HTML file without scripts, with its pictures inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from isthmus.errors import MissingLibraryError
from isthmus.plots import drawn
from isthmus.plots.drawing import svg
from isthmus.reprs import number
from isthmus_interactions.report.report import QualityReport

WORDS = {"fault": "Fault", "note": "Note", "ok": "OK"}


def page(report: QualityReport) -> str:
    """The report as HTML; all text of the data is escaped."""
    try:
        picture, missing = Markup(svg(drawn(report.panels))), ""
    except MissingLibraryError as error:
        picture, missing = Markup(""), str(error)
    shown: dict[str, Any] = {
        "report": report,
        "words": WORDS,
        "picture": picture,
        "missing": missing,
        "tables": [
            ("Scores", _table(report.scores)),
            ("By users: few, some and many interactions", _table(report.users)),
            ("By items: popular, medium, rare and new ones", _table(report.items)),
            *([("Promised and real chances of a hit", _table(report.calibration))] if report.calibration else []),
        ],
    }
    return _template().render(shown)


@cache
def _template() -> Template:
    text = resources.files("isthmus_interactions.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        text
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
