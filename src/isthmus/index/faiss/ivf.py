"""Inverted lists: only the vectors of the lists nearest to a query are compared (IVF; Jégou et al. 2011, "Product
quantization for nearest neighbor search", section IV, without the codes).

The quantiser that finds the lists compares as the metric does: by products for products, by distances for distances.
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
"""Training vectors a list; more change the lists little and take long."""


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
    """What the grid changes."""
    return SearchSettings(probes=settings.probes, widen=settings.widen)


def grid(settings: FaissSettings, widths: Sequence[int] = (1,)) -> Sequence[Sequence[SearchSettings]]:
    """From one list to all of them, for each number of candidates an answer."""
    return [[SearchSettings(probes=probes, widen=widen) for probes in rising(1, settings.lists)] for widen in widths]


def grid_of_bytes(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """Two candidates for each answer, for vectors with a byte a number."""
    return grid(settings, (2,))


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether there are centroids, one for each list, of numbers.

    Args:
        structure: read from somewhere.
        finished: the vectors that lists and links are about.
        settings: of the index.
    """
    centroids = structure.get("centroids")
    if set(structure) != {"centroids"} or centroids is None or centroids.dtype != np.float32:
        return False
    return centroids.shape == (settings.lists, finished.shape[1]) and bool(np.isfinite(centroids).all())


def coarse(stored: TransformedVectors, structure: Structure) -> Any:
    """The quantiser over finished centroids; FAISS does not learn them again."""
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(structure["centroids"])
    return index


def filled(index: Any, stored: TransformedVectors) -> Any:
    """Train what is left to train, and add everything."""
    vectors = stored.vectors
    # Codebooks of 16 entries want as many vectors, whatever they are.
    index.train(vectors if len(vectors) >= ENTRIES else np.resize(vectors, (ENTRIES, vectors.shape[1])))
    index.add(vectors)
    return index


ENTRIES = 16


def full(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Every number as float32, in lists.

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    width = stored.vectors.shape[1]
    return filled(faiss.IndexIVFFlat(coarse(stored, structure), width, settings.lists, metric(stored)), stored)


def sq8(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """A byte a number, in lists.

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    coding = faiss.ScalarQuantizer.QT_8bit
    width = stored.vectors.shape[1]
    quantiser = coarse(stored, structure)
    return filled(faiss.IndexIVFScalarQuantizer(quantiser, width, settings.lists, coding, metric(stored)), stored)


def parameters(settings: FaissSettings, candidates: int, options: dict[str, Any]) -> Any:
    """What FAISS is given for one search.

    Args:
        settings: of the index.
        candidates: how many each query is to find.
        options: keywords of FAISS's search parameters, such as a selector.

    Returns:
        FAISS's search parameters.
    """
    return faiss.SearchParametersIVF(nprobe=min(settings.probes, settings.lists), **options)
