"""Progress: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from isthmus.cli.progress import RichProgress
from isthmus.training.progress import Progress


def play(terminal: bool, first: int = 0, epochs: int = 40) -> str:
    stream = io.StringIO()
    progress = RichProgress(Console(file=stream, force_terminal=terminal, width=100, color_system=None))
    assert isinstance(progress, Progress)
    progress.start(epochs, 100, "ndcg@100", first)
    for epoch in range(first, epochs):
        progress.step(60, 5.0)
        progress.step(40, 4.0)
        progress.epoch({"epoch": epoch + 1, "loss": 4.0, "ndcg@100": epoch / 100})
    progress.stop()
    return stream.getvalue()


def test_plain_lines_every_few_epochs() -> None:
    lines = play(terminal=False).splitlines()
    assert lines[0] == "epoch 1/40, loss 4.0000, ndcg@100 0.0000"
    assert lines[-1] == "epoch 40/40, loss 4.0000, ndcg@100 0.3900"
    assert len(lines) == 11


def test_a_resumed_training_counts_on() -> None:
    assert play(terminal=False, first=38).splitlines() == ["epoch 40/40, loss 4.0000, ndcg@100 0.3900"]


def test_a_bar_on_a_terminal() -> None:
    shown = play(terminal=True)
    assert "epoch 40/40, loss 4.0000" in shown
    assert "left" in shown


def test_stop_before_start_is_harmless() -> None:
    RichProgress(Console(file=io.StringIO())).stop()
