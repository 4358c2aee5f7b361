"""The image face keeps what every face keeps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pictured import SIDE, SMALL

from isthmus.testing.autoencoder import AutoencoderContract
from isthmus_images import ImageAutoencoder


class TestImages(AutoencoderContract):
    face = ImageAutoencoder
    settings: ClassVar[dict[str, Any]] = {**SMALL, "epochs": 2}

    def records(self, count: int, seed: int = 0) -> Any:
        drawn = np.random.default_rng(seed).integers(0, 256, (100, SIDE, SIDE), dtype=np.uint8)
        return drawn[:count]

    def foreign(self) -> Any:
        return np.zeros((2, SIDE + 1, SIDE), dtype=np.uint8)
