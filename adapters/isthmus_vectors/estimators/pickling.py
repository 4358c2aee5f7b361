"""A fitted model inside an estimator, which scikit-learn's tools copy and move between processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from isthmus_vectors import storage
from isthmus_vectors.autoencoder import VectorAutoencoder


class Kept:
    """Travels as arrays and texts, never as a network: what arrives is built anew, on the CPU, from those."""

    def __init__(self, model: VectorAutoencoder) -> None:
        self.model = model

    def __getstate__(self) -> dict[str, Any]:
        model = self.model
        return {
            "builder": model.builder,
            "settings": dict(model.settings),
            "facts": dict(model.facts),
            "tensors": {name: one.cpu().numpy() for name, one in storage.tensors_of(model).items()},
            "documents": storage.documents_of(model),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies, because arrays may arrive as read-only memory maps.
        tensors = {name: torch.from_numpy(np.array(one)) for name, one in state.pop("tensors").items()}
        self.model = VectorAutoencoder(**storage.fields_of(tensors=tensors, **state))
