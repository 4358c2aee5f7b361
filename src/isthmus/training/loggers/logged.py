"""A progress that also passes each epoch's record to a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.errors import SettingError
from isthmus.reprs import one_line
from isthmus.training.progress import Progress, Record, begun, ended

Log = Callable[[dict[str, Any]], object]
"""Called after each epoch with its record, as ``History.records`` has it: numbers and text by name."""

WORK = "work"
"""The entry of a record that says which of several trainings it belongs to, such as "trying mult-vae"."""


class Logged:
    """A ``PhaseProgress`` that forwards everything, and calls a function with the record of each epoch.

    Args:
        shown: the progress to which everything is forwarded.
        log: receives a copy of each record. If one ``fit`` trains several models, the entry ``work`` says which one the
            record belongs to. Exceptions that it raises end the training.

    Raises:
        SettingError: ``log`` cannot be called.
    """

    def __init__(self, shown: Progress, log: Log) -> None:
        if not callable(log):
            raise SettingError(
                f"log={one_line(repr(log))}",
                expected="a function of one mapping",
                remedy="see isthmus.training.loggers for TensorBoard, Weights & Biases and MLflow",
            )
        self._shown, self._log = shown, log
        self._begun: list[str] = []

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Forward the start of a training.

        Args:
            epochs: number of epochs.
            rows: number of rows per epoch.
            metric: name of the validation score; None without one.
            first_epoch: number of finished epochs after a resume.
        """
        self._shown.start(epochs, rows, metric, first_epoch)

    def step(self, rows: int, loss: float) -> None:
        """Forward a step."""
        self._shown.step(rows, loss)

    def epoch(self, record: Record) -> None:
        """Forward the end of an epoch, and log its record."""
        self._shown.epoch(record)
        self._log(dict(record) | ({WORK: self._begun[-1]} if self._begun else {}))

    def stop(self) -> None:
        """Forward the end of a training."""
        self._shown.stop()

    def begin(self, what: str, more: str = "") -> None:
        """Forward the start of other work."""
        self._begun.append(what)
        begun(self._shown, what, more)

    def end(self) -> None:
        """Forward the end of the work that started last."""
        if self._begun:
            self._begun.pop()
        ended(self._shown)
