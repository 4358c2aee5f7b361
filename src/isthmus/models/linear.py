"""Linear models in closed form."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Generator

from isthmus.batch import Bag, Bags
from isthmus.core import linear
from isthmus.core.linear import LinearAutoencoder
from isthmus.errors import SettingError
from isthmus.models.settings import check_settings
from isthmus.protocols import Source
from isthmus.training.history import History
from isthmus.training.run import Run, Validation

LARGEST = 50_000
"""Items beyond which the dense width × width matrix is refused: 20 GB in float64 for its inverse alone."""


@dataclass(frozen=True)
class Solved:
    """A linear autoencoder and the regularisation that its weights are solved with."""

    model: LinearAutoencoder
    regularisation: float

    @property
    def chooses_epoch(self) -> bool:
        """There is none."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Solve for the weights on the CPU, then put the model on the run's device.

        Nothing is random, so that seed and precision change nothing, and Ctrl-C ends the program: there is nothing half
        done to keep.
        """
        started, device = time.perf_counter(), run.torch_device()
        run.progress.start(1, len(source), validation.name if validation else None)
        try:
            weights = linear.ease(_matrix(source, self.model.width), self.regularisation)
            self.model.weights.copy_(torch.from_numpy(weights))
            self.model.to(device).eval()
            history = History(metric=validation.name if validation else None)
            record: dict[str, float | int | str] = {"epoch": 1, "phase": "solve"}
            if validation:
                record[validation.name] = validation.score(self.model)
            record["seconds"] = time.perf_counter() - started
            history.take(record)
            run.progress.epoch(record)
        finally:
            run.progress.stop()
        return history


def ease(signal: Bag, *, generator: Generator, regularisation: float = 500.0) -> Solved:
    """EASE: a linear autoencoder with a zero diagonal, solved in closed form (Steck, WWW 2019).

    Memory grows with the square of the number of items: about 20 bytes each.

    Args:
        regularisation: λ; larger values trust frequent pairs of items more.
    """
    check_settings(regularisation=regularisation)
    if signal.width > LARGEST:
        raise SettingError(
            f"EASE over {signal.width:,} items needs about {20 * signal.width**2 / 1e9:,.0f} GB",
            expected=f"at most {LARGEST:,} items",
            remedy="use mult-vae or mult-dae, whose memory grows with the items and not with their square",
        )
    return Solved(LinearAutoencoder(signal.width), regularisation)


def _matrix(source: Source, width: int) -> csr_array:
    inputs = source.to(torch.device("cpu")).batch(torch.arange(len(source))).inputs
    if not isinstance(inputs, Bags):
        raise SettingError(f"EASE on {type(inputs).__name__}", expected="bags")
    parts = (inputs.weights.numpy(), inputs.indices.numpy(), inputs.offsets.numpy())
    return csr_array(parts, shape=(inputs.size, width), dtype=np.float32)
