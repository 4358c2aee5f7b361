"""Ctrl-C as a wish, not as an exception in the middle of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Wish:
    """Whether somebody asked to stop."""

    stop: bool = False


@contextmanager
def interruptible() -> Iterator[Wish]:
    """While inside, the first Ctrl-C sets ``stop``; a second one raises KeyboardInterrupt as usual.

    Outside the main thread signals cannot be caught: there the wish stays unset.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    previous = signal.getsignal(signal.SIGINT)

    def on_sigint(number: int, frame: FrameType | None) -> None:
        wish.stop = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_sigint)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, previous)
