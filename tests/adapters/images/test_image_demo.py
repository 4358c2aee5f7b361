"""``isthmus demo images``, with a model that is trained for a moment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.cli import main
from isthmus_images import ImageAutoencoder
from isthmus_images.cli import demo
from isthmus_images.datasets import CLOTHES, demo_clothes
from isthmus_images.images import Images


def few(part: str) -> Images:
    """A picture of each label, thirty times or ten."""
    whole = demo_clothes(part)
    labels = np.array(whole.labels)
    count = {"train": 30, "test": 10}[part]
    return whole.select(np.concatenate([np.flatnonzero(labels == label)[:count] for label in CLOTHES]))


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"noise": "gaussian", "code": 4, "hidden": 16, "filters": 4, "epochs": 1, "likelihood": "bernoulli"}
    monkeypatch.setattr(demo, "SETTINGS", small)
    monkeypatch.setattr(demo, "demo_clothes", few)


def test_the_demo_trains_cleans_samples_and_draws(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "images", "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["trained_on"], told["held_out"], told["epochs"]) == (300, 100, 1)
    measured = ("mse", "psnr", "noisy_psnr", "denoised_psnr", "unexplained", "same_kind", "sample_distance")
    assert all(np.isfinite(told[name]) for name in measured)
    page = np.array(Image.open(told["picture"]).convert("L"))
    assert page.shape[0] > 400
    assert 20 < page.mean() < 235
    assert ImageAutoencoder.load(told["path"]).encode(few("test")).shape == (100, 4)
    assert captured.err.count("warning: ") == len(demo.faults(told)) > 0, "a moment's training is not enough"


def test_the_page_names_what_to_do_next(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "images", "--out", "mine", "--picture", "my.png"]) == 0
    shown = capsys.readouterr()
    assert "isthmus sample mine" in shown.out
    assert "look at my.png" in shown.out
    assert demo.EXPECTED in shown.err
    assert main(["demo", "images", "--out", "mine", "--picture", "my.txt"]) == 2
    assert main(["demo", "images", "--out", "my.png"]) == 2


def test_ctrl_c_keeps_the_best_model(
    quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ImageAutoencoder.history

    def stopped(self: ImageAutoencoder) -> object:
        return replace(whole.fget(self), interrupted=True)  # type: ignore[attr-defined]

    monkeypatch.setattr(ImageAutoencoder, "history", property(stopped))
    assert main(["demo", "images"]) == 130
    said = capsys.readouterr().err
    assert "after 1 epoch (of 1)" in said
    assert said.rstrip().endswith("isthmus demo images")
    assert ImageAutoencoder.load("images.bundle").code_width == 4


def test_figures_that_are_worth_nothing_are_told() -> None:
    good = {"noisy_psnr": 14.0, "denoised_psnr": 20.0, "unexplained": 0.2, "same_kind": 0.8, "sample_distance": 0.5}
    assert demo.faults(good) == []
    bad = {"denoised_psnr": 13.0, "unexplained": 0.9, "same_kind": 0.2, "sample_distance": 1.1}
    for name, value in bad.items():
        assert len(demo.faults(good | {name: value})) == 1


def test_noise_is_further_away_than_copies() -> None:
    train = few("train").array()
    noise = np.random.default_rng(0).random((20, 28, 28))
    assert demo.sample_distance(train[:20], train, 0) == pytest.approx(0, abs=1e-6)
    assert demo.sample_distance(noise, train, 0) > 1


def test_one_of_each_label_comes_first() -> None:
    shown = demo.one_of_each(demo_clothes("test"), 12)
    assert shown.labels is not None
    assert shown.labels[:10] == tuple(sorted(CLOTHES))
    assert len(set(shown.names)) == 12
