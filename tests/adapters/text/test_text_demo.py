"""``isthmus demo text``, with a model that is trained for a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus_text import TextAutoencoder
from isthmus_text.cli import demo
from isthmus_text.datasets import demo_sentences

QUICK: dict[str, Any] = {**demo.SETTINGS, "epochs": 1, "hidden": 16, "code": 8, "tokens": 8192}


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SETTINGS", QUICK)
    monkeypatch.setattr(demo, "TRAINING_WORDS", (3, 5))
    monkeypatch.setattr(demo, "HELD_OUT_WORDS", (3, 3))


def test_the_demo_trains_reconstructs_interpolates_samples_and_searches(
    quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "text", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 <= told["bleu"] <= 100
    assert told["held_out"] == len(demo.short("test", (3, 3)))
    assert [len(told[name]) for name in ("reconstructions", "interpolated", "sampled")] == [demo.SHOWN, 6, 6]
    train = set(demo_sentences("train").texts)
    assert all(set(found["texts"]) <= train for found in told["found"])
    again = TextAutoencoder.load(told["path"])
    pair = told["reconstructions"][0]
    assert again.reconstruct([pair["text"]], strategy="greedy") == [pair["reconstruction"]]


def test_the_page_names_what_to_do_next(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "text", "--out", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "isthmus search mine" in shown
    assert "nearest to" in shown
    assert main(["demo", "text", "--out", "mine/manifest.json"]) == 2
