"""The progress of a training: a bar with loss, metric and time left; plain lines where there is no terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus.cli.output import console as make_console
from isthmus.training.progress import Record

_LINES = 10


class RichProgress:
    """Shows training on standard error; a ``Progress`` for ``Run``.

    Args:
        console: where to; standard error if none is given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else make_console(stderr=True)
        text, left = TextColumn("{task.description}"), TextColumn("left")
        self._bar = Progress(text, BarColumn(), TimeRemainingColumn(), left, console=self._console, transient=True)
        self._task = self._bar.add_task("training", total=None)
        self._epochs, self._epoch, self._metric, self._score = 0, 0, "", ""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        """Training begins: a number of epochs of a number of rows each."""
        self._epochs, self._epoch, self._metric, self._score = epochs, first_epoch, metric or "", ""
        self._bar.reset(self._task, total=epochs * rows, completed=first_epoch * rows)
        if self._console.is_terminal:
            self._bar.start()

    def step(self, rows: int, loss: float) -> None:
        """So many more rows were seen; the mean loss of the epoch so far."""
        self._bar.update(self._task, advance=rows, description=self._line(self._epoch + 1, loss))

    def epoch(self, record: Record) -> None:
        """An epoch is done: its line of the history."""
        self._epoch += 1
        if self._metric in record:
            self._score = f", {self._metric} {_short(record[self._metric])}"
        every = max(1, self._epochs // _LINES)
        if not self._console.is_terminal and (self._epoch % every == 0 or self._epoch in (1, self._epochs)):
            self._console.print(self._line(self._epoch, record.get("loss")))

    def stop(self) -> None:
        """Training is over, finished or not."""
        if self._console.is_terminal:
            self._bar.stop()

    def _line(self, epoch: int, loss: float | int | str | None) -> str:
        shown = "" if loss is None else f", loss {_short(loss)}"
        return f"epoch {epoch}/{self._epochs}{shown}{self._score}"


def _short(value: float | int | str) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
