"""Progress of the choice of an index, reported to an object that the caller passes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from isthmus.capabilities import missing_members
from isthmus.errors import SettingError


@runtime_checkable
class StepProgress(Protocol):
    """Called when a step begins and when it ends, such as ``isthmus.training.progress_display.ProgressBar``."""

    def begin(self, what: str, more: str = "") -> None:
        """A step begins, such as "trying hnsw (3 of 11)"; ``more`` are details."""
        ...

    def end(self) -> None:
        """The step that began last has ended."""
        ...


def check_progress(progress: StepProgress | None) -> None:
    """Refuse what cannot be called.

    Raises:
        SettingError: an object without ``begin`` or ``end``.
    """
    if progress is not None and missing_members(progress, StepProgress):
        raise SettingError(
            f"progress={progress!r}", expected="an object with begin and end, such as ProgressBar(), or None"
        )


@contextmanager
def step(progress: StepProgress | None, what: str) -> Iterator[None]:
    """Report what is done inside.

    Args:
        progress: receives the report; may be None.
        what: description of the step in a few words.
    """
    if progress is None:
        yield
        return
    progress.begin(what)
    try:
        yield
    finally:
        progress.end()
