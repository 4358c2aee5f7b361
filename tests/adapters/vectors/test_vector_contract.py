"""VectorAutoencoder keeps the contract of every domain."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from isthmus.testing.autoencoder import AutoencoderContract
from isthmus_vectors import VectorAutoencoder


class TestVectors(AutoencoderContract):
    face = VectorAutoencoder
    settings: ClassVar[dict[str, Any]] = {"code": 3, "hidden": 16, "epochs": 2}

    def records(self, count: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(count, 6))

    def foreign(self) -> np.ndarray:
        return np.zeros((2, 7))
