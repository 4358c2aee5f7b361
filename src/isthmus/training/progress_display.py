"""Displays progress: a bar in a terminal or a notebook, and occasional log lines elsewhere.

This is the only module outside the command line that writes to the screen; ``progress=False`` silences it.
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

from isthmus.capabilities import missing_members
from isthmus.errors import SettingError
from isthmus.training.progress import NoProgress, Progress, Record

EVERY = 30.0
"""Minimum number of seconds between two log lines."""

REDRAWN = 0.5
"""Minimum number of seconds between two updates of the bar in a notebook."""

NOTEBOOK_WIDTH = 110

logger = logging.getLogger(__name__)


def as_progress(progress: Progress | bool) -> Progress:
    """The ``Progress`` for the argument ``progress=`` of ``fit``.

    Args:
        progress: True shows a bar in a terminal or a notebook and log lines elsewhere; False shows nothing; a
            ``Progress`` is used as it is.

    Returns:
        The progress.

    Raises:
        SettingError: any other value.
    """
    if progress is False:
        return NoProgress()
    if progress is True:
        console = Console(stderr=True)
        has_screen = console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)
        return ProgressBar() if has_screen else ProgressLog()
    if not missing_members(progress, Progress):
        return progress
    raise SettingError(f"progress={progress!r}", expected="True, False, or an object with start, step, epoch and stop")


class _Course:
    """The state of a training, and its description in words."""

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
        """A line such as "epoch 3/20, loss 2.1034, ndcg@100 0.4127"; models solved in one step have no number of
        epochs."""
        number = self.epoch + 1 if self.seen else self.epoch
        parts = [f"epoch {number}/{self.epochs}" if self.epochs > 1 and number else self.phase]
        parts += [f"loss {_short(self.loss)}"] if self.loss is not None else []
        parts += [f"{self.metric} {_short(self.score)}"] if self.score is not None else []
        return ", ".join(parts)


class ProgressBar:
    """A bar with loss, metric and remaining time on standard error, or below the cell of a notebook; it disappears at
    the end.

    Args:
        console: where to print; by default standard error.
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
        """Start a training of ``epochs`` epochs with ``rows`` rows each.

        Args:
            epochs: number of epochs.
            rows: number of rows per epoch.
            metric: name of the validation score; None without one.
            first_epoch: number of finished epochs after a resume.
        """
        self._course.start(epochs, rows, metric, first_epoch)
        self._training = True
        self._anew()

    def step(self, rows: int, loss: float) -> None:
        """Report that ``rows`` more rows were seen, with the mean loss of the epoch so far."""
        course = self._course
        course.step(rows, loss)
        self._draw(total=course.epochs * course.rows, completed=course.epoch * course.rows + course.seen)

    def epoch(self, record: Record) -> None:
        """Report the end of an epoch with its record in the history."""
        course = self._course
        course.take(record)
        self._draw(total=course.epochs * course.rows, completed=course.epoch * course.rows)

    def stop(self) -> None:
        """Report the end of the training."""
        self._training = False
        self._anew()

    def begin(self, what: str, more: str = "") -> None:
        """Report the start of other work; ``more`` is not shown."""
        self._begun.append(what)
        self._anew()

    def end(self) -> None:
        """Report the end of the work that started last."""
        if self._begun:
            self._begun.pop()
        self._anew()

    def _anew(self) -> None:
        """Reset the bar; without anything to show, there is no bar."""
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
    """Log lines: the start of work, the first and the last epoch, and one line every half minute between them.

    Args:
        clock: returns seconds, like ``time.monotonic``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._course, self._said, self._whole = clock, _Course(), 0.0, True
        self._first = 0
        self._begun: list[str] = []

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Log the start of a training.

        Args:
            epochs: number of epochs.
            rows: number of rows per epoch.
            metric: name of the validation score; None without one.
            first_epoch: number of finished epochs after a resume.
        """
        self._course.start(epochs, rows, metric, first_epoch)
        self._said, self._whole, self._first = self._clock(), True, first_epoch

    def step(self, rows: int, loss: float) -> None:
        """Report that ``rows`` more rows were seen."""
        course = self._course
        course.step(rows, loss)
        if self._clock() - self._said >= EVERY:
            self._say(f" ({course.seen / max(1, course.rows):.0%} of it)" if course.epochs > 1 else "")

    def epoch(self, record: Record) -> None:
        """Report the end of an epoch."""
        course = self._course
        course.take(record)
        self._whole = False
        if course.epoch in (self._first + 1, course.epochs) or self._clock() - self._said >= EVERY:
            self._say()

    def stop(self) -> None:
        """Log the last epoch at the end of the training, if it was not logged yet."""
        if not self._whole:
            self._say()

    def begin(self, what: str, more: str = "") -> None:
        """Log the start of other work."""
        self._begun.append(what)
        logger.info("%s", f"{what}: {more}" if more else what)

    def end(self) -> None:
        """Report the end of the work that started last."""
        if self._begun:
            self._begun.pop()

    def _say(self, more: str = "") -> None:
        self._said, self._whole = self._clock(), True
        logger.info("%s", ": ".join([*self._begun[-1:], self._course.line() + more]))


class _TimeColumn(ProgressColumn):
    """The remaining time if known, otherwise the elapsed time."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        if task.total is not None and task.time_remaining is not None:
            return Text(f"{_span(task.time_remaining)} left")
        return Text(_span(task.elapsed or 0.0))


class _NotebookCell:
    """A line of text below a cell that is updated in place, without widgets."""

    def __init__(self) -> None:
        self.console = Console(file=io.StringIO(), width=NOTEBOOK_WIDTH, force_jupyter=False, color_system=None)
        self._handle: Any = None
        self._drawn = 0.0

    def draw(self, bar: Bar, *, at_once: bool = False) -> None:
        """Show the bar, unless it was shown very recently."""
        now = time.monotonic()
        if not at_once and now - self._drawn < REDRAWN:
            return
        self._drawn = now
        with self.console.capture() as text:
            self.console.print(bar)
        self._put(text.get().rstrip())

    def clear(self) -> None:
        """Remove the bar from the terminal and leave its line free."""
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
