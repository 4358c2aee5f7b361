"""Prints measurements: anomaly scores, and the metrics of ``evaluate`` with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from rich.console import Group
from rich.text import Text

from isthmus.cli.output import emit, table
from isthmus.cli.wording import figures, flagged
from isthmus.errors import InputError

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


@runtime_checkable
class Scorer(Protocol):
    """Computes p-values of anomaly scores: any model of any domain."""

    def anomaly_p_values(self, scores: Any, /) -> Any:
        """The share of normal records that score at least as high, for each score."""
        ...


class ScoredRow(NamedTuple):
    """The anomaly score of a record.

    Attributes:
        row: number of the record, from 0.
        score: higher is more anomalous.
        anomaly: whether it is above the threshold.
        p_value: share of normal records that score at least as high; None if their scores are not known.
    """

    row: int
    score: float
    anomaly: bool
    p_value: float | None

    @property
    def flag(self) -> str:
        """The entry of the table for an anomaly."""
        return "anomaly" if self.anomaly else ""

    @property
    def p(self) -> str:
        """The p-value in a table."""
        return "" if self.p_value is None else f"{self.p_value:.2g}"


def scored_rows(scores: Any, limit: Threshold, model: Scorer, k: int | None = None) -> list[ScoredRow]:
    """The most anomalous records.

    Args:
        scores: one score per record, as an array.
        limit: threshold above which a record is an anomaly.
        model: provides p-values.
        k: number of records, highest scores first; None for all records in their order.
    """
    order = np.arange(len(scores)) if k is None else np.argsort(-scores, kind="stable")[:k]
    try:
        shares: list[float | None] = [float(share) for share in model.anomaly_p_values(scores)]
    except InputError:
        # A bundle of version 0.1 has no scores of normal records.
        shares = [None for _ in scores]
    return [ScoredRow(int(row), float(scores[row]), bool(scores[row] > limit.value), shares[row]) for row in order]


def count_anomalies(scores: Any, limit: Threshold, noun: str) -> tuple[int, str]:
    """The number of scores above the threshold, as a number and as a sentence.

    Args:
        scores: one score per record, as an array.
        limit: threshold above which a record is an anomaly.
        noun: name of the records, in the plural.
    """
    above = int((scores > limit.value).sum())
    return above, flagged(above, len(scores), noun, limit.value, limit.contamination)
