"""Scores that a card tells, from the facts of a bundle and from what ``isthmus evaluate --json`` printed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from isthmus.checked.paths import plain_file
from isthmus.errors import SourceError
from isthmus.reprs import brief

ERRORS = 1.96
"""Number of standard errors on either side of a mean in a 95 % interval."""

HELD_OUT = "records that were held out of the training"
MOST_BYTES = 2**20
COUNTS = ("users", "events", "records", "texts", "images", "rows")
"""Entries of an evaluation that count what was asked."""


@dataclass(frozen=True)
class Score:
    """One metric.

    Attributes:
        name: such as "ndcg@100".
        value: its mean.
        error: standard error of the mean; None if it is not known.
        popularity: the same metric of recommending popular items; None if it was not measured.
    """

    name: str
    value: float
    error: float | None = None
    popularity: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean lies with 95 % confidence."""
        return None if self.error is None else (self.value - ERRORS * self.error, self.value + ERRORS * self.error)


@brief
@dataclass(frozen=True)
class Measured:
    """Scores on one data set.

    Attributes:
        data: its name.
        scores: the metrics.
        records: number of records or users; None if it is not known.
        remarks: how they were measured, in whole sentences.
    """

    data: str
    scores: tuple[Score, ...]
    records: int | None = None
    remarks: tuple[str, ...] = ()


def of_history(facts: Mapping[str, Any]) -> Measured | None:
    """The scores of the best epoch on held-out records, as a bundle remembers them.

    Args:
        facts: of a manifest; what is not as ``fit`` writes it is left out.

    Returns:
        The scores; None if there are none.
    """
    course = facts.get("training")
    if not isinstance(course, dict) or not isinstance(course.get("records"), list):
        return None
    metric, best = course.get("metric"), course.get("best_epoch")
    record = next((one for one in course["records"] if isinstance(one, dict) and one.get("epoch") == best), None)
    if metric is None or record is None:
        return None
    names = [metric, *(name for name in ("held_out_nll", "held_out_rate", "active_units") if name in record)]
    scores = tuple(Score(name, float(record[name])) for name in names if _is_finite(record.get(name)))
    held = next((count_of(count) for name, count in facts.items() if name.startswith("validation_")), None)
    remark = "They chose the best epoch, which makes scores slightly too high."
    return Measured(HELD_OUT, scores, held, (remark,)) if scores else None


def mean_of(told: Any) -> tuple[float, float | None] | None:
    """A mean and its standard error; None for what is no mean."""
    if not isinstance(told, dict) or not _is_finite(told.get("mean")):
        return None
    error = told.get("standard_error")
    return float(told["mean"]), float(error) if _is_finite(error) and error > 0 else None


def count_of(value: Any) -> int | None:
    """A number of records; None for what is no such number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_scores(path: str | Path, data: str) -> Measured:
    """What ``isthmus evaluate DIR FILE --json`` printed, saved to a file.

    Args:
        path: path of the file.
        data: name of the data set that it was measured on.

    Returns:
        The metrics with their standard errors.

    Raises:
        SourceError: no such file, or it is not such a document.
    """
    place = plain_file(path, "what isthmus evaluate --json printed")
    try:
        with place.open("rb") as file:
            document = json.loads(file.read(MOST_BYTES).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{str(path)!r} is not JSON ({error})", expected="what isthmus evaluate --json prints"
        ) from None
    return of_document(document, data, str(path))


def of_document(document: Any, data: str, name: str = "the document") -> Measured:
    """As ``read_scores``, of the document itself: for users and for records.

    Args:
        document: the JSON document of an evaluation.
        data: name of the data set.
        name: of the document, for messages.

    Returns:
        The metrics with their standard errors.

    Raises:
        SourceError: it has no metrics.
    """
    whole = document if isinstance(document, dict) else {}
    metrics = whole.get("metrics")
    scores = tuple(_of_metrics(whole) if isinstance(metrics, dict) else _of_figures(whole))
    if not scores:
        raise SourceError(f"{name} has no metrics", expected="what isthmus evaluate --json prints")
    count = next((count_of(whole[key]) for key in COUNTS if key in whole), None)
    remarks = [whole.get("protocol"), *(whole.get("remarks") or [])]
    said = tuple(_sentence(one) for one in remarks if isinstance(one, str) and one)
    return Measured(data, scores, count, said)


def _of_metrics(document: Mapping[str, Any]) -> Iterator[Score]:
    baselines = document.get("baselines")
    popular = baselines.get("popularity") if isinstance(baselines, dict) else None
    for name, told in document["metrics"].items():
        if (mean := mean_of(told)) is not None:
            beside = popular.get(name) if isinstance(popular, dict) else None
            yield Score(name, mean[0], mean[1], float(beside) if _is_finite(beside) else None)


def _of_figures(document: Mapping[str, Any]) -> Iterator[Score]:
    errors = document.get("standard_errors")
    known = errors if isinstance(errors, dict) else {}
    for name, value in document.items():
        if _is_finite(value) and name not in (*COUNTS, "samples"):
            error = known.get(name)
            yield Score(name, float(value), float(error) if _is_finite(error) else None)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
