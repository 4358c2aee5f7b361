"""A fitted model inside an estimator, which scikit-learn's tools copy and move between processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.storage import LAYOUT


class PickledModel:
    """Is pickled as arrays and texts, never as a network, which is rebuilt from those on the CPU."""

    def __init__(self, model: VectorAutoencoder) -> None:
        self.model = model

    def __getstate__(self) -> dict[str, Any]:
        fitted = self.model.fitted
        return {
            "builder": fitted.builder,
            "settings": dict(fitted.settings),
            "facts": dict(fitted.facts),
            "tensors": {name: one.cpu().numpy() for name, one in LAYOUT.tensors(fitted).items()},
            "documents": LAYOUT.documents(fitted),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies, because arrays may arrive as read-only memory maps.
        tensors = {name: torch.from_numpy(np.array(one)) for name, one in state["tensors"].items()}
        fitted = LAYOUT.restore(state["builder"], state["settings"], state["facts"], tensors, state["documents"])
        self.model = VectorAutoencoder(fitted)
