"""How the figures of ``evaluate`` are printed: one a line, with its standard error where it is a mean over records."""

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
    """Print an evaluation: all of it for programs, what was measured for people.

    Args:
        found: what ``evaluate`` of a model returned.
        as_json: whether the caller is a program.
        said: how many records of which size, as a person reads it.
        sizes: the figures that ``said`` tells, or that are settings.
    """
    document = found.to_json()
    errors = document[ERRORS]
    rows = figures(document, (ERRORS, *sizes), errors)
    emit(document, as_json, lambda: Group(Text(said), table(("", "± standard error" if errors else ""), rows)))
