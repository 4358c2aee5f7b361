"""Inverted lists: only the vectors of the lists nearest to a query are looked at.

The quantiser that finds the lists compares as the metric does: by products for products, by distances for distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from isthmus.index.faiss.flat import metric
from isthmus.index.faiss.parameters import Settings
from isthmus.index.faiss.transforms import Array, Stored

Structure = Mapping[str, npt.NDArray[np.generic]]

POINTS = 64
"""Training vectors a list; more change the lists little and take long."""


def learn(stored: Stored, settings: Settings) -> Structure:
    """The centroids of the lists, by k-means."""
    width = stored.vectors.shape[1]
    coarse = faiss.IndexFlat(width, metric(stored))
    index = faiss.IndexIVFFlat(coarse, width, settings.lists, metric(stored))
    index.cp.seed, index.cp.max_points_per_centroid = settings.seed, POINTS
    index.cp.min_points_per_centroid = 1
    index.train(stored.vectors)
    return {"centroids": coarse.reconstruct_n(0, settings.lists)}


def fits(structure: Structure, finished: Array, settings: Settings) -> bool:
    """Whether there are centroids, one for each list, of numbers."""
    centroids = structure.get("centroids")
    if set(structure) != {"centroids"} or centroids is None or centroids.dtype != np.float32:
        return False
    return centroids.shape == (settings.lists, finished.shape[1]) and bool(np.isfinite(centroids).all())


def coarse(stored: Stored, structure: Structure) -> Any:
    """The quantiser over finished centroids; FAISS does not learn them again."""
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(structure["centroids"])
    return index


def filled(index: Any, stored: Stored) -> Any:
    """Train what is left to train, and add everything."""
    vectors = stored.vectors
    # Codebooks of 16 entries want as many vectors, whatever they are.
    index.train(vectors if len(vectors) >= ENTRIES else np.resize(vectors, (ENTRIES, vectors.shape[1])))
    index.add(vectors)
    return index


ENTRIES = 16


def full(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """float32 in lists."""
    width = stored.vectors.shape[1]
    return filled(faiss.IndexIVFFlat(coarse(stored, structure), width, settings.lists, metric(stored)), stored)


def sq8(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """A byte a number in lists."""
    coding = faiss.ScalarQuantizer.QT_8bit
    width = stored.vectors.shape[1]
    quantiser = coarse(stored, structure)
    return filled(faiss.IndexIVFScalarQuantizer(quantiser, width, settings.lists, coding, metric(stored)), stored)


def parameters(settings: Settings, candidates: int, options: dict[str, Any]) -> Any:
    """For one search; ``options`` may hold a selector."""
    return faiss.SearchParametersIVF(nprobe=min(settings.probes, settings.lists), **options)
