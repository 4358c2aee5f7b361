"""The history of a training, epoch by epoch, as plain values."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from isthmus.answers import html
from isthmus.reprs import counted, described, joined
from isthmus.training.progress import Record

logger = logging.getLogger(__name__)

ERROR = " standard error"
"""Suffix of the name of a score for its standard error in a record."""


@dataclass(repr=False)
class History:
    """The history of one training.

    Attributes:
        records: one mapping per epoch: epoch (from 1), phase, loss, nll, rate, penalties, learning_rate, seconds, and
            the validation score under its own name if there is one; the last record also has ``part``, the finished
            share of the epoch, if training ended within it.
        metric: name of the validation score.
        best_epoch: the epoch whose weights the model has, or the number of epochs for which it was then trained again
            on all data; None if the last weights are kept.
        best_score: its validation score, higher is better.
        interrupted: whether Ctrl-C or SIGTERM ended it, or the work after it.
        stopped_early: whether early stopping (patience) ended it.
        out_of_time: whether ``Run.time_limit`` ended it.
    """

    records: list[Record] = field(default_factory=list)
    metric: str | None = None
    best_epoch: int | None = None
    best_score: float | None = None
    interrupted: bool = False
    stopped_early: bool = False
    out_of_time: bool = False

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return sum("part" not in record for record in self.records)

    @property
    def part(self) -> float | None:
        """The finished share of an unfinished epoch, if it counts; above 0 and below 1."""
        part = self.records[-1].get("part") if self.records else None
        return None if part is None else float(part)

    @property
    def done(self) -> str:
        """How far training went, such as "3 epochs" or "40% of epoch 1"."""
        if self.part is None:
            return counted(self.epochs, "epoch")
        return f"{self.part:.0%} of epoch {self.epochs + 1}"

    @property
    def seconds(self) -> float:
        """Time of all epochs, including validation."""
        return float(sum(float(record["seconds"]) for record in self.records))

    def take(self, record: Record) -> bool:
        """Append a record; returns whether its score is the best so far, which NaN and infinities never are."""
        self.records.append(record)
        if self.metric is None or self.metric not in record:
            return False
        score = float(record[self.metric])
        if not math.isfinite(score):
            logger.warning("%s is %s after epoch %s, which does not count", self.metric, score, record["epoch"])
            return False
        if self.best_score is not None and score <= self.best_score:
            return False
        self.best_score, self.best_epoch = score, int(record["epoch"])
        return True

    def since_best(self) -> int:
        """Number of epochs since the best score or, if no score was finite, since the first one."""
        if self.best_epoch is not None:
            return len(self.records) - self.best_epoch
        scored = [place for place, record in enumerate(self.records) if self.metric in record]
        return len(self.records) - scored[0] if scored else 0

    @property
    def stalled(self) -> int:
        """Number of whole epochs whose finite score was not better than all before."""
        best, found = -math.inf, 0
        for record in self.records:
            if self.metric is not None and self.metric in record and "part" not in record:
                score = float(record[self.metric])
                found += math.isfinite(score) and score <= best
                best = max(best, score) if math.isfinite(score) else best
        return found

    def __repr__(self) -> str:
        best = "" if self.best_score is None else f"best {self.metric} {self.best_score:.4g} in epoch {self.best_epoch}"
        ended = (
            ("interrupted", self.interrupted),
            ("stopped early", self.stopped_early),
            ("out of time", self.out_of_time),
        )
        reason = next((word for word, is_so in ended if is_so), "")
        return described(self, joined([self.done, best, reason]))

    def _repr_html_(self) -> str:
        names = ("loss", "nll", *([] if self.metric is None else [self.metric]))
        curves = []
        for name in names:
            shown = [one for one in self.records if name in one and math.isfinite(float(one[name]))]
            points = [(float(one["epoch"]), float(one[name])) for one in shown]
            label = f"{name} of held-out records" if name == self.metric else f"{name} in training"
            curves.append(html.curve(points, label))
        return html.paragraph(repr(self).strip("<>")) + "".join(curves)

    def to_json(self) -> dict[str, Any]:
        """The history as a JSON document for bundles; NaN and infinities, which JSON lacks, become null."""
        document = asdict(self)
        document["best_score"] = None if self.best_score is None else finite(self.best_score)
        document["records"] = [{key: _finite(value) for key, value in one.items()} for one in self.records]
        return document

    def _check(self) -> None:
        """Check the types of all fields.

        Raises:
            TypeError: a field of another type.
        """
        right = [
            isinstance(self.records, list) and all(map(_is_record, self.records)),
            self.metric is None or isinstance(self.metric, str),
            self.best_epoch is None or (type(self.best_epoch) is int and self.best_epoch >= 0),
            self.best_score is None or _is_number(self.best_score),
            all(isinstance(flag, bool) for flag in (self.interrupted, self.stopped_early, self.out_of_time)),
        ]
        if not all(right):
            raise TypeError("a history with fields of other types than a training gives them")

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> History:
        """The inverse of ``to_json``.

        Raises:
            TypeError: fields of other names or types.
        """
        made = cls(**document)
        made._check()
        made.records = [{key: math.nan if one is None else one for key, one in kept.items()} for kept in made.records]
        return made


def _is_record(record: Any) -> bool:
    """Whether a record is a mapping from names to plain values, with numbers where they are needed."""
    if not isinstance(record, dict):
        return False
    plain = all(one is None or isinstance(one, int | float | str) for one in record.values())
    return plain and all(_is_number(record.get(name, 0)) for name in ("epoch", "seconds", "part"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(score: float) -> float | None:
    """The score, or None for NaN and infinities, which cannot be compared."""
    return score if math.isfinite(score) else None


def _finite(value: float | int | str) -> float | int | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
