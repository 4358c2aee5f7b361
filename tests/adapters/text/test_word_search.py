"""Search of texts whose codes hold words at their places: by the words, rare ones more than frequent ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.training.run import Run
from isthmus_text import TextAutoencoder

RUN = Run(device="cpu", precision="fp32")
RARE = ["kettle", "harbour", "violin", "glacier", "lantern", "meadow"]
TEXTS = [
    f"the man said that the {word} was {how} by the house" for word in RARE for how in ("new", "old", "gone", "here")
]
TEXTS += ["a violin stood in the corner of a room", "the man said that he was by the house", ""]


def fitted(**settings: Any) -> TextAutoencoder:
    small: dict[str, Any] = {"form": "superposed", "variational": False, "code": 32, "hidden": 32, "layers": 1}
    how = {"vocabulary": 400, "validation": 0.0, "epochs": 1, "heads": 2, "run": RUN}
    return TextAutoencoder.fit(TEXTS, **{**small, **how, **settings})


@pytest.fixture(scope="module")
def model() -> TextAutoencoder:
    return fitted()


def test_a_rare_word_decides_wherever_it_stands(model: TextAutoencoder) -> None:
    for word in RARE:
        (found,) = model.search(f"by the house the {word.title()}", 4)
        assert all(word in hit.item for hit in found)
    scores = model.search("Violin", 5)[0].scores
    assert scores == sorted(scores, reverse=True)
    assert -1.001 <= min(scores) <= max(scores) <= 1.001


def test_order_and_capitals_do_not_count(model: TextAutoencoder) -> None:
    (one,), (other,) = model.search("a violin in a room", 3), model.search("ROOM a in Violin a", 3)
    assert one[0].item == other[0].item == "a violin stood in the corner of a room"
    np.testing.assert_allclose(model.search([TEXTS[0], TEXTS[0].upper()], 1)[1][0].score, 1.0, atol=0.01)


def test_codes_are_compared_where_a_metric_is_named(model: TextAutoencoder) -> None:
    (found,) = model.search(TEXTS[5], 2, metric="cosine")
    codes = model.encode(TEXTS)
    lengths = np.linalg.norm(codes, axis=1)
    expected = codes @ codes[5] / (lengths * lengths[5])
    np.testing.assert_allclose(found.scores, np.sort(expected)[::-1][:2], atol=1e-4)


def test_other_texts_and_a_saved_model_are_searched_alike(model: TextAutoencoder, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    loaded = TextAutoencoder.load(tmp_path / "m")
    assert loaded.search("the glacier", 3)[0].items == model.search("the glacier", 3)[0].items
    others = model.with_gallery(["a glacier", "a lantern", "nothing of that sort"])
    assert others.search("lantern!", 1)[0].items == ["a lantern"]
    assert others.search([], 1).to_arrow().num_rows == 0
    assert len(model.with_gallery([]).search("a lantern")[0]) == 0


def test_a_tokenizer_of_words_keeps_its_capitals() -> None:
    words = fitted(tokenizer="word")
    assert "violin" in words.search("violin", 1)[0].items[0]


def test_other_models_are_searched_by_their_codes() -> None:
    plain = fitted(form="transformer")
    by_name = plain.search(TEXTS[:3], 5, metric="cosine").to_arrow()
    assert plain.search(TEXTS[:3], 5).to_arrow() == by_name
