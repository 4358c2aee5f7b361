"""A model that is worth nothing says so, and one that is worth something says nothing."""

import json
import warnings

import numpy as np
import pyarrow as pa
import pytest
import torch

from isthmus.cli import main
from isthmus.errors import ModelQualityWarning
from isthmus.fitted import quality
from isthmus_images import ImageAutoencoder
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.overview.held_out import findings
from isthmus_interactions.recommender import Recommender
from isthmus_text import TextAutoencoder
from isthmus_text.quality import _repetitive
from isthmus_vectors import Detector, VectorAutoencoder


def fit(face, *given, **settings):
    """A fitted model, and the texts of the warnings that were given."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = face.fit(*given, progress=False, **settings)
    texts = [str(one.message) for one in said if issubclass(one.category, ModelQualityWarning)]
    assert texts == made.facts["warnings"]
    return made, texts


@pytest.fixture(scope="module")
def rows():
    g = np.random.default_rng(0)
    return (g.normal(size=(400, 2)) @ g.normal(size=(2, 8)) + 0.1 * g.normal(size=(400, 8))).astype(np.float32)


def test_codes_that_are_all_the_same_are_found():
    assert "same code" in (quality.same_codes(torch.ones(5, 3)) or "")
    assert "same code" in (quality.same_codes(torch.zeros(5, 3)) or "")
    assert quality.same_codes(torch.eye(5)) is None
    assert quality.same_codes(torch.ones(1, 3)) is None


def test_a_reconstruction_is_compared_with_the_mean():
    assert "-50.0%" in (quality.unexplained(3.0, 2.0, "rows") or "")
    assert quality.unexplained(float("nan"), 2.0, "rows") is not None
    assert quality.unexplained(1.0, 2.0, "rows") is None
    assert quality.unexplained(0.0, 0.0, "rows") is None


@pytest.mark.slow
def test_vectors_that_were_hardly_trained_are_reported_and_a_trained_model_is_not(rows):
    _, said = fit(VectorAutoencoder, rows, epochs=1, learning_rate=1e-9, code=2)
    assert any("no better than their mean" in text for text in said)
    assert all("epochs" in text for text in said)
    assert fit(VectorAutoencoder, rows, epochs=60, learning_rate=1e-2, code=2)[1] == []


def test_a_collapsed_posterior_of_vectors_is_reported(rows):
    _, said = fit(VectorAutoencoder, rows, "variational", epochs=20, beta=1000.0, code=2)
    assert any("posterior has collapsed" in text or "same code" in text for text in said)


@pytest.mark.slow
def test_images_of_an_untrained_model_are_reported_and_those_of_a_trained_one_are_not():
    g = np.random.default_rng(0)
    place, ramp = g.random((300, 2, 1, 1)), np.linspace(0, 1, 8)
    images = np.exp(-20 * ((ramp[:, None] - place[:, 0]) ** 2 + (ramp - place[:, 1]) ** 2)).astype(np.float32)
    _, said = fit(ImageAutoencoder, images, epochs=1, learning_rate=1e-9, code=4)
    assert any("no better than their mean" in text for text in said)
    assert fit(ImageAutoencoder, images, epochs=40, learning_rate=3e-3, batch_size=32, code=4)[1] == []


def test_a_model_below_popularity_and_one_answer_for_all_are_reported():
    kept = {
        "metric": "ndcg@100",
        "users": 50,
        "model": {"mean": 0.20, "standard_error": 0.01},
        "popularity": {"mean": 0.21, "standard_error": 0.01},
        "difference": {"mean": -0.01, "standard_error": 0.004},
        "answered": 14,
        "answered_by_popularity": 14,
    }
    low, same = findings(kept, "mult_vae")
    assert "no better than recommending popular items: ndcg@100 0.2000 against 0.2100 on 50 held-out users" in low
    assert "the same items to all users" in same
    good = kept | {"difference": {"mean": 0.02, "standard_error": 0.004}, "answered": 200}
    assert findings(good, "mult_vae") == [None, None]
    assert findings(kept, "popularity") == findings(None, "ease") == []


def test_an_untrained_recommender_is_reported_and_a_solved_one_is_not():
    g = np.random.default_rng(0)
    pairs = [(user, int(i) + 20 * (user % 2)) for user in range(300) for i in g.choice(20, size=8, replace=False)]
    data = Interactions.read(pa.table({"user": [u for u, _ in pairs], "item": [i for _, i in pairs]}))
    _, said = fit(Recommender, data, "mult-vae", epochs=1, learning_rate=1e-9, validation=0.2)
    assert any("no better than recommending popular items" in text for text in said)
    assert fit(Recommender, data, "ease", validation=0.2)[1] == []


def test_texts_that_say_nothing_of_what_was_read_are_reported():
    words = [f"w{number}" for number in range(40)]
    g = np.random.default_rng(0)
    texts = [" ".join(g.choice(words, size=5)) for _ in range(200)]
    _, said = fit(TextAutoencoder, texts, "vanilla", epochs=1, learning_rate=1e-9, code=4, tokenizer="word")
    assert any("no more words in common" in text for text in said)


def test_repetition_is_found_by_the_share_of_distinct_words():
    meant = ["a b c d e", "f g h i j"]
    assert "again and again" in (_repetitive(["a a a a a a", "a a a a b a"], meant) or "")
    assert _repetitive(["a b c c d", "f g a i j"], meant) is None
    assert _repetitive(["a", "a"], meant) is None


def test_a_detector_of_rows_that_are_all_the_same_is_reported(rows):
    _, said = fit(Detector, np.ones((32, 3), dtype=np.float32), epochs=1)
    assert any("rows are the same" in text for text in said)
    assert fit(Detector, rows, epochs=2)[1] == []


def test_the_command_line_says_it_once_and_in_the_document(tmp_path, rows, capsys):
    np.save(tmp_path / "rows.npy", rows)
    call = ["fit", "vectors", str(tmp_path / "rows.npy"), "--out", str(tmp_path / "b"), "--epochs", "1"]
    assert main([*call, "--setting", "learning_rate=1e-9", "--json"]) == 0
    answer, said = capsys.readouterr()
    found = json.loads(answer)["warnings"]
    assert found
    assert said.count("warning: ") == len(found)
    assert "ModelQualityWarning" not in said
