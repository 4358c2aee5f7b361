"""How the figures of ``evaluate`` are printed: one a line, with its standard error where it is a mean over records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.cli.output import emit, table

if TYPE_CHECKING:
    from isthmus.fitted import Evaluation

ERRORS = "standard_errors"


def emit_evaluation(found: Evaluation, as_json: bool) -> None:
    """Print an evaluation: all of it for programs, what was measured for people.

    Args:
        found: what ``evaluate`` of a model returned.
        as_json: whether the caller is a program.
    """
    document = found.to_json()
    errors = document[ERRORS]
    shown = [
        (name.replace("_", " "), f"{value:.4f} ± {errors[name]:.4f}" if errors.get(name) else value)
        for name, value in document.items()
        if value is not None and name != ERRORS
    ]
    emit(document, as_json, lambda: table(("", "± standard error" if errors else ""), shown))
