"""``isthmus demo vectors``, with short codes of few words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.cli import main
from isthmus.training.history import History
from isthmus_vectors.cli import demo
from isthmus_vectors.datasets import Words, demo_words, tumours
from isthmus_vectors.detection import Detector


def few() -> Words:
    whole = demo_words()
    chosen = [row for row, word in enumerate(whole.words) if row < 1500 or word in demo.SHOWN + demo.PICTURED]
    return Words(tuple(whole.words[row] for row in chosen), whole.vectors[chosen])


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "demo_words", few)
    monkeypatch.setattr(demo, "SIZES", (2, 4))
    monkeypatch.setattr(demo, "QUERIES", 50)
    monkeypatch.setattr(demo, "SETTINGS", {"epochs": 3})


@pytest.mark.slow
def test_the_demo_detects_compresses_and_draws(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "vectors", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found, words = told["tumours"], told["words"]
    assert (found["learned_from"], found["benign"], found["malignant"]) == (200, 157, 212)
    assert found["auroc"] > 0.9
    assert [line["bytes"] for line in words["recalls"]] == [2, 4]
    assert 0 < words["recalls"][0]["recall"] < words["recalls"][1]["recall"] < 1
    assert [one["word"] for one in words["neighbours"]] == list(demo.SHOWN)
    assert all(len(one["whole"]) == len(one["compressed"]) == demo.NEAREST for one in words["neighbours"])
    assert np.array(Image.open(told["picture"]).convert("L")).std() > 10
    data = tumours()
    assert Detector.load(told["path"]).anomaly_scores(data.rows).shape == (569,)


@pytest.mark.slow
def test_the_page_names_what_to_do_next(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "vectors", "--out", "mine", "--picture", "my.png"]) == 0
    shown = capsys.readouterr()
    assert "isthmus info mine" in shown.out
    assert "look at my.png" in shown.out
    assert demo.EXPECTED in shown.err
    assert main(["demo", "vectors", "--out", "mine", "--picture", "my.txt"]) == 2
    assert main(["demo", "vectors", "--out", "my.png"]) == 2


def test_ctrl_c_keeps_the_best_model(
    quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = History.from_json

    def stopped(document: dict) -> History:
        return read(document | {"interrupted": True})

    monkeypatch.setattr(History, "from_json", stopped)
    assert main(["demo", "vectors"]) == 130
    said = capsys.readouterr().err
    assert "cut short" in said
    assert said.rstrip().endswith("isthmus demo vectors")
    assert Detector.load("vectors.bundle").history.interrupted


def test_figures_that_are_worth_nothing_are_told() -> None:
    line = {"bytes": 5, "recall": 0.5, "product_quantisation_recall": 0.4}
    good = {"tumours": {"auroc": 0.9}, "words": {"recalls": [line]}}
    assert demo.faults(good) == []
    assert len(demo.faults(good | {"tumours": {"auroc": 0.5}})) == 1
    assert len(demo.faults(good | {"words": {"recalls": [line | {"recall": 0.3}]}})) == 1


def test_recall_counts_what_is_found() -> None:
    assert demo.recall(np.array([[1, 2], [3, 4]]), np.array([[2, 5], [4, 3]])) == 0.75
    vectors = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    assert demo.nearest(np.array([[1.0, 0.2]]), vectors, 2).tolist() == [[0, 2]]
