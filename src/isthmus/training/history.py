"""What happened, epoch by epoch, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from isthmus.answers import html
from isthmus.reprs import counted, described, joined
from isthmus.training.progress import Record

ERROR = " standard error"
"""After the name of a score, in a record: its standard error."""


@dataclass(repr=False)
class History:
    """The course of one training.

    Attributes:
        records: one mapping an epoch: epoch (from 1), phase, loss, nll, rate, penalties, learning_rate, seconds, and
            the validation score under its own name where one was taken; in the last one ``part``, the share of the
            epoch that was done, where training ended within it.
        metric: the name of the validation score.
        best_epoch: the epoch whose weights the model has now; None where the last ones are kept.
        best_score: its validation score, higher is better.
        interrupted: whether Ctrl-C or SIGTERM ended it, or what was to come after it.
        stopped_early: whether patience ended it.
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
        """How many epochs were done as a whole."""
        return sum("part" not in record for record in self.records)

    @property
    def part(self) -> float | None:
        """What was done of one epoch more, if it counts: a share, above 0 and below 1."""
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
        """Time spent in epochs, validation included."""
        return float(sum(float(record["seconds"]) for record in self.records))

    def take(self, record: Record) -> bool:
        """Append a record; true where its score is the best so far."""
        self.records.append(record)
        if self.metric is None or self.metric not in record:
            return False
        score = float(record[self.metric])
        if self.best_score is not None and score <= self.best_score:
            return False
        self.best_score, self.best_epoch = score, int(record["epoch"])
        return True

    def since_best(self) -> int:
        """Epochs since the best score."""
        return len(self.records) - (self.best_epoch or 0) if self.best_epoch is not None else 0

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
            points = [(float(one["epoch"]), float(one[name])) for one in self.records if name in one]
            label = f"{name} of held-out records" if name == self.metric else f"{name} in training"
            curves.append(html.curve(points, label))
        return html.paragraph(repr(self).strip("<>")) + "".join(curves)

    def to_json(self) -> dict[str, Any]:
        """The history as a JSON document, as bundles keep it."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> History:
        """The inverse of ``to_json``."""
        return cls(**document)
