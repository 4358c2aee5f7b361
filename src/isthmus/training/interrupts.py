"""Handling of Ctrl-C and SIGTERM during ``fit``: what was learned is kept, and the remaining work is skipped.

The first signal prints a message on standard error and ends the training after the current step; later work is skipped.
A second signal abandons the current step or work, and the best weights so far are still kept. A third one raises an
exception wherever it arrives.
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
    """Ctrl-C or SIGTERM when there was nothing to keep, or one signal too many.

    Attributes:
        status: exit status of a program that ends by it.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


class StopRequest:
    """Whether the user asked to stop, and what may be abandoned.

    Attributes:
        signals: number of signals.
        number: number of the last signal.
    """

    def __init__(self, limit: int = THIRD) -> None:
        self.signals, self.number = 0, int(signal.SIGINT)
        self._limit, self._waiting = limit, limit == FIRST
        self._agreed: Callable[[bool], bool] | None = None
        self._told: list[Callable[[], str]] = []

    @property
    def requested(self) -> bool:
        """Whether a signal arrived; for several processes, in any of them."""
        return self.signals > 0 if self._agreed is None else self._agreed(self.signals > 0)

    @contextmanager
    def jointly(self, agreed: Callable[[bool], bool]) -> Iterator[None]:
        """Inside this context several processes do the same work and wait for each other: no signal raises an
        exception, and before each step and each piece of work they decide together whether to do it.

        Args:
            agreed: whether something is true in any process; all processes call it at the same time.
        """
        before, self._agreed = self._agreed, agreed
        try:
            yield
        finally:
            self._agreed = before

    @contextmanager
    def telling(self, kept: Callable[[], str]) -> Iterator[None]:
        """Inside this context, the first signal prints this text, such as "keeping the best model so far (epoch 5)". If
        contexts are nested, the outermost non-empty text is used."""
        self._told.append(kept)
        try:
            yield
        finally:
            self._told.pop()

    def attempt(self, work: Callable[[], object]) -> bool:
        """Do work that ends by itself after the first signal and is abandoned at the second one; False if it was
        abandoned."""
        return self._limited(work, SECOND)

    def optional(self, work: Callable[[], object]) -> bool:
        """Do work that is skipped after a signal and abandoned when one arrives; False if it was not done."""
        return self._limited(work, FIRST)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside this context there is nothing to keep yet: the first signal raises an exception."""
        before, self._limit = self._limit, FIRST
        try:
            self.check()
            yield
        finally:
            self._limit = before

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside this context, work such as the step of an optimiser is completed: a second signal waits."""
        before, self._limit = self._limit, THIRD
        try:
            yield
        finally:
            self._limit = before
        self.check()

    def nothing_is_lost(self) -> None:
        """Tell ``saving`` that there is something to save: from here on, signals wait until it is saved."""
        if self._waiting:
            self._waiting, self._limit = False, THIRD

    def check(self) -> None:
        """Raise if enough signals have arrived.

        Raises:
            StoppedError: they have.
        """
        if self._agreed is None and self.signals >= self._limit:
            raise StoppedError(self.number)

    def _limited(self, work: Callable[[], object], limit: int) -> bool:
        if self._agreed is not None:
            if self._agreed(self.signals >= limit):
                return False
            work()
            return True
        # None of this is in a finally clause, from which a signal would escape.
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
        """The signal handler, called by Python."""
        self.signals, self.number = self.signals + 1, number
        if self.signals == FIRST and not self._waiting:
            self._say_first()
        elif self.signals == SECOND and self._limit == THIRD:
            _say("still finishing; a third signal aborts")
        self.check()

    def _say_first(self) -> None:
        kept = next(filter(None, (tell() for tell in self._told)), "")
        # Work that is abandoned at once needs no second signal.
        again = self._limit > FIRST and self.number == signal.SIGINT
        text = f"finishing: {kept}" if kept else "finishing"
        if kept or again:
            _say(text + ("; press again to skip the rest" if again else ""))


_active: StopRequest | None = None

_USUAL: dict[int, tuple[Any, ...]] = {
    signal.SIGINT: (signal.default_int_handler, signal.SIG_DFL),
    signal.SIGTERM: (signal.SIG_DFL,),
}
"""The default handlers, by signal."""


@contextmanager
def interruptible() -> Iterator[StopRequest]:
    """Inside this context, Ctrl-C and SIGTERM are handled by the ``StopRequest``; nested contexts share it.

    Outside the main thread signals cannot be caught, and it is never set. A signal handler that somebody else has
    installed is kept. Afterwards the previous handlers are restored.
    """
    with _scope(THIRD) as stop:
        yield stop


@contextmanager
def saving() -> Iterator[StopRequest]:
    """A context around ``fit`` and the following ``save``: a signal before ``fit`` raises an exception as usual; one
    between them waits until everything is saved."""
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
    """In a child that was forked inside a ``fit``, signals have their usual effect and do not end that ``fit``."""
    global _active
    if _active is not None:
        for number, handler in _USUAL.items():
            if getattr(signal.getsignal(number), "__self__", None) is _active:
                signal.signal(number, handler[0])
        _active = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def warn_of_interruption(history: History, left_out: Sequence[str]) -> None:
    """Warn about the result of an interrupted ``fit``.

    Args:
        history: history of the training.
        left_out: what the model does not have.
    """
    when = f"after {history.done}" if history.records else "after a few steps: hardly anything is learned"
    kept = "" if history.best_epoch is None else f"; epoch {history.best_epoch} is kept"
    lacks = f"; the model has no {', no '.join(left_out)}" if left_out else ""
    logger.warning("interrupted %s", f"{when}{kept}{lacks}")


def _say(text: str) -> None:
    # Print to the terminal, regardless of the log settings. A write that was interrupted by the signal may refuse a
    # second one inside it.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
