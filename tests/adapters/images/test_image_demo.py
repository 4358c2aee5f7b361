"""``isthmus demo images``, with a model that is trained for a moment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.cli import main
from isthmus.errors import SourceError
from isthmus_images import ImageAutoencoder
from isthmus_images.cli import demo
from isthmus_images.datasets import digits


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"noise": "gaussian", "code": 4, "hidden": 16, "filters": 4, "epochs": 1}
    data = demo.Data("Handwritten digits", digits("train"), digits("test"), small)
    monkeypatch.setattr(demo, "chosen", lambda: data)


def test_the_demo_trains_cleans_samples_and_draws(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "images", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["trained_on"], told["asked"]) == (1500, 297)
    assert all(np.isfinite(told[name]) for name in ("mse", "psnr", "noisy_psnr", "denoised_psnr"))
    page = np.array(Image.open(told["picture"]).convert("L"))
    assert page.shape[0] > 400
    assert 20 < page.mean() < 235
    assert ImageAutoencoder.load(told["path"]).encode(digits("test")).shape == (297, 4)


def test_the_page_names_what_to_do_next(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "images", "--out", "mine", "--picture", "my.png"]) == 0
    shown = capsys.readouterr().out
    assert "isthmus sample mine" in shown
    assert "look at my.png" in shown
    assert main(["demo", "images", "--out", "mine", "--picture", "my.txt"]) == 2
    assert main(["demo", "images", "--out", "my.png"]) == 2


def test_digits_where_there_are_no_clothes(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(part: str) -> None:
        raise SourceError("no data")

    monkeypatch.setattr(demo, "fashion_mnist", missing)
    assert demo.chosen().name == "Handwritten digits"


def test_one_of_each_label_comes_first() -> None:
    shown = demo.one_of_each(digits("test"), 12)
    assert shown.labels is not None
    assert shown.labels[:10] == tuple("0123456789")
    assert len(set(shown.names)) == 12
