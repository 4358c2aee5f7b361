"""Every vector is looked at: in full, in half the bytes or in a quarter of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from isthmus.index.faiss.parameters import Settings
from isthmus.index.faiss.transforms import Array, Stored

Structure = Mapping[str, npt.NDArray[np.generic]]


def metric(stored: Stored) -> int:
    """FAISS's number for the comparison."""
    return int(faiss.METRIC_L2 if stored.by_distance else faiss.METRIC_INNER_PRODUCT)


def learn(stored: Stored, settings: Settings) -> Structure:
    """Nothing takes long."""
    return {}


def fits(structure: Structure, finished: Array, settings: Settings) -> bool:
    """Nothing is stored."""
    return not structure


def full(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """float32."""
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(stored.vectors)
    return index


def fp16(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """Half precision."""
    return _scalar(stored, faiss.ScalarQuantizer.QT_fp16)


def bf16(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """Half precision with the range of float32."""
    return _scalar(stored, faiss.ScalarQuantizer.QT_bf16)


def sq8(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """A byte a number, between the least and the greatest of its dimension."""
    return _scalar(stored, faiss.ScalarQuantizer.QT_8bit)


def parameters(settings: Settings, candidates: int, options: dict[str, Any]) -> Any:
    """For one search; ``options`` may hold a selector."""
    return faiss.SearchParameters(**options) if options else None


def _scalar(stored: Stored, coding: int) -> Any:
    index = faiss.IndexScalarQuantizer(stored.vectors.shape[1], coding, metric(stored))
    index.train(stored.vectors)
    index.add(stored.vectors)
    return index
