"""Prints the results of ``evaluate``: one metric per line, with its standard error if it is a mean over records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from isthmus.cli.output import emit, table
from isthmus.cli.wording import figures

if TYPE_CHECKING:
    from isthmus.fitted import Evaluation

ERRORS = "standard_errors"


def emit_evaluation(found: Evaluation, as_json: bool, said: str, sizes: Sequence[str]) -> None:
    """Print an evaluation: the whole document, or a readable summary.

    Args:
        found: the result of a model's ``evaluate``.
        as_json: whether to print a JSON document.
        said: number and size of the records in words.
        sizes: fields that ``said`` already contains, or that are settings.
    """
    document = found.to_json()
    errors = document[ERRORS]
    rows = figures(document, (ERRORS, *sizes), errors)
    emit(document, as_json, lambda: Group(Text(said), table(("", "± standard error" if errors else ""), rows)))
