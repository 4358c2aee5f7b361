"""TextAutoencoder: small models on texts whose answers are known."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import BundleError, InputError, ModelQualityWarning, SettingError
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text import encode as encoding_module
from isthmus_text.storage import LAYOUT

WHO, DOES, WHAT = ("a cat", "the dog", "my bird"), ("sees", "eats", "has"), ("fish", "bread", "two eggs", "water")
TEXTS = [" ".join(words) for words in itertools.product(WHO, DOES, WHAT)] * 6
SMALL: dict[str, Any] = {"form": "lstm", "hidden": 48, "tokens": 256, "learning_rate": 1e-2, "dropout": 0.0}
RUN = Run(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def plain() -> TextAutoencoder:
    """A deterministic model that has learnt its texts by heart."""
    return TextAutoencoder.fit(
        TEXTS, tokenizer="word", variational=False, code=16, epochs=40, validation=0.1, run=RUN, **SMALL
    )


@pytest.fixture(scope="module")
def variational() -> TextAutoencoder:
    return TextAutoencoder.fit(TEXTS, code=4, epochs=4, scale=1.0, run=RUN, **SMALL)


@pytest.mark.slow
def test_texts_come_back_from_their_codes(plain: TextAutoencoder) -> None:
    distinct = sorted(set(TEXTS))
    back = plain.reconstruct(distinct)
    assert sum(map(str.__eq__, back, distinct)) > 30
    assert plain.reconstruct(distinct, strategy="greedy") == plain.reconstruct(distinct, strategy="greedy")


def test_codes_are_in_the_order_of_the_texts_whatever_the_batches(
    plain: TextAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [TEXTS[0], "", "the dog eats two eggs", TEXTS[5], "fish " * 50, "", "unheard of words"]
    alone = np.concatenate([plain.encode([text]) for text in texts])
    together = plain.encode(texts)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.array_equal(together, plain.encode(iter(texts)))
    monkeypatch.setattr(encoding_module, "CHUNK", 2)
    monkeypatch.setattr(encoding_module, "batch_tokens", lambda device: 5)
    np.testing.assert_allclose(plain.encode(texts), alone, atol=1e-5)


def test_codes_of_texts_in_a_file_or_a_table(plain: TextAutoencoder, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS[:5]) + "\n", encoding="utf-8")
    for given in (path, pa.table({"text": TEXTS[:5]}), tuple(TEXTS[:5]), np.array(TEXTS[:5])):
        assert np.array_equal(plain.encode(given), plain.encode(TEXTS[:5]))


def test_codes_in_a_file(plain: TextAutoencoder, tmp_path: Path) -> None:
    mapped = plain.encode(TEXTS, out=tmp_path / "codes.npy")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, plain.encode(TEXTS))
    assert np.array_equal(np.load(tmp_path / "codes.npy"), mapped)
    with pytest.raises(InputError, match="exists"):
        plain.encode(TEXTS, out=tmp_path / "codes.npy")


def test_nothing_half_written_is_left(plain: TextAutoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_module, "CHUNK", 2)
    calls = itertools.count()
    inner = encoding_module._encoded

    def failing(*args: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return inner(*args)

    monkeypatch.setattr(encoding_module, "_encoded", failing)
    with pytest.raises(KeyboardInterrupt):
        plain.encode(TEXTS, out=tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


def test_no_texts_have_no_codes(plain: TextAutoencoder) -> None:
    assert plain.encode([]).shape == (0, 16)
    assert plain.decode(np.zeros((0, 16), np.float32)) == []


def test_the_gallery_is_found_by_its_own_texts(plain: TextAutoencoder) -> None:
    for text in sorted(set(TEXTS))[::7]:
        (found,) = plain.search(text, 3)
        assert found[0].item == text
        assert found[0].score == pytest.approx(1, abs=1e-4)
        assert TEXTS[found[0].row] == text
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert [hits[0].item for hits in plain.search(TEXTS[:2], 2)] == TEXTS[:2]


def test_shuffled_words_are_anomalies(plain: TextAutoencoder) -> None:
    usual = sorted(set(TEXTS))
    shuffled = [" ".join(reversed(text.split())) for text in usual]
    assert plain.anomaly_scores(shuffled).min() > np.median(plain.anomaly_scores(usual))
    assert plain.is_anomaly(shuffled).mean() > 0.9
    assert plain.is_anomaly(usual).mean() < 0.3
    alone = np.concatenate([plain.anomaly_scores(text) for text in usual[:5]])
    np.testing.assert_allclose(plain.anomaly_scores(usual)[:5], alone, rtol=1e-4)


def test_samples_of_the_fitted_prior_are_like_the_texts(plain: TextAutoencoder) -> None:
    known = set(" ".join(TEXTS).split())
    drawn = plain.sample(20, seed=0, temperature=0.5)
    assert all(set(text.split()) <= known for text in drawn)
    assert len(set(drawn)) > 3


def test_validation_figures_are_in_the_history(variational: TextAutoencoder) -> None:
    last = variational.history.records[-1]
    assert last["objective"] == pytest.approx(-(last["held_out_nll"] + last["held_out_rate"]), abs=1e-3)
    assert last["held_out_rate"] > 4 * 0.9**2 / 2, "batch norm keeps the rate up"
    assert 0 < last["active_units"] <= 4
    assert last["of_texts"] == round(len(TEXTS) * 0.1)


def test_a_collapsed_posterior_is_reported() -> None:
    with pytest.warns(ModelQualityWarning) as said:
        model = TextAutoencoder.fit(
            TEXTS, collapse="none", annealing="none", beta=50.0, code=4, epochs=3, run=RUN, **SMALL
        )
    assert [str(one.message) for one in said] == model.facts["warnings"]
    assert "collapse" in model.facts["warnings"][0]
    assert "free_bits" in model.facts["warnings"][0]


def test_evaluation_agrees_with_its_parts(variational: TextAutoencoder, tmp_path: Path) -> None:
    texts = sorted(set(TEXTS))
    found = variational.evaluate(texts, samples=64)
    assert found.texts == len(texts)
    assert found.tokens == sum(map(len, variational.adapter.output.tokenizer.encode(texts)))
    assert found.perplexity == pytest.approx(np.exp((found.nll + found.rate) * found.texts / found.tokens))
    assert found.objective == pytest.approx(-(found.nll + found.rate), rel=1e-4)
    assert found.weighted_nll is not None
    assert found.weighted_nll < found.nll + found.rate
    assert found.weighted_perplexity is not None
    assert found.weighted_perplexity < found.perplexity
    assert found.exact == np.mean([a == b for a, b in zip(variational.reconstruct(texts), texts, strict=True)])
    assert found.standard_errors["exact"] == pytest.approx(np.sqrt(found.exact * (1 - found.exact) / (len(texts) - 1)))
    assert found.standard_errors.keys() == {"nll", "rate", "weighted_nll", "exact"}
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    assert variational.evaluate(str(tmp_path / "texts.txt"), samples=64) == found


def test_evaluation_of_a_deterministic_model(plain: TextAutoencoder) -> None:
    found = plain.evaluate(sorted(set(TEXTS)))
    assert (found.rate, found.active_units, found.mutual_information, found.weighted_nll) == (0, None, None, None)
    assert found.bleu > 80
    with pytest.raises(SettingError, match="posterior"):
        plain.evaluate(TEXTS[:4], samples=2)


def test_a_bundle_whose_gallery_lost_its_codes(variational: TextAutoencoder) -> None:
    kept = LAYOUT.gallery.documents(variational.gallery)
    with pytest.raises(BundleError, match="codes of shape"):
        LAYOUT.gallery.restore(kept, {})


def test_few_texts_are_enough() -> None:
    model = TextAutoencoder.fit(["one", "two", ""], code=2, epochs=2, run=RUN, **SMALL)
    assert model.history.metric is None
    assert len(model.reconstruct(["one"])) == 1
    with pytest.raises(SettingError, match="prior='fitted'"):
        model.sample(1)


def test_settings_that_cannot_be() -> None:
    for settings, said in [
        ({"model": "no-such"}, "no-such"),
        ({"code": 0}, "code"),
        ({"colour": 1}, "colour"),
        ({"validation": 0.7}, "validation"),
        ({"tokenizer": "no/such/file"}, "no file"),
        ({"max_length": 1}, "max_length"),
        ({"vocabulary": 10}, "size"),
    ]:
        with pytest.raises(InputError, match=said):
            TextAutoencoder.fit(TEXTS, **{"epochs": 1, "run": RUN, **settings})


def test_wrong_arguments(plain: TextAutoencoder) -> None:
    assert np.array_equal(plain.encode("a cat sees fish"), plain.encode(["a cat sees fish"]))
    with pytest.raises(InputError, match="shape"):
        plain.decode(np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match="NaN"):
        plain.decode(np.full((1, 16), np.nan, np.float32))
    with pytest.raises(SettingError, match="strategy"):
        plain.decode(np.zeros((1, 16), np.float32), strategy="wild")
    with pytest.raises(SettingError, match="prior"):
        plain.sample(1, prior="wild")
    with pytest.raises(SettingError, match="n is 0"):
        plain.sample(0)
    with pytest.raises(InputError, match="text 2 is a int"):
        plain.encode(iter(["a cat", 2]))  # type: ignore[list-item]
