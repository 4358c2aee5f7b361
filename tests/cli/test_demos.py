"""What all demos do: refuse beforehand, announce, and end well when they are interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from isthmus.cli import main
from isthmus.cli.demos import INTERRUPTED, demonstration
from isthmus.errors import InputError
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible

NAMES = ("interactions", "text", "images", "vectors")
BUNDLES = {"interactions": "books", "text": "sentences", "images": "images", "vectors": "vectors"}


class Model:
    """Something that was trained for an epoch, and may be saved."""

    def __init__(self, *, records: int = 1, interrupted: bool = False) -> None:
        self.history = History(records=[{"epoch": 1 + place} for place in range(records)], interrupted=interrupted)
        self.facts: dict[str, object] = {}

    def save(self, path: str | Path) -> None:
        """Leave a trace."""
        Path(path).mkdir()


def test_it_ends_well_when_nothing_comes_between(tmp_path: Path) -> None:
    with demonstration("isthmus demo", tmp_path / "b") as demo:
        assert demo.train(Model, 1).history.records
    assert (tmp_path / "b").is_dir()


def test_a_training_cut_short_is_saved_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        with demonstration("isthmus demo text", tmp_path / "b") as demo:
            demo.train(lambda: Model(interrupted=True), 3)
            raise AssertionError("goes on with half a model")

    with pytest.raises(typer.Exit) as left:
        run()
    assert left.value.exit_code == INTERRUPTED
    assert (tmp_path / "b").is_dir()
    said = capsys.readouterr().err
    assert "after 1 epoch (of 3)" in said
    assert said.rstrip().endswith("isthmus demo text")


def test_the_exit_status_tells_the_signal(tmp_path: Path) -> None:
    def stopped() -> Model:
        signal.raise_signal(signal.SIGTERM)
        return Model(interrupted=True)

    def run() -> None:
        with demonstration("isthmus demo", tmp_path / "b") as demo:
            demo.train(lambda: within(stopped))

    with pytest.raises(typer.Exit) as left:
        run()
    assert left.value.exit_code == 128 + signal.SIGTERM
    assert (tmp_path / "b").is_dir()


def within(fit: Callable[[], Model]) -> Model:
    """As every ``fit`` of the library does."""
    with interruptible():
        return fit()


def test_an_interruption_after_the_saving_leaves_the_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        with demonstration("isthmus demo", tmp_path / "b") as demo:
            demo.train(Model)
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit):
        run()
    assert f"isthmus info {tmp_path / 'b'}" in capsys.readouterr().err


def test_an_interruption_before_anything_was_done_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), demonstration("isthmus demo", tmp_path / "b") as demo:
        demo.train(lambda: Model(records=0, interrupted=True))
    assert not (tmp_path / "b").exists()


def test_what_is_replaced_is_told_beforehand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "p.png"
    picture.write_bytes(b"old")
    with demonstration("isthmus demo", tmp_path / "b", picture):
        assert "p.png exists and will be replaced" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_place_where_nothing_may_be_written_is_refused_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["demo", name]) == 2
    assert "nothing may be written" in capsys.readouterr().err
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    assert main(["demo", name, "--out", str(tmp_path / "file" / "b")]) == 2
    assert "is not a directory" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{BUNDLES[name]}.bundle").write_text("mine")
    assert main(["demo", name]) == 2
    assert "is not an isthmus bundle" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["file", f"{BUNDLES[name]}.bundle"])


@pytest.mark.parametrize("name", ["p.txt", "", "missing.png/p.jpg"])
def test_a_picture_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError), demonstration("isthmus demo", tmp_path / "b", tmp_path / name):
        pass
