"""A graph of neighbours, walked from coarse to fine (HNSW, Malkov and Yashunin 2020).

A walk over inner products can strand, so the vectors are lifted, and the walk is one over distances. The graph is built
by one thread: several would draw its links in an order that changes from build to build.

Then the nodes are put where their neighbours are, group by group of a k-means, so that a walk stays in the memory that
it has just read. The links are the same ones; ``order`` tells which row lies where.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from isthmus.index.faiss.parameters import Settings
from isthmus.index.faiss.transforms import Array, Stored

Structure = Mapping[str, npt.NDArray[np.generic]]
Ints = npt.NDArray[np.int64]


def learn(stored: Stored, settings: Settings) -> Structure:
    """The links, and the order of the nodes."""
    index = faiss.IndexHNSWFlat(stored.vectors.shape[1], settings.links, faiss.METRIC_L2)
    index.hnsw.efConstruction = settings.building
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(stored.vectors)
    finally:
        faiss.omp_set_num_threads(before)
    order = placed(stored.vectors, settings.seed)
    index.permute_entries(order)
    return {
        "order": order.astype(np.int32),
        "levels": faiss.vector_to_array(index.hnsw.levels).astype(np.int32),
        "links": faiss.vector_to_array(index.hnsw.neighbors).astype(np.int32),
        "entry": np.array([index.hnsw.entry_point], dtype=np.int32),
    }


def placed(vectors: Array, seed: int) -> Ints:
    """The rows group by group, near groups one after the other."""
    rows, width = vectors.shape
    groups = max(1, min(GROUPS, rows // POINTS))
    means = faiss.Kmeans(width, groups, niter=ROUNDS, seed=seed, max_points_per_centroid=POINTS)
    means.train(vectors)
    centres = means.centroids.astype(np.float64)
    chain, left = [0], np.ones(groups, dtype=bool)
    left[0] = False
    while left.any():
        away = np.square(centres - centres[chain[-1]]).sum(1)
        chain.append(int(np.where(left, away, np.inf).argmin()))
        left[chain[-1]] = False
    place = np.empty(groups, dtype=np.int64)
    place[chain] = np.arange(groups)
    return np.argsort(place[means.index.search(vectors, 1)[1][:, 0]], kind="stable")


GROUPS, POINTS, ROUNDS = 256, 64, 8
"""Groups, training vectors for each, and rounds of k-means: no answer depends on how good they are."""


def make(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """The graph with the given links; nothing is searched for."""
    index = faiss.IndexHNSWFlat(stored.vectors.shape[1], settings.links, faiss.METRIC_L2)
    index.storage.add(stored.vectors[structure["order"].astype(np.int64)])
    index.ntotal = len(stored.vectors)
    levels = structure["levels"]
    faiss.copy_array_to_vector(np.ascontiguousarray(levels, dtype=np.int32), index.hnsw.levels)
    faiss.copy_array_to_vector(_offsets(levels, settings.links).astype(np.uint64), index.hnsw.offsets)
    faiss.copy_array_to_vector(np.ascontiguousarray(structure["links"], dtype=np.int32), index.hnsw.neighbors)
    index.hnsw.entry_point = int(structure["entry"][0])
    index.hnsw.max_level = int(levels.max()) - 1
    return index


def fits(structure: Structure, finished: Array, settings: Settings) -> bool:
    """Whether the links lead only to places that exist: FAISS follows them without looking."""
    rows, links = len(finished), settings.links
    if set(structure) != {"order", "levels", "links", "entry"} or any(
        part.dtype != np.int32 for part in structure.values()
    ):
        return False
    order, levels, ends, entry = (structure[name] for name in ("order", "levels", "links", "entry"))
    if order.shape != (rows,) or not np.array_equal(np.sort(order), np.arange(rows)):
        return False
    if levels.shape != (rows,) or entry.shape != (1,) or ends.ndim != 1:
        return False
    if not 1 <= int(levels.min()) <= int(levels.max()) <= DEEPEST or not 0 <= int(entry[0]) < rows:
        return False
    if levels[int(entry[0])] != levels.max():
        return False
    offsets = _offsets(levels, links)
    if len(ends) != int(offsets[-1]) or int(ends.min()) < -1 or int(ends.max()) >= rows:
        return False
    return all(_lead_somewhere(levels, ends, offsets, links, start) for start in range(0, rows, NODES))


DEEPEST = 32
"""Levels; a graph of 10⁹ nodes has about six with 32 links."""

NODES = 1 << 16
"""Nodes looked at together."""


def _lead_somewhere(levels: Any, ends: Any, offsets: Ints, links: int, start: int) -> bool:
    """Whether the links of some nodes lead, on each level, to nodes of that level."""
    offsets = offsets[start : start + NODES + 1]
    some = ends[offsets[0] : offsets[-1]]
    place = np.arange(offsets[0], offsets[-1]) - offsets[:-1].repeat(np.diff(offsets))
    level = np.maximum(place // links - 1, 0)
    return bool(((some < 0) | (levels[some] > level)).all())


def _offsets(levels: npt.NDArray[np.generic], links: int) -> Ints:
    """Where each node's links begin: twice as many on the lowest level as on each above."""
    sizes = (levels.astype(np.int64) + 1) * links
    return np.concatenate([np.zeros(1, dtype=np.int64), sizes.cumsum()])


def parameters(settings: Settings, candidates: int, options: dict[str, Any]) -> Any:
    """For one search; ``options`` may hold a selector."""
    return faiss.SearchParametersHNSW(efSearch=max(settings.breadth, candidates), **options)
