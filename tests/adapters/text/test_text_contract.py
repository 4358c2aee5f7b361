"""TextAutoencoder keeps the contract of every domain."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np

from isthmus.testing.autoencoder import AutoencoderContract
from isthmus_text import TextAutoencoder

WHO, DOES, WHAT = ("a cat", "the dog", "my bird", "an owl"), ("sees", "eats", "has", "wants"), ("fish", "bread", "milk")
WHERE = ("here", "there", "at home", "in town")
TEXTS = [" ".join(words) for words in itertools.product(WHO, DOES, WHAT, WHERE)]


class TestTexts(AutoencoderContract):
    face = TextAutoencoder
    settings: ClassVar[dict[str, Any]] = {"code": 8, "hidden": 24, "epochs": 4, "tokens": 128, "learning_rate": 1e-2}
    fit_options: ClassVar[dict[str, Any]] = {"tokenizer": "word"}

    def records(self, count: int, seed: int = 0) -> list[str]:
        order = np.random.default_rng(seed).permutation(len(TEXTS))
        return [TEXTS[row] for row in order[:count]]

    def foreign(self) -> Any:
        return ["a cat", 2]
