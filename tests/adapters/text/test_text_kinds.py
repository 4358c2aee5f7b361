"""The five kinds of autoencoder over texts."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import one_thread

from isthmus.core.bottlenecks.gaussian import BatchNormGaussian
from isthmus.errors import SettingError
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder

WHO, DOES, WHAT = ("a cat", "the dog"), ("sees", "eats", "has"), ("fish", "bread")
TEXTS = [" ".join(words) for words in itertools.product(WHO, DOES, WHAT)] * 6
SMALL: dict[str, Any] = {"hidden": 32, "code": 8, "heads": 2, "layers": 1, "tokens": 64, "learning_rate": 1e-2}
OWN: dict[str, dict[str, Any]] = {
    "vanilla": {"epochs": 25},
    "variational": {"epochs": 25, "beta": 0.2},
    "denoising": {"epochs": 25},
    "sparse": {"epochs": 25, "code": 48, "k": 6, "dead_after": 72},
    "contractive": {"epochs": 25, "weight": 0.001},
}
RUN = Run(device="cpu", precision="fp32")


@cache
def fitted(kind: str) -> TextAutoencoder:
    with one_thread():
        settings = {**SMALL, **OWN[kind]}
        return TextAutoencoder.fit(TEXTS, kind, tokenizer="word", validation=0.0, run=RUN, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_texts_come_back_from_their_codes(kind: str) -> None:
    distinct = sorted(set(TEXTS))
    back = fitted(kind).reconstruct(distinct, strategy="greedy")
    # A decoder that does not read the code would write one text for all twelve.
    assert sum(map(str.__eq__, back, distinct)) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    fitted(kind).save(tmp_path / "model")
    again = TextAutoencoder.load(tmp_path / "model")
    assert again.builder == kind
    assert np.array_equal(again.encode(TEXTS[:5]), fitted(kind).encode(TEXTS[:5]))


@pytest.mark.slow
def test_sparse_codes_of_texts_use_few_units() -> None:
    codes = fitted("sparse").encode(TEXTS[:12])
    assert codes.shape == (12, 48)
    assert (codes != 0).sum(1).max() <= 6


@pytest.mark.slow
def test_variational_texts_are_drawn_and_their_statistics_settle() -> None:
    model = fitted("variational")
    assert len(model.sample(3, prior="standard")) == 3
    bottleneck = model.model.bottleneck
    assert isinstance(bottleneck, BatchNormGaussian)
    # The running estimates are of the training texts as the finished network sees them.
    spread = (model.encode(TEXTS) - bottleneck.shift.detach().numpy()).std(0)
    np.testing.assert_allclose(spread, bottleneck.scale, rtol=0.02)


@pytest.mark.slow
def test_a_plain_model_cannot_be_drawn_from() -> None:
    with pytest.raises(SettingError, match="prior"):
        fitted("vanilla").sample(1, prior="standard")


def test_held_out_texts_choose_the_best_epoch() -> None:
    model = TextAutoencoder.fit(
        TEXTS, "contractive", tokenizer="word", validation=0.2, gallery=False, run=RUN, **{**SMALL, "epochs": 2}
    )
    assert model.history.best_epoch in (1, 2)
