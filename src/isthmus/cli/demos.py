"""What all demos do: what is said before the work begins, and an end that shows what there is when they are cut short.

with demonstration("isthmus demo text", out) as demo:
    demo.announce("12,000 sentences", "about two minutes on two cores")
    demo.keep(TextAutoencoder.fit(...))
    emit(...)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from isthmus import bundle
from isthmus.cli.output import status
from isthmus.cli.training import Trained
from isthmus.errors import InputError

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
        cut_short: whether training was interrupted.
    """

    command: str
    out: Path
    started: float = field(default_factory=time.perf_counter)
    saved: bool = False
    cut_short: bool = False

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return round(time.perf_counter() - self.started, 1)

    def announce(self, data: str, expected: str) -> None:
        """Say what is trained on and how long it takes, before it does."""
        status(f"{data}; takes {expected}")

    def keep(self, model: Trained, epochs: int | None = None) -> None:
        """Save what was trained. What was trained until an interruption is saved, too, and shown.

        Args:
            model: what was trained.
            epochs: how many were planned, for the remark; None leaves them out.

        Raises:
            KeyboardInterrupt: nothing was done yet when training was interrupted.
        """
        history = model.history
        if history.interrupted and not history.records:
            raise KeyboardInterrupt
        model.save(self.out)
        self.saved, self.cut_short = True, history.interrupted
        if history.interrupted:
            after = "" if epochs is None else f" after epoch {len(history.records)} of {epochs}"
            status(
                f"training was cut short{after}; the best model so far is saved to {self.out}, and this is what it does"
            )


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
    except KeyboardInterrupt:
        if not demo.saved:
            raise
        demo.cut_short = True
    if demo.cut_short:
        status(f"cut short: {out} holds the model as it was saved; to see it all: {command}")
        raise typer.Exit(INTERRUPTED)


def check_picture(path: Path) -> None:
    """Ask before long work whether a picture could be written there.

    Raises:
        InputError: a directory, a name that does not end in .png, or a directory above it in which nothing may be
            written.
    """
    if path.is_dir() or path.suffix.lower() != ".png":
        raise InputError(f"a picture {str(path)!r}", expected="the name of a file that ends in .png")
    bundle.check_writable(path)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
