"""The verbs over images as a user meets them: documents, mistakes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictured import bars
from PIL import Image

from isthmus.cli import main
from isthmus.metrics.images import psnr
from isthmus.training import trainer
from isthmus_images import ImageAutoencoder, Images
from isthmus_images.denoising import noised

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--setting", "hidden=16", "--setting", "code=4", "--setting", "filters=4", "--epochs", "2", "--device", "cpu")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    for row, picture in enumerate(bars(60)):
        folder = tmp_path / "pictures" / ("lies", "stands")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{row:02d}.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    np.save(tmp_path / "arrays.npy", bars(5))

    def call(*args: object) -> tuple[int, str, str]:
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def fitted(run: Run) -> Run:
    assert run("fit", "images", "pictures", "--out", "m", *SMALL)[0] == 0
    return run


def document(answer: tuple[int, str, str]) -> Any:
    code, out, error = answer
    assert code == 0, error
    return json.loads(out)


def test_fit_tells_what_it_made(run: Run) -> None:
    Path("pictures/lies/broken.png").write_bytes(b"\x89PNG")
    code, out, error = run("fit", "images", "pictures", "--out", "m", *SMALL)
    assert (code, out) == (2, "")
    assert "broken.png" in error
    args = ("--skip-broken", "--size", "10x14", "--colour", "colour", "--model", "variational", "--json")
    told = document(run("fit", "images", "pictures", "--out", "m", *args, *SMALL))
    assert told["skipped"] == ["lies/broken.png"]
    assert (told["images"], told["height"], told["width"], told["channels"]) == (60, 10, 14, 3)
    assert told["epochs"] == 2
    assert told["objective"] == pytest.approx(-(told["held_out_nll"] + told["held_out_rate"]), rel=1e-4)


def test_codes_go_to_a_file_or_to_the_reader(fitted: Run) -> None:
    told = document(fitted("encode", "m", "pictures", "--out", "codes.npy", "--json"))
    codes = np.load("codes.npy")
    assert codes.shape == (60, 4)
    assert told["names"][:2] == ["lies/00.png", "lies/02.png"]
    shown = document(fitted("encode", "m", "pictures", "--json"))
    np.testing.assert_allclose(shown["codes"], codes, rtol=1e-6)
    np.testing.assert_allclose(codes, ImageAutoencoder.load("m").encode("pictures"))


def test_images_go_to_folders_sheets_and_arrays(fitted: Run) -> None:
    assert document(fitted("reconstruct", "m", "pictures", "--out", "back", "--json")) == {"images": 60, "path": "back"}
    assert Image.open("back/stands/01.png").size == (12, 12)
    assert document(fitted("denoise", "m", "arrays.npy", "--out", "clean.npy", "--json"))["images"] == 5
    assert np.load("clean.npy").shape == (5, 12, 12)
    assert document(fitted("sample", "m", "-n", "5", "--seed", "3", "--out", "new.npy", "--json"))["images"] == 5
    expected = ImageAutoencoder.load("m").sample(5, seed=3)
    np.testing.assert_array_equal(np.load("new.npy"), expected)
    ends = ("pictures/lies/00.png", "pictures/stands/01.png")
    assert document(fitted("interpolate", "m", *ends, "--steps", "4", "--out", "way.png", "--json"))["images"] == 4
    assert Image.open("way.png").size[0] > 12


def test_search_in_what_was_fitted_and_elsewhere(fitted: Run) -> None:
    found = document(fitted("search", "m", "pictures/lies/00.png", "-k", "60", "--json"))["found"]
    assert found[0]["score"] == pytest.approx(0, abs=1e-4)
    assert {one["label"] for one in found} == {"lies", "stands"}
    assert {"name", "row", "score", "label", "percentile"} == set(found[0])
    elsewhere = document(fitted("search", "m", "pictures/lies/00.png", "--in", "arrays.npy", "--json"))["found"]
    assert len(elsewhere) == 5


def test_anomalies_are_told_strangest_first(fitted: Run) -> None:
    odd = np.concatenate([bars(6), np.full((1, 12, 12), 255, np.uint8)])
    np.save("odd.npy", odd)
    told = document(fitted("anomalies", "m", "odd.npy", "--json"))
    scores = [one["score"] for one in told["found"]]
    assert scores == sorted(scores, reverse=True)
    assert told["found"][0]["name"] == "6"
    assert told["found"][0]["anomaly"]
    assert told["anomalies"] == sum(one["anomaly"] for one in told["found"])


def test_evaluation(fitted: Run) -> None:
    told = document(fitted("evaluate", "m", "pictures", "--noise", "0.2", "--json"))
    assert told["images"] == 60
    images = Images.read("pictures")
    expected = psnr(noised(images, 0.2, seed=0).array(), images.array()).mean()
    assert told["noisy_psnr"] == pytest.approx(expected, rel=1e-5)
    assert 13.9 < expected < 17, "-20 log 0.2 is 13.98, and cutting takes some of the noise away"


def test_people_see_tables(fitted: Run) -> None:
    for args in (
        ("search", "m", "pictures/lies/00.png"),
        ("anomalies", "m", "pictures"),
        ("evaluate", "m", "pictures"),
    ):
        code, out, _ = fitted(*args)
        assert code == 0
        assert len(out.splitlines()) > 2
    assert "in new.png" in fitted("sample", "m", "--out", "new.png")[1]
    assert "codes of 4 numbers" in fitted("encode", "m", "pictures", "--out", "c.npy")[1]


def complaints(run: Run, mistakes: dict[tuple[str, ...], str]) -> list[str]:
    """What is wrong with the answers: each mistake is one line, with status 2, that names what is wrong."""
    found = []
    for args, named in mistakes.items():
        code, out, error = run(*args)
        if (code, out, error.count("\n")) != (2, "", 1) or named not in error:
            found.append(f"{' '.join(args)}: {code} {error}")
    return found


def test_mistakes_before_training(run: Run) -> None:
    mistakes = {
        ("gone",): "gone",
        ("empty",): "empty",
        ("notes.txt",): "notes.txt",
        ("pictures", "--size", "big"): "--size",
        ("pictures", "--size", "0"): "size=0",
        ("pictures", "--colour", "red"): "colour='red'",
        ("pictures", "--model", "mult-vae"): "vanilla",
        ("pictures", "--setting", "code=0"): "code",
        ("pictures", "--size", "4"): "8 x 8",
        ("pictures", "--contamination", "2"): "contamination=2",
        ("arrays.npy", "--size", "20"): "12 x 12",
    }
    whole = {("fit", "images", *args, "--out", "m"): named for args, named in mistakes.items()}
    assert complaints(run, whole) == []
    assert not Path("m").exists()


def test_mistakes_when_asking(fitted: Run) -> None:
    np.save("wide.npy", np.zeros((2, 20, 20), np.uint8))
    mistakes = {
        ("encode", "m", "pictures"): "--out",
        ("encode", "m", "pictures", "--out", "notes.txt"): "exists",
        ("reconstruct", "m", "pictures", "--out", "empty"): "exists",
        ("sample", "m", "--out", "x.png", "--prior", "wild"): "prior",
        ("sample", "m", "--out", "x.png", "--prior", "standard"): "prior",
        ("search", "m", "gone.png"): "gone.png",
        ("search", "m", "pictures"): "60 images",
        ("anomalies", "m", "wide.npy"): "20 x 20",
        ("evaluate", "m", "pictures", "--samples", "5"): "posterior",
        ("recommend", "m"): "recommend",
    }
    assert complaints(fitted, mistakes) == []


@pytest.mark.parametrize("epoch", [1, 0])
def test_ctrl_c_keeps_the_best_model_so_far(run: Run, monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    name = {1: "_take", 0: "_pass"}[epoch]
    inner = getattr(trainer._Training, name)

    def interrupted(self: Any, *args: Any) -> Any:
        if self.latest.epoch == epoch:
            os.kill(os.getpid(), signal.SIGINT)
        return inner(self, *args)

    monkeypatch.setattr(trainer._Training, name, interrupted)
    small = [*SMALL[:-4], "--epochs", "50", "--device", "cpu"]
    code, out, error = run("fit", "images", "pictures", "--out", "m", "--json", *small)
    if epoch == 0:
        assert code == 130, "before the first step there is nothing to save"
        assert not Path("m").exists()
        return
    assert code == 0
    assert json.loads(out)["interrupted"]
    assert json.loads(out)["epochs"] < 50
    assert "the best model so far is saved" in error
    assert run("sample", "m", "--out", "new.png")[0] == 0


def test_without_the_extra_the_remedy_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in [name for name in sys.modules if name.startswith("isthmus_images")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, error = run("fit", "images", "pictures", "--out", "m")
    assert code == 2
    assert "isthmus[images]" in error
