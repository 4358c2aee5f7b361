"""The model that ``fit`` takes by default, and what ``search`` compares."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import isthmus
from isthmus.errors import SettingError
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.fit import chosen_model

WHO, DOES, WHAT = ("a cat", "the dog", "my bird"), ("sees", "eats", "has"), ("fish", "bread", "two eggs", "water")
TEXTS = [" ".join(words) for words in itertools.product(WHO, DOES, WHAT)] * 3
RUN = Run(device="cpu", precision="fp32")
SMALL: dict[str, Any] = {"hidden": 16, "code": 8, "tokens": 256, "epochs": 2, "run": RUN, "vocabulary": 300}


@pytest.fixture(scope="module")
def drawing() -> TextAutoencoder:
    return TextAutoencoder.fit(TEXTS, "sequence-vae", form="lstm", **SMALL)


def test_the_default_writes_back_and_settings_of_the_other_choose_it() -> None:
    assert chosen_model("auto", {}) == "sequence-autoencoder"
    assert chosen_model("auto", {"code": 4, "epochs": 2}) == "sequence-autoencoder"
    assert chosen_model("auto", {"code": 4, "beta": 0.5}) == "sequence-vae"
    assert chosen_model("auto", {"variational": False}) == "sequence-vae"
    assert chosen_model("vanilla", {"beta": 0.5}) == "vanilla"
    with pytest.raises(SettingError, match="sequence-autoencoder has no setting 'colour'"):
        TextAutoencoder.fit(TEXTS, colour=1, **SMALL)


def test_few_texts_are_read_more_often_and_in_fewer_pieces() -> None:
    settings = {name: value for name, value in SMALL.items() if name not in ("epochs", "vocabulary")}
    model = TextAutoencoder.fit(TEXTS[:12], heads=2, validation=0.0, **settings)
    assert model.builder == "sequence_autoencoder"
    assert model.settings["epochs"] == 40
    assert TextAutoencoder.fit(TEXTS[:12], heads=2, validation=0.0, **SMALL).settings["epochs"] == 2


def test_search_compares_whitened_codes(drawing: TextAutoencoder) -> None:
    whitening = drawing.fitted.whitening
    assert whitening is not None
    (found,) = drawing.search("the dog eats fish", 5)
    assert found[0].item == "the dog eats fish"
    assert found[0].score == pytest.approx(1, abs=1e-4)
    keys = whitening(torch.from_numpy(drawing.encode(TEXTS)))
    asked = whitening(torch.from_numpy(drawing.encode("the dog eats fish")))
    cosines = torch.cosine_similarity(keys, asked)
    assert [hit.score for hit in found] == pytest.approx(cosines.sort(descending=True).values[:5].tolist(), abs=1e-4)
    assert abs(float(torch.cosine_similarity(keys, keys.roll(7, 0)).mean())) < 0.2, "random pairs are around 0"


def test_another_metric_compares_the_codes_themselves(drawing: TextAutoencoder) -> None:
    codes = drawing.encode(TEXTS)
    (found,) = drawing.search(TEXTS[0], 3, metric="l2")
    squared = np.sort(-((codes - codes[0]) ** 2).sum(1))[::-1]
    assert [hit.score for hit in found] == pytest.approx(squared[:3].tolist(), abs=1e-3)


def test_the_statistics_are_those_of_the_training_texts_also_after_loading(
    drawing: TextAutoencoder, tmp_path: Path
) -> None:
    drawing.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    few = TEXTS[3:5]
    first, second = (model.with_gallery(few).search(TEXTS[3], 2)[0] for model in (drawing, again))
    assert [hit.score for hit in first] == pytest.approx([hit.score for hit in second])
    assert torch.equal(again.fitted.whitening.matrix, drawing.fitted.whitening.matrix)


def test_codes_of_few_texts_are_compared_as_they_are() -> None:
    model = TextAutoencoder.fit(TEXTS[:20], "sequence-vae", form="lstm", validation=0.0, **SMALL)
    assert model.fitted.whitening is None
    assert model.search(TEXTS[0], 1)[0][0].score == pytest.approx(1, abs=1e-4)


def test_the_default_compares_whitened_words_in_any_order() -> None:
    texts = [f"{text} {more}" for text in sorted(set(TEXTS)) for more in ("today", "again", "at home")]
    model = TextAutoencoder.fit(texts, **SMALL)
    assert model.builder == "sequence_autoencoder"
    (found,) = model.search("fish eats dog the today", 200)
    assert found[0].item == "the dog eats fish today"
    assert found[0].score == pytest.approx(1, abs=1e-3)
    assert abs(np.mean(found.scores)) < 0.3
    assert min(found.scores) < 0
