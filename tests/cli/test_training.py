"""The frame of every ``fit`` command: its shared options, what it saves and what it reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from isthmus.cli import dispatch
from isthmus.cli.training import Training, fit_command
from isthmus.errors import InputError, TrainingError
from isthmus.training.history import History

RECORD = {"epoch": 1, "loss": 2.0, "objective": -1.5, "seconds": 0.25}


@dataclass
class Saved:
    """Something that was fitted."""

    history: History
    facts: dict[str, object] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """A file with a word in it."""
        Path(path).write_text("saved")


def command(history: History) -> tuple[Callable[..., None], list[Training]]:
    """A fit command over ``history``, and what it is called with."""
    seen: list[Training] = []

    @fit_command
    def fit(file: str, training: Training, size: int = 3) -> None:
        """Fit."""
        seen.append(training)
        training.save(Saved(history))
        training.report(Saved(history), "plain", {"file": file, "size": size}, metrics=("objective", "nll"))

    return fit, seen


def test_options_of_the_command_and_shared_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit, seen = command(History([RECORD], "objective", 1))
    args = ["data", "--size", "4", "--epochs", "7", "--setting", "code=2", "--setting", "form=lstm"]
    args += ["--seed", "5", "--validation", "0.2"]
    assert dispatch.run(fit, "fit", [*args, "--out", str(tmp_path / "b"), "--device", "cpu", "--json"]) == 0
    (training,) = seen
    assert training.settings == {"code": 2, "form": "lstm", "epochs": 7}
    assert (training.run.seed, training.run.device, training.validation) == (5, "cpu", 0.2)
    assert json.loads(capsys.readouterr().out) == {
        "path": str(tmp_path / "b"),
        "model": "plain",
        "file": "data",
        "size": 4,
        "epochs": 1,
        "best_epoch": 1,
        "seconds": 0.2,
        "objective": -1.5,
        "interrupted": False,
        "warnings": [],
    }
    assert (tmp_path / "b").read_text() == "saved"


def test_mistakes_come_before_the_work(tmp_path: Path) -> None:
    fit, seen = command(History([RECORD]))
    (tmp_path / "taken").write_text("mine")
    for args in (["data"], ["data", "--out", str(tmp_path / "taken")], ["data", "--out", "b", "--precision", "fp8"]):
        with pytest.raises(InputError):
            dispatch.run(fit, "fit", args)
    assert not seen


def test_an_interrupted_training_saves_the_best_epoch_if_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit, _ = command(History([RECORD], interrupted=True))
    assert dispatch.run(fit, "fit", ["data", "--out", str(tmp_path / "b")]) == 0
    assert "after 1 epoch" in capsys.readouterr().err
    for nothing, error in (
        (History(interrupted=True), KeyboardInterrupt),
        (History(out_of_time=True), TrainingError),
    ):
        fit, _ = command(nothing)
        with pytest.raises(error):
            dispatch.run(fit, "fit", ["data", "--out", str(tmp_path / "c")])
        assert not (tmp_path / "c").exists()
