"""How training reports its progress: what is called, and how to say what else is going on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, cast, runtime_checkable

Record = Mapping[str, float | int | str]


@runtime_checkable
class Progress(Protocol):
    """Called by the trainer, in this order: start, then for each epoch its steps and the epoch, then stop."""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """``rows`` are seen in each of ``epochs`` epochs; ``first_epoch`` is more than 0 after a resume."""
        ...

    def step(self, rows: int, loss: float) -> None:
        """``rows`` more have been seen; ``loss`` is the mean of the epoch so far."""
        ...

    def epoch(self, record: Record) -> None:
        """A line of the history."""
        ...

    def stop(self) -> None:
        """Training has ended, whatever the reason."""
        ...


@runtime_checkable
class PhaseProgress(Progress, Protocol):
    """A ``Progress`` that is also told of work that is no training, or that has several trainings in it."""

    def begin(self, what: str, more: str = "") -> None:
        """Something begins, such as "encoding 12,000 texts"; ``more`` is said where there is room for it."""
        ...

    def end(self) -> None:
        """What began last has ended."""
        ...


class NoProgress:
    """Reports nothing."""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Nothing."""

    def step(self, rows: int, loss: float) -> None:
        """Nothing."""

    def epoch(self, record: Record) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


@contextmanager
def doing(progress: Progress, what: str, more: str = "") -> Iterator[None]:
    """Say what is going on inside, if the progress is a ``PhaseProgress``.

    Args:
        progress: of a ``Run``.
        what: a few words, such as "encoding 12,000 texts".
        more: details, such as settings.
    """
    shown = cast(PhaseProgress, progress) if hasattr(progress, "begin") else None
    if shown is not None:
        shown.begin(what, more)
    try:
        yield
    finally:
        if shown is not None:
            shown.end()
