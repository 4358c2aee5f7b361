"""Common parts of all demos: the announcement, and what happens when a demo is interrupted.

with demonstration("isthmus demo text", out) as demo:
    demo.announce("12,000 sentences", "about two minutes on two cores")
    demo.keep(TextAutoencoder.fit(...))
    emit(...)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import typer

from isthmus import bundle
from isthmus.cli.output import status
from isthmus.cli.training import Trained
from isthmus.disk import check_writable
from isthmus.errors import InputError
from isthmus.training.interrupts import StoppedError, saving

M = TypeVar("M", bound=Trained)

INTERRUPTED = 130
"""Exit status of a process that was ended by Ctrl-C."""


@dataclass
class Demonstration:
    """A running demo.

    Attributes:
        command: the command that shows the complete demo.
        out: path of the bundle.
        started: start time on the clock of ``time.perf_counter``.
        saved: whether the bundle was saved.
    """

    command: str
    out: Path
    started: float = field(default_factory=time.perf_counter)
    saved: bool = False

    @property
    def seconds(self) -> float:
        """The elapsed time of the demo in seconds."""
        return round(time.perf_counter() - self.started, 1)

    def announce(self, data: str, expected: str) -> None:
        """Print the data and the expected duration before the work begins."""
        status(f"{data}; takes {expected}")

    def train(self, fit: Callable[[], M], epochs: int | None = None) -> M:
        """Train and save. An interruption saves the model so far and ends the demo.

        Args:
            fit: the training.
            epochs: planned number of epochs, for the message; None omits it.

        Returns:
            The trained model.

        Raises:
            StoppedError: training was interrupted.
        """
        with saving() as stop:
            model = fit()
            history = model.history
            if history.interrupted and not history.records:
                raise StoppedError(stop.number)
            model.save(self.out)
            self.saved = True
        if history.interrupted:
            after = "" if epochs is None else f" after {history.done} (of {epochs})"
            status(f"training was cut short{after}")
            raise StoppedError(stop.number)
        return model


@contextmanager
def demonstration(command: str, out: Path, picture: Path | None = None) -> Iterator[Demonstration]:
    """A context for a demo that may be interrupted: saved results are kept, and the exit status reports the
    interruption.

    Args:
        command: the command that shows the complete demo.
        out: path of the bundle; an older one is replaced, with a remark.
        picture: path of the picture, if there is one.

    Raises:
        InputError: ``out`` or ``picture`` cannot be written; nothing has been done yet.
        KeyboardInterrupt: an interruption before anything was saved.
        typer.Exit: an interruption after that.
    """
    bundle.check_target(out)
    if picture is not None:
        check_picture(picture)
    for path in (out, picture):
        if path is not None and path.exists() and not _is_empty(path):
            status(f"{path} exists and will be replaced")
    demo = Demonstration(command, out)
    try:
        yield demo
    except KeyboardInterrupt as stopped:
        if not demo.saved:
            raise
        status(f"the best model so far is saved to {out} (isthmus info {out}); for the complete demo: {command}")
        raise typer.Exit(getattr(stopped, "status", INTERRUPTED)) from None


def check_picture(path: Path) -> None:
    """Check before long work that a picture can be written.

    Raises:
        InputError: a directory, a name that does not end in .png, or a directory that is not writable.
    """
    if path.is_dir() or path.suffix.lower() != ".png":
        raise InputError(f"a picture {str(path)!r}", expected="the name of a file that ends in .png")
    check_writable(path)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
