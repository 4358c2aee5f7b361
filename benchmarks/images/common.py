"""What the parts of images.py share: which images, how much training, and how a line is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.drawn import drawn_images
from benchmarks.harness import Line
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder
from isthmus_images.datasets import fashion_mnist

Work = Callable[[], Line]
SEED, HELD_OUT = 0, 6_000
CONV = {"batch_size": 128, "learning_rate": 2e-3}


class Data:
    """What is trained on, and what is asked: the test images, or training images that were held out."""

    def __init__(self, validate: bool, smoke: bool) -> None:
        self.smoke = smoke
        train, test = (drawn_images(part, 200) if smoke else fashion_mnist(part) for part in ("train", "test"))
        rows = np.arange(len(train))
        self.test = train.select(rows[-HELD_OUT:]) if validate else test
        self.train = train.select(rows[:-HELD_OUT]) if validate else train


def run_of() -> Run:
    return Run(seed=SEED)


def trained(model: ImageAutoencoder) -> Line:
    return {"seconds": model.history.seconds, "best_epoch": model.history.best_epoch}
