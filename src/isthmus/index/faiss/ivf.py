"""Inverted lists: only the vectors of the lists nearest to a query are compared (IVF; Jégou et al. 2011, "Product
quantization for nearest neighbor search", section IV, without the codes).

The quantiser that selects the lists uses the metric of the index: inner products or distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from isthmus.index.faiss.flat import metric
from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import Array, TransformedVectors
from isthmus.index.kinds import Structure, rising

POINTS = 64
"""Training vectors per list; more hardly change the lists and take longer."""


def learn(stored: TransformedVectors, settings: FaissSettings) -> Structure:
    """The centroids of the lists, by k-means."""
    width = stored.vectors.shape[1]
    coarse = faiss.IndexFlat(width, metric(stored))
    index = faiss.IndexIVFFlat(coarse, width, settings.lists, metric(stored))
    index.cp.seed, index.cp.max_points_per_centroid = settings.seed, POINTS
    index.cp.min_points_per_centroid = 1
    index.train(stored.vectors)
    return {"centroids": coarse.reconstruct_n(0, settings.lists)}


def tuned(settings: FaissSettings) -> SearchSettings:
    """The search settings that the grid varies."""
    return SearchSettings(probes=settings.probes, widen=settings.widen)


def grid(settings: FaissSettings, widths: Sequence[int] = (1,)) -> Sequence[Sequence[SearchSettings]]:
    """Settings from one list to all of them, for each number of candidates per result."""
    return [[SearchSettings(probes=probes, widen=widen) for probes in rising(1, settings.lists)] for widen in widths]


def grid_of_bytes(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """Two candidates per result, for vectors with one byte per number."""
    return grid(settings, (2,))


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether there is one numeric centroid for each list.

    Args:
        structure: structure read from a file.
        finished: the vectors of the lists or the graph.
        settings: settings of the index.
    """
    centroids = structure.get("centroids")
    if set(structure) != {"centroids"} or centroids is None or centroids.dtype != np.float32:
        return False
    return centroids.shape == (settings.lists, finished.shape[1]) and bool(np.isfinite(centroids).all())


def coarse(stored: TransformedVectors, structure: Structure) -> Any:
    """The quantiser over given centroids, which FAISS does not train again."""
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(structure["centroids"])
    return index


def filled(index: Any, stored: TransformedVectors) -> Any:
    """Train the remaining parts of the index and add all vectors."""
    vectors = stored.vectors
    # Training codebooks of 16 entries needs at least 16 vectors; their values do not matter.
    index.train(vectors if len(vectors) >= ENTRIES else np.resize(vectors, (ENTRIES, vectors.shape[1])))
    index.add(vectors)
    return index


ENTRIES = 16


def full(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Inverted lists of float32 vectors.

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
    width = stored.vectors.shape[1]
    return filled(faiss.IndexIVFFlat(coarse(stored, structure), width, settings.lists, metric(stored)), stored)


def sq8(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Inverted lists with one byte per number.

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
    coding = faiss.ScalarQuantizer.QT_8bit
    width = stored.vectors.shape[1]
    quantiser = coarse(stored, structure)
    return filled(faiss.IndexIVFScalarQuantizer(quantiser, width, settings.lists, coding, metric(stored)), stored)


def parameters(settings: FaissSettings, candidates: int, options: dict[str, Any]) -> Any:
    """FAISS's parameters for one search.

    Args:
        settings: settings of the index.
        candidates: number of candidates per query.
        options: further keywords for FAISS's search parameters, such as a selector.

    Returns:
        FAISS's search parameters.
    """
    return faiss.SearchParametersIVF(nprobe=min(settings.probes, settings.lists), **options)
