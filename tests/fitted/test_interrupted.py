"""A signal after the training: what is learned from codes is left out, and the model is saved, loaded and asked."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.cli import dispatch
from isthmus.cli.app import main
from isthmus.cli.training import Training, fit_command
from isthmus.errors import InputError
from isthmus.training.progress import NoProgress, Progress
from isthmus_vectors import Detector, VectorAutoencoder

ROWS = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
SMALL: dict[str, Any] = {"code": 2, "hidden": 8, "epochs": 2, "batch_size": 32, "device": "cpu", "precision": "fp32"}


class Sending(NoProgress):
    """Sends signals when something of that name begins."""

    def __init__(self, at: str, number: int = signal.SIGINT, times: int = 1) -> None:
        self.at, self.number, self.times = at, number, times
        self.begun: list[str] = []

    def begin(self, what: str, more: str = "") -> None:
        self.begun.append(what)
        if self.at in what:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def end(self) -> None:
        pass


def fitted(progress: Progress) -> VectorAutoencoder:
    return VectorAutoencoder.fit(ROWS, progress=progress, **SMALL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_codes_it_is_saved_loaded_and_says_so(number: int, tmp_path: Path, capsys: Any) -> None:
    model = fitted(Sending("codes to search", number))
    assert model.history.interrupted
    assert len(model.history.records) == 2
    assert "finishing: keeping the trained model" in capsys.readouterr().err
    model.save(tmp_path / "m")
    loaded = VectorAutoencoder.load(tmp_path / "m")
    assert loaded.history.interrupted
    assert loaded.facts["left_out"] == ["codes to search among"]
    with pytest.raises(InputError, match="because fit was interrupted"):
        loaded.search(ROWS[:1])
    assert loaded.anomaly_scores(ROWS[:2]).shape == (2,)
    assert len(loaded.with_gallery(ROWS).search(ROWS[:1], 3)[0]) == 3


def test_what_everybody_needs_is_made_in_a_hurry(caplog: pytest.LogCaptureFixture) -> None:
    model = fitted(Sending("anomaly threshold"))
    assert model.anomaly_scores(ROWS[:2]).shape == (2,)
    assert len(model.sample(3, seed=0)) == 3
    assert model.facts["left_out"] == ["codes to search among"]
    assert any("interrupted" in line and "no codes to search among" in line for line in caplog.messages)


def test_a_second_signal_leaves_out_all_of_it() -> None:
    model = fitted(Sending("anomaly threshold", times=2))
    assert model.facts["left_out"] == ["anomaly threshold", "mixture to sample from", "codes to search among"]
    assert model.encode(ROWS[:2]).shape == (2, 2)


def test_phases_are_told_in_their_order() -> None:
    progress = Sending("nothing")
    model = fitted(progress)
    assert not model.history.interrupted
    assert "left_out" not in model.facts
    wanted = ["computing anomaly threshold", "computing mixture to sample from", "computing codes to search among"]
    assert [what for what in progress.begun if what in wanted] == wanted


def test_a_detector_compares_with_fewer_rows() -> None:
    detector = Detector.fit(ROWS, progress=Sending("comparing"), epochs=1)
    assert detector.history.interrupted
    assert detector.anomaly_scores(ROWS[:2]).shape == (2,)


def test_a_bundle_is_saved_and_the_exit_status_tells_of_sigterm(tmp_path: Path, capsys: Any) -> None:
    def command(number: int) -> Any:
        @fit_command
        def fit(training: Training) -> None:
            """Fit."""
            model = fitted(Sending("codes to search", number))
            training.save(model)
            training.report(model, "vanilla", {})

        return fit

    with pytest.raises(SystemExit) as ended:
        dispatch.run(command(signal.SIGTERM), "fit", ["--out", str(tmp_path / "t"), "--json"])
    assert ended.value.code == 143
    assert VectorAutoencoder.load(tmp_path / "t").history.interrupted
    assert json.loads(capsys.readouterr().out)["interrupted"]
    assert dispatch.run(command(signal.SIGINT), "fit", ["--out", str(tmp_path / "i")]) == 0
    assert main(["search", str(tmp_path / "i"), str(tmp_path / "none.csv")]) == 2
