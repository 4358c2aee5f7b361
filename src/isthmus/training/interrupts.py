"""Ctrl-C and SIGTERM while something is fitted: what has been learned is kept, and the rest is left out.

The first signal says on standard error what happens and ends the training between two steps; what comes after it is
left out. A second one gives up the step or the work in hand, and the best weights so far are still kept. A third one is
an exception wherever it comes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from isthmus.training.history import History

FIRST, SECOND, THIRD = 1, 2, 3

logger = logging.getLogger(__name__)


class StoppedError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came where there was nothing to keep, or came once too often.

    Attributes:
        status: the exit status of a program that it ends.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


class StopRequest:
    """Whether the user asked for an end, and what may be given up for it.

    Attributes:
        signals: how many came.
        number: of the last of them.
    """

    def __init__(self, limit: int = THIRD) -> None:
        self.signals, self.number = 0, int(signal.SIGINT)
        self._limit, self._waiting = limit, limit == FIRST
        self._told: list[Callable[[], str]] = []

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signals > 0

    @contextmanager
    def telling(self, kept: Callable[[], str]) -> Iterator[None]:
        """While inside, the first signal answers with this, such as "keeping the best model so far (epoch 5)"; of
        several, the outermost one answers, unless it has nothing to say."""
        self._told.append(kept)
        try:
            yield
        finally:
            self._told.pop()

    def attempt(self, work: Callable[[], object]) -> bool:
        """Do what ends by itself after the first signal and is given up at the second one; false where it was."""
        return self._limited(work, SECOND)

    def optional(self, work: Callable[[], object]) -> bool:
        """Do what is left out after a signal, and given up when one comes; false where it was not done."""
        return self._limited(work, FIRST)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While inside, there is nothing to keep yet: the first signal is an exception."""
        before, self._limit = self._limit, FIRST
        try:
            self.check()
            yield
        finally:
            self._limit = before

    @contextmanager
    def held(self) -> Iterator[None]:
        """While inside, what is under way comes to its end, such as the step of an optimiser: a second signal waits."""
        before, self._limit = self._limit, THIRD
        try:
            yield
        finally:
            self._limit = before
        self.check()

    def nothing_is_lost(self) -> None:
        """What ``saving`` waits for has begun: from here on, signals wait until all is saved."""
        if self._waiting:
            self._waiting, self._limit = False, THIRD

    def check(self) -> None:
        """Raise where enough signals have come.

        Raises:
            StoppedError: they have.
        """
        if self.signals >= self._limit:
            raise StoppedError(self.number)

    def _limited(self, work: Callable[[], object], limit: int) -> bool:
        # Nothing of this stands in a finally clause: a signal would then get out of it.
        before = self._limit
        try:
            self._limit = limit
            self.check()
            work()
            self._limit = before
        except StoppedError:
            self._limit = before
            if self.signals >= THIRD:
                raise
            return False
        except BaseException:
            self._limit = before
            raise
        return True

    def answer(self, number: int, frame: FrameType | None) -> None:
        """A signal has come. What Python calls."""
        self.signals, self.number = self.signals + 1, number
        if self.signals == FIRST and not self._waiting:
            self._say_first()
        elif self.signals == SECOND and self._limit == THIRD:
            _say("still finishing; a third time gives up everything")
        self.check()

    def _say_first(self) -> None:
        kept = next(filter(None, (tell() for tell in self._told)), "")
        # What is given up at once needs no second signal.
        again = self._limit > FIRST and self.number == signal.SIGINT
        text = f"finishing: {kept}" if kept else "finishing"
        if kept or again:
            _say(text + ("; press again to stop without the rest" if again else ""))


_active: StopRequest | None = None

_USUAL: dict[int, tuple[Any, ...]] = {
    signal.SIGINT: (signal.default_int_handler, signal.SIG_DFL),
    signal.SIGTERM: (signal.SIG_DFL,),
}
"""Handlers that nobody has set, by signal."""


@contextmanager
def interruptible() -> Iterator[StopRequest]:
    """While inside, Ctrl-C and SIGTERM are answered by the ``StopRequest``; inside another one it is the same.

    Outside of the main thread signals cannot be caught, and there it is never set. A handler that somebody else has set
    for a signal stays. Afterwards the handlers are as they were.
    """
    with _scope(THIRD) as stop:
        yield stop


@contextmanager
def saving() -> Iterator[StopRequest]:
    """Around a ``fit`` and the ``save`` after it: a signal before the ``fit`` is an exception, as always; one between
    them waits until all is saved."""
    with _scope(FIRST) as stop:
        yield stop


@contextmanager
def _scope(limit: int) -> Iterator[StopRequest]:
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest(THIRD)
        return
    if _active is not None:
        _active.nothing_is_lost()
        yield _active
        return
    stop = StopRequest(limit)
    found = {number: signal.getsignal(number) for number in _USUAL}
    mine = [number for number, handler in found.items() if handler in _USUAL[number]]
    _active = stop
    try:
        for number in mine:
            signal.signal(number, stop.answer)
        yield stop
    finally:
        for number in mine:
            signal.signal(number, found[number])
        _active = None


def _after_fork() -> None:
    """A child that was forked inside a ``fit`` is not asked to end it: whoever forked it ends it by a signal."""
    global _active
    if _active is not None:
        for number, handler in _USUAL.items():
            if getattr(signal.getsignal(number), "__self__", None) is _active:
                signal.signal(number, handler[0])
        _active = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def warn_of_interruption(history: History, left_out: Sequence[str]) -> None:
    """Say what an interrupted ``fit`` returns.

    Args:
        history: of the training.
        left_out: what the model lacks.
    """
    when = f"after {history.done}" if history.records else "after a few steps: hardly anything is learned"
    kept = "" if history.best_epoch is None else f"; epoch {history.best_epoch} is kept"
    lacks = f"; the model has no {', no '.join(left_out)}" if left_out else ""
    logger.warning("interrupted %s", f"{when}{kept}{lacks}")


def _say(text: str) -> None:
    # Whoever pressed a key looks at the terminal, whatever becomes of the log. A write that was interrupted by the
    # signal may refuse a second one inside of it.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
