"""Prints results of measuring: anomaly scores, and the metrics of ``evaluate`` with standard errors of means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.console import Group
from rich.text import Text

from isthmus.cli.output import emit, table
from isthmus.cli.wording import figures, flagged

if TYPE_CHECKING:
    from isthmus.fitted import Evaluation
    from isthmus.tasks.threshold import Threshold

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


class ScoredRow(NamedTuple):
    """The anomaly score of a record.

    Attributes:
        row: number of the record, from 0.
        score: higher is more anomalous.
        anomaly: whether it is above the threshold.
    """

    row: int
    score: float
    anomaly: bool

    @property
    def flag(self) -> str:
        """What a table says of it."""
        return "anomaly" if self.anomaly else ""


def scored_rows(scores: Any, limit: Threshold, k: int | None = None) -> list[ScoredRow]:
    """The most anomalous records.

    Args:
        scores: one a record, as an array.
        limit: above which a record is an anomaly.
        k: how many, the highest scores first; None for all records in their own order.
    """
    order = np.arange(len(scores)) if k is None else np.argsort(-scores, kind="stable")[:k]
    return [ScoredRow(int(row), float(scores[row]), bool(scores[row] > limit.value)) for row in order]


def count_anomalies(scores: Any, limit: Threshold, noun: str) -> tuple[int, str]:
    """How many scores are above the threshold, as a number and as a sentence.

    Args:
        scores: one a record, as an array.
        limit: above which a record is an anomaly.
        noun: what is scored, in the plural.
    """
    above = int((scores > limit.value).sum())
    return above, flagged(above, len(scores), noun, limit.value, limit.contamination)
