"""Drawn data for smoke runs: the forms of the real sets, and nothing to be learnt of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isthmus_images.datasets import CLOTHES
from isthmus_images.images import Images


def drawn_images(part: str, count: int, side: int = 28) -> Images:
    """Grey images with the labels of Fashion-MNIST, a bright square each, the same at every call."""
    random = np.random.default_rng(len(part))
    pixels = random.integers(0, 60, (count, 1, side, side), dtype=np.uint8)
    labels = np.arange(count) % len(CLOTHES)
    for row, label in enumerate(labels):
        pixels[row, 0, 2 * label : 2 * label + 8, 4:20] += 120
    return Images(pixels, tuple(map(str, range(count))), tuple(CLOTHES[label] for label in labels))


def drawn_table(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Rows of three factors and some noise."""
    random = np.random.default_rng(0)
    made = random.standard_normal((rows, 3)) @ random.standard_normal((3, columns))
    return np.asarray(made + 0.1 * random.standard_normal((rows, columns)), dtype=np.float32)


def drawn_photographs(count: int, side: int = 64) -> list[npt.NDArray[np.uint8]]:
    """Grey images of smooth stripes, height × width."""
    steps = np.arange(side)
    return [(127 + 100 * np.sin((steps[:, None] * (n + 1) + steps) / 9)).astype(np.uint8) for n in range(count)]
