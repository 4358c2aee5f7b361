"""Reports of the progress of a training and of other work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, cast, runtime_checkable

Record = Mapping[str, float | int | str]


@runtime_checkable
class Progress(Protocol):
    """Called by the trainer: first start, then step and epoch for each epoch, finally stop."""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Start a training of ``epochs`` epochs with ``rows`` rows each; ``first_epoch`` is above 0 after a resume.

        Args:
            epochs: number of epochs.
            rows: number of rows per epoch.
            metric: name of the validation score; None without one.
            first_epoch: number of finished epochs after a resume.
        """
        ...

    def step(self, rows: int, loss: float) -> None:
        """Report that ``rows`` more rows were seen; ``loss`` is the mean loss of the epoch so far."""
        ...

    def epoch(self, record: Record) -> None:
        """Report the end of an epoch with its record in the history."""
        ...

    def stop(self) -> None:
        """Report the end of the training, for whatever reason."""
        ...


@runtime_checkable
class PhaseProgress(Progress, Protocol):
    """A ``Progress`` that also reports work other than training, or work that contains several trainings."""

    def begin(self, what: str, more: str = "") -> None:
        """Report the start of work, such as "encoding 12,000 texts"; ``more`` is shown if there is room for it."""
        ...

    def end(self) -> None:
        """Report the end of the work that started last."""
        ...


class NoProgress:
    """A ``Progress`` that reports nothing."""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Ignore the start of a training.

        Args:
            epochs: number of epochs.
            rows: number of rows per epoch.
            metric: name of the validation score; None without one.
            first_epoch: number of finished epochs after a resume.
        """

    def step(self, rows: int, loss: float) -> None:
        """Ignore the loss of a step."""

    def epoch(self, record: Record) -> None:
        """Ignore the end of an epoch."""

    def stop(self) -> None:
        """Ignore the end of a training."""


@contextmanager
def doing(progress: Progress, what: str, more: str = "") -> Iterator[None]:
    """A context that reports the work inside it, if the progress is a ``PhaseProgress``.

    Args:
        progress: the progress of a ``Run``.
        what: a few words, such as "encoding 12,000 texts".
        more: details, such as settings.
    """
    begun(progress, what, more)
    try:
        yield
    finally:
        ended(progress)


def begun(progress: Progress, what: str, more: str = "") -> None:
    """Report the start of work, if the progress is a ``PhaseProgress``.

    Args:
        progress: the progress of a ``Run``.
        what: a few words.
        more: details.
    """
    if hasattr(progress, "begin"):
        cast(PhaseProgress, progress).begin(what, more)


def ended(progress: Progress) -> None:
    """Report the end of work, if the progress is a ``PhaseProgress``."""
    if hasattr(progress, "end"):
        cast(PhaseProgress, progress).end()
