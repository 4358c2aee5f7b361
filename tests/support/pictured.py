"""Images whose answers are known: one bright bar on dark ground, lying or standing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus_images.images import Images

SIDE = 12
SMALL: dict[str, Any] = {"code": 4, "hidden": 32, "filters": 8, "batch_size": 16, "learning_rate": 4e-3}


def bars(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """[count, 12, 12]; even rows lie, odd ones stand, two pixels thick, at places drawn by chance."""
    places = np.random.default_rng(seed).integers(0, SIDE - 1, count)
    drawn = np.full((count, SIDE, SIDE), 20, dtype=np.uint8)
    for row, place in enumerate(places):
        if row % 2:
            drawn[row, :, place : place + 2] = 230
        else:
            drawn[row, place : place + 2] = 230
    return drawn


def labelled(count: int, seed: int = 0) -> Images:
    """The same as records."""
    plain = Images.read(bars(count, seed))
    return Images(plain.pixels, plain.names, tuple(("lies", "stands")[row % 2] for row in range(count)))
