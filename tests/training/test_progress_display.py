"""Progress: a bar on a terminal, lines of the log elsewhere."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from isthmus.training.progress import NoProgress, PhaseProgress, Progress, doing
from isthmus.training.progress_display import ProgressBar, ProgressLog, as_progress


class Clock:
    """Seconds that pass where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def play(progress: Progress, first: int = 0, epochs: int = 40, clock: Clock | None = None, seconds: float = 0) -> None:
    progress.start(epochs, 100, "ndcg@100", first)
    for epoch in range(first, epochs):
        progress.step(60, 5.0)
        progress.step(40, 4.0)
        if clock is not None:
            clock.now += seconds
        progress.epoch({"epoch": epoch + 1, "loss": 4.0, "ndcg@100": epoch / 100})
    progress.stop()


def test_the_first_and_the_last_epoch_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    play(ProgressLog(Clock()))
    assert caplog.messages == [
        "epoch 1/40, loss 4.0000, ndcg@100 0.0000",
        "epoch 40/40, loss 4.0000, ndcg@100 0.3900",
    ]


def test_between_them_every_half_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    clock = Clock()
    play(ProgressLog(clock), clock=clock, seconds=10.0)
    told = [int(line.split("/")[0].removeprefix("epoch ")) for line in caplog.messages]
    assert told == [1, *range(4, 40, 3), 40]


def test_a_long_epoch_is_told_of_before_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    clock = Clock()
    progress = ProgressLog(clock)
    progress.start(2, 100, None)
    for _ in range(3):
        clock.now += 20.0
        progress.step(25, 5.0)
    assert caplog.messages == ["epoch 1/2, loss 5.0000 (50% of it)"]


def test_an_epoch_that_patience_ended_on_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    progress = ProgressLog(Clock())
    progress.start(9, 10, None)
    for epoch in (1, 2, 3):
        progress.epoch({"epoch": epoch, "loss": 1.0})
    progress.stop()
    assert caplog.messages == ["epoch 1/9, loss 1.0000", "epoch 3/9, loss 1.0000"]


def test_a_resumed_training_counts_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    play(ProgressLog(Clock()), first=39)
    assert caplog.messages == ["epoch 40/40, loss 4.0000, ndcg@100 0.3900"]


def test_what_is_solved_at_once_has_no_number_of_epochs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "isthmus")
    progress = ProgressLog(Clock())
    with doing(progress, "trying ease", "regularisation 500"):
        progress.start(1, 100, "ndcg@100")
        progress.epoch({"epoch": 1, "phase": "solve", "ndcg@100": 0.25})
        progress.stop()
    assert caplog.messages == ["trying ease: regularisation 500", "trying ease: solve, ndcg@100 0.2500"]


def test_a_bar_on_a_terminal_tells_the_epoch_the_time_left_and_what_else_goes_on() -> None:
    stream = io.StringIO()
    progress = ProgressBar(Console(file=stream, force_terminal=True, width=100, color_system=None))
    play(progress)
    with doing(progress, "encoding 12,000 texts"):
        pass
    shown = stream.getvalue()
    assert "epoch 40/40, loss 4.0000, ndcg@100 0.3900" in shown
    assert "left" in shown
    assert "encoding 12,000 texts" in shown


def test_stop_and_end_before_a_beginning_are_harmless() -> None:
    progress = ProgressBar(Console(file=io.StringIO()))
    progress.stop()
    progress.end()


def test_progress_of_fit_is_shown_or_silent_or_given() -> None:
    assert isinstance(as_progress(True), PhaseProgress)
    assert isinstance(as_progress(False), NoProgress)
    mine = NoProgress()
    assert as_progress(mine) is mine


def test_one_who_does_not_ask_is_not_told_of_phases() -> None:
    with doing(NoProgress(), "encoding"):
        pass
