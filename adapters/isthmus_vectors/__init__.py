"""Vectors: autoencoders for tables, embeddings and sparse matrices.

::

    from isthmus_vectors import VectorAutoencoder

    model = VectorAutoencoder.fit("measurements.csv", code=8)
    codes = model.encode("new.csv")
    model.is_anomaly("new.csv"), model.sample(5)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_vectors.adapter import VectorAdapter
    from isthmus_vectors.autoencoder import VectorAutoencoder
    from isthmus_vectors.compressor import Compressor
    from isthmus_vectors.detection import Detector
    from isthmus_vectors.estimators import (
        Autoencoder,
        ContractiveAutoencoder,
        DenoisingAutoencoder,
        SparseAutoencoder,
        VariationalAutoencoder,
    )
    from isthmus_vectors.estimators.pyod import as_pyod
    from isthmus_vectors.evaluate import VectorEvaluation
    from isthmus_vectors.scaling import Scaling
    from isthmus_vectors.units.units import Units, sparse_units
    from isthmus_vectors.vectors import Vectors

__all__ = [
    "Autoencoder",
    "Compressor",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "Detector",
    "Scaling",
    "SparseAutoencoder",
    "Units",
    "VariationalAutoencoder",
    "VectorAdapter",
    "VectorAutoencoder",
    "VectorEvaluation",
    "Vectors",
    "as_pyod",
    "sparse_units",
]

_MODULES = {
    "Autoencoder": "estimators",
    "Compressor": "compressor",
    "ContractiveAutoencoder": "estimators",
    "DenoisingAutoencoder": "estimators",
    "Detector": "detection",
    "Scaling": "scaling",
    "SparseAutoencoder": "estimators",
    "Units": "units.units",
    "VariationalAutoencoder": "estimators",
    "VectorAdapter": "adapter",
    "VectorAutoencoder": "autoencoder",
    "VectorEvaluation": "evaluate",
    "Vectors": "vectors",
    "as_pyod": "estimators.pyod",
    "sparse_units": "units.units",
}


def __getattr__(name: str) -> Any:
    # The attributes are imported on first use, so that importing the package does not import torch, scikit-learn or
    # PyOD.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
