"""What the parts of images.py share: which images, how much training, and how a line is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder
from isthmus_images.datasets import fashion_mnist

Line = dict[str, Any]
Work = Callable[[], Line]
SEED, HELD_OUT = 0, 6_000
CONV = {"batch_size": 128, "learning_rate": 2e-3}


class Data:
    """What is trained on, and what is asked: the test images, or training images that were held out."""

    def __init__(self, validate: bool, smoke: bool) -> None:
        train = fashion_mnist("train")
        rows = np.arange(len(train))
        self.smoke = smoke
        self.test = train.select(rows[-HELD_OUT:]) if validate else fashion_mnist("test")
        self.train = train.select(rows[:-HELD_OUT]) if validate else train
        if smoke:
            self.train, self.test = self.train.select(rows[:600]), self.test.select(rows[:200])


def run() -> Run:
    return Run(seed=SEED)


def trained(model: ImageAutoencoder) -> Line:
    return {"seconds": model.history.seconds, "best_epoch": model.history.best_epoch}
