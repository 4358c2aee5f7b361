"""What all demos do: what is said before the work begins, and an end that shows what there is when they are cut short.

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
"""The exit status of a process that Ctrl-C ended."""


@dataclass
class Demonstration:
    """A demo while it runs.

    Attributes:
        command: what the user types to see it all.
        out: where the bundle goes.
        started: as ``time.perf_counter`` counts.
        saved: whether the bundle is there.
    """

    command: str
    out: Path
    started: float = field(default_factory=time.perf_counter)
    saved: bool = False

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return round(time.perf_counter() - self.started, 1)

    def announce(self, data: str, expected: str) -> None:
        """Say what is trained on and how long it takes, before it does."""
        status(f"{data}; takes {expected}")

    def train(self, fit: Callable[[], M], epochs: int | None = None) -> M:
        """Train and save. An interruption saves what was trained until then, and ends the demo.

        Args:
            fit: the training.
            epochs: how many were planned, for the remark; None leaves them out.

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
    """A demo that may be interrupted: what was saved stays, and the exit status tells.

    Args:
        command: what the user types to see it all.
        out: where the bundle goes; an older one is replaced, which is said.
        picture: where a picture goes, if there is one.

    Raises:
        InputError: ``out`` or ``picture`` cannot be written; nothing has been done then.
        KeyboardInterrupt: an interruption before anything was saved.
        typer.Exit: an interruption after that.
    """
    bundle.check_target(out)
    if picture is not None:
        check_picture(picture)
    for path in (out, picture):
        if path is not None and path.exists() and not _is_empty(path):
            status(f"{path} is there already and will be replaced")
    demo = Demonstration(command, out)
    try:
        yield demo
    except KeyboardInterrupt as stopped:
        if not demo.saved:
            raise
        status(f"the best model so far is saved to {out} (isthmus info {out}); to see it all: {command}")
        raise typer.Exit(getattr(stopped, "status", INTERRUPTED)) from None


def check_picture(path: Path) -> None:
    """Ask before long work whether a picture could be written there.

    Raises:
        InputError: a directory, a name that does not end in .png, or a directory above it in which nothing may be
            written.
    """
    if path.is_dir() or path.suffix.lower() != ".png":
        raise InputError(f"a picture {str(path)!r}", expected="the name of a file that ends in .png")
    check_writable(path)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
