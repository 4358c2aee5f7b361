"""Inverted lists: only the vectors of the lists nearest to a query are compared (IVF; Jégou et al. 2011, "Product
quantization for nearest neighbor search", section IV, without the codes).

The quantiser that selects the lists uses the metric of the index: inner products or distances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from isthmus.index.faiss.flat import metric
from isthmus.index.faiss.parameters import NARROW, FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import Array, TransformedVectors
from isthmus.index.kinds import Structure, rising

POINTS, NARROW_POINTS = 64, 128
"""Training vectors per list; more hardly change the lists and take longer. Narrow vectors have fewer lists, and are
compared faster."""

PRODUCTS_FROM = 16
"""Queries from which a matrix product finds the nearest lists faster than one query after the other. FAISS 1.15 itself
takes products only from 128,000 numbers on, 4,000 queries of 32."""

_ALWAYS, _USUAL = 1, faiss.cvar.distance_compute_blas_threshold


@contextmanager
def products(queries: int) -> Iterator[None]:
    """Let FAISS compare this many queries with the centroids by a matrix product, if that is faster.

    The threshold belongs to the process and is set back afterwards, so that no other result of FAISS changes for good.
    If searches of several threads overlap, some of them may take the slower way.
    """
    if queries < PRODUCTS_FROM:
        yield
        return
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = _ALWAYS
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = _USUAL if before == _ALWAYS else before


def learn(stored: TransformedVectors, settings: FaissSettings) -> Structure:
    """The centroids of the lists, by k-means."""
    width = stored.vectors.shape[1]
    coarse = faiss.IndexFlat(width, metric(stored))
    index = faiss.IndexIVFFlat(coarse, width, settings.lists, metric(stored))
    points = NARROW_POINTS if width <= NARROW else POINTS
    index.cp.seed, index.cp.max_points_per_centroid = settings.seed, points
    index.cp.min_points_per_centroid = 1
    index.train(stored.vectors)
    return {"centroids": coarse.reconstruct_n(0, settings.lists)}


def defaults(rows: int, width: int, seed: int) -> FaissSettings:
    """The default settings of lists. Narrow vectors have half as many as others: comparing a query with the centroids
    takes as long as with the vectors of several lists.

    Args:
        rows: number of vectors.
        width: number of dimensions.
        seed: seed of k-means.
    """
    lists = max(1, int(2 * rows**0.5)) if width <= NARROW else None
    return FaissSettings.checked(rows, lists=lists, seed=seed)


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
    """Whether there is one numeric centroid for each list, and, if they are told, a list for each vector.

    Args:
        structure: structure read from a file.
        finished: the vectors of the lists or the graph.
        settings: settings of the index.
    """
    centroids, lists = structure.get("centroids"), structure.get("lists")
    if structure.keys() - {"centroids", "lists"} or centroids is None or centroids.dtype != np.float32:
        return False
    if lists is not None and not _are_lists(lists, len(finished), settings.lists):
        return False
    return centroids.shape == (settings.lists, finished.shape[1]) and bool(np.isfinite(centroids).all())


def _are_lists(numbers: npt.NDArray[np.generic], rows: int, lists: int) -> bool:
    if numbers.dtype != np.int32 or numbers.shape != (rows,):
        return False
    return bool(int(numbers.min()) >= 0 and int(numbers.max()) < lists)


def lists_of(index: Any, rows: int) -> npt.NDArray[np.int32]:
    """The list of each vector, so that a saved index is filled without comparing vectors and centroids again."""
    found = np.zeros(rows, np.int32)
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if size:
            found[faiss.rev_swig_ptr(index.invlists.get_ids(number), size)] = number
    return found


def coarse(stored: TransformedVectors, structure: Structure) -> Any:
    """The quantiser over given centroids, which FAISS does not train again."""
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(structure["centroids"])
    return index


def filled(index: Any, stored: TransformedVectors, lists: npt.NDArray[np.generic] | None = None) -> Any:
    """Train the remaining parts of the index and add all vectors, each to its list if ``lists`` tells it."""
    vectors = stored.vectors
    # Training codebooks of 16 entries needs at least 16 vectors; their values do not matter.
    index.train(vectors if len(vectors) >= ENTRIES else np.resize(vectors, (ENTRIES, vectors.shape[1])))
    if lists is None:
        index.add(vectors)
    else:
        numbers = lists.astype(np.int64)
        index.add_core(len(vectors), faiss.swig_ptr(vectors), None, faiss.swig_ptr(numbers))
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
    index = faiss.IndexIVFFlat(coarse(stored, structure), width, settings.lists, metric(stored))
    return filled(index, stored, structure.get("lists"))


def _scalar(
    stored: TransformedVectors, settings: FaissSettings, structure: Structure, *, coding: int, residuals: bool
) -> Any:
    """The same in fewer bytes.

    Args:
        stored, settings, structure: as for ``full``.
        coding: FAISS's number for the type of scalar quantisation.
        residuals: whether the difference between a vector and its centroid is stored.
    """
    width, compared = stored.vectors.shape[1], metric(stored)
    quantiser = coarse(stored, structure)
    index = faiss.IndexIVFScalarQuantizer(quantiser, width, settings.lists, coding, compared, residuals)
    return filled(index, stored, structure.get("lists"))


bf16 = partial(_scalar, coding=faiss.ScalarQuantizer.QT_bf16, residuals=False)
"""Inverted lists with two bytes per number, in the range of float32: half the memory is read for each list."""

sq8 = partial(_scalar, coding=faiss.ScalarQuantizer.QT_8bit, residuals=True)
"""Inverted lists with one byte per number, of the difference between a vector and its centroid."""


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
