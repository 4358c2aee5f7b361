"""Where progress is shown: a bar in a terminal or a notebook, a line of the log now and then elsewhere.

This is the one module outside of the command line that writes to the screen; ``progress=False`` keeps it silent.
"""

from __future__ import annotations

import importlib
import io
import logging
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from isthmus.errors import SettingError
from isthmus.training.progress import NoProgress, Progress, Record

EVERY = 30.0
"""Seconds between two lines of the log, at least."""

REDRAWN = 0.5
"""Seconds between two states of the bar in a notebook, at least."""

NOTEBOOK_WIDTH = 110

logger = logging.getLogger(__name__)


def as_progress(progress: Progress | bool) -> Progress:
    """What is called for ``progress=`` of a ``fit``.

    Args:
        progress: True shows a bar where there is a terminal or a notebook, and log lines elsewhere; False nothing; a
            ``Progress`` is taken as it is.

    Raises:
        SettingError: something else.
    """
    if progress is False:
        return NoProgress()
    if progress is True:
        console = Console(stderr=True)
        has_screen = console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)
        return ProgressBar() if has_screen else ProgressLog()
    if isinstance(progress, Progress):
        return progress
    raise SettingError(f"progress={progress!r}", expected="True, False, or an object with start, step, epoch and stop")


class _Course:
    """Where a training stands, and how that is said."""

    def __init__(self) -> None:
        self.epochs, self.rows, self.metric, self.epoch, self.seen = 0, 0, "", 0, 0
        self.loss: float | int | str | None = None
        self.score: float | int | str | None = None
        self.phase = "training"

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int) -> None:
        self.epochs, self.rows, self.metric, self.epoch, self.seen = epochs, rows, metric or "", first_epoch, 0
        self.loss, self.score, self.phase = None, None, "training"

    def step(self, rows: int, loss: float) -> None:
        self.seen, self.loss = self.seen + rows, loss

    def take(self, record: Record) -> None:
        self.epoch, self.seen = self.epoch + 1, 0
        self.loss, self.phase = record.get("loss"), str(record.get("phase") or self.phase)
        self.score = record.get(self.metric, self.score)

    def line(self) -> str:
        """Such as "epoch 3/20, loss 2.1034, ndcg@100 0.4127"; what is solved at once has no number of epochs."""
        number = self.epoch + 1 if self.seen else self.epoch
        parts = [f"epoch {number}/{self.epochs}" if self.epochs > 1 and number else self.phase]
        parts += [f"loss {_short(self.loss)}"] if self.loss is not None else []
        parts += [f"{self.metric} {_short(self.score)}"] if self.score is not None else []
        return ", ".join(parts)


class ProgressBar:
    """A bar with loss, metric and time left on standard error, or below the cell of a notebook; it goes when all is
    done.

    Args:
        console: where to; standard error if none is given.
    """

    def __init__(self, console: Console | None = None) -> None:
        screen = console if console is not None else Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._cell = _NotebookCell() if screen.is_jupyter else None
        text = TextColumn("{task.description}", markup=False)
        target = screen if self._cell is None else self._cell.console
        self._bar = Bar(
            text, BarColumn(30), _TimeColumn(), console=target, transient=True, auto_refresh=self._cell is None
        )
        self._task = self._bar.add_task("", total=None)
        self._course, self._training, self._begun = _Course(), False, list[str]()

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Training begins: so many epochs of so many rows each."""
        self._course.start(epochs, rows, metric, first_epoch)
        self._training = True
        self._anew()

    def step(self, rows: int, loss: float) -> None:
        """So many more rows were seen; the mean loss of the epoch so far."""
        course = self._course
        course.step(rows, loss)
        self._draw(total=course.epochs * course.rows, completed=course.epoch * course.rows + course.seen)

    def epoch(self, record: Record) -> None:
        """An epoch is done: its line of the history."""
        course = self._course
        course.take(record)
        self._draw(total=course.epochs * course.rows, completed=course.epoch * course.rows)

    def stop(self) -> None:
        """Training is over, finished or not."""
        self._training = False
        self._anew()

    def begin(self, what: str, more: str = "") -> None:
        """Something else begins; of ``more`` there is no room."""
        self._begun.append(what)
        self._anew()

    def end(self) -> None:
        """The phase that began last has ended."""
        if self._begun:
            self._begun.pop()
        self._anew()

    def _anew(self) -> None:
        """With nothing to count yet; without anything to show, no bar."""
        if not self._training and not self._begun:
            self._hide()
            return
        self._bar.reset(self._task, total=None, description=self._line())
        if self._cell is None:
            self._bar.start()
        else:
            self._cell.draw(self._bar, at_once=True)

    def _draw(self, total: int, completed: int) -> None:
        self._bar.update(self._task, total=total, completed=completed, description=self._line())
        if self._cell is not None:
            self._cell.draw(self._bar)

    def _hide(self) -> None:
        if self._cell is None:
            self._bar.stop()
        else:
            self._cell.clear()

    def _line(self) -> str:
        parts = self._begun[-1:]
        if self._training:
            parts.append(self._course.line())
        return ": ".join(parts)


class ProgressLog:
    """Lines of the log: what begins, the first epoch, the last, and between them one every half minute.

    Args:
        clock: seconds, as ``time.monotonic`` counts them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._course, self._said, self._whole = clock, _Course(), 0.0, True
        self._first = 0
        self._begun: list[str] = []

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Training begins: write the first line of the log."""
        self._course.start(epochs, rows, metric, first_epoch)
        self._said, self._whole, self._first = self._clock(), True, first_epoch

    def step(self, rows: int, loss: float) -> None:
        """So many more rows were seen."""
        course = self._course
        course.step(rows, loss)
        if self._clock() - self._said >= EVERY:
            self._say(f" ({course.seen / max(1, course.rows):.0%} of it)" if course.epochs > 1 else "")

    def epoch(self, record: Record) -> None:
        """An epoch is done."""
        course = self._course
        course.take(record)
        self._whole = False
        if course.epoch in (self._first + 1, course.epochs) or self._clock() - self._said >= EVERY:
            self._say()

    def stop(self) -> None:
        """Training is over: its last epoch, if that was not told."""
        if not self._whole:
            self._say()

    def begin(self, what: str, more: str = "") -> None:
        """A phase that is not training begins."""
        self._begun.append(what)
        logger.info("%s", f"{what}: {more}" if more else what)

    def end(self) -> None:
        """The phase that began last has ended."""
        if self._begun:
            self._begun.pop()

    def _say(self, more: str = "") -> None:
        self._said, self._whole = self._clock(), True
        logger.info("%s", ": ".join([*self._begun[-1:], self._course.line() + more]))


class _TimeColumn(ProgressColumn):
    """The time left where it can be told, and else the time spent."""

    def render(self, task: Task) -> Text:
        """One state."""
        if task.total is not None and task.time_remaining is not None:
            return Text(f"{_span(task.time_remaining)} left")
        return Text(_span(task.elapsed or 0.0))


class _NotebookCell:
    """A line of text below a cell that is replaced again and again; no widgets are needed."""

    def __init__(self) -> None:
        self.console = Console(file=io.StringIO(), width=NOTEBOOK_WIDTH, force_jupyter=False, color_system=None)
        self._handle: Any = None
        self._drawn = 0.0

    def draw(self, bar: Bar, *, at_once: bool = False) -> None:
        """Show the bar as it stands, unless that was just done."""
        now = time.monotonic()
        if not at_once and now - self._drawn < REDRAWN:
            return
        self._drawn = now
        with self.console.capture() as text:
            self.console.print(bar)
        self._put(text.get().rstrip())

    def clear(self) -> None:
        """Leave an empty line."""
        if self._handle is not None:
            self._put("")
            self._handle = None

    def _put(self, text: str) -> None:
        shown = {"text/plain": text}
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def _span(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _short(value: float | int | str) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
