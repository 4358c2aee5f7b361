"""How training reports its progress. The library never prints; the command line passes a progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

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
