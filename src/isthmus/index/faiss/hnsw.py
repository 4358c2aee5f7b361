"""A graph of neighbours, walked from coarse to fine (Malkov and Yashunin 2020, "Efficient and robust approximate
nearest neighbor search using hierarchical navigable small world graphs", algorithms 1 to 5).

A greedy walk over inner products can get stuck, so the vectors are lifted (``isthmus.index.vectors.lifted``) and
compared by distance. The graph is built by one thread, because several threads would add links in an order that changes
from build to build.

Afterwards the nodes are reordered by the clusters of a k-means, so that neighbours are close in memory and a walk stays
in the cache. The links stay the same; ``order`` maps positions to rows. The queries of a batch are walked in a similar
order, so that a walk finds in the cache what the one before it read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from isthmus.index.faiss.parameters import NARROW, FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import Array, TransformedVectors
from isthmus.index.kinds import Structure, rising

Ints = npt.NDArray[np.int64]


NARROWEST_WALK, BROADEST_WALK = 10, 2048


def learn(stored: TransformedVectors, settings: FaissSettings) -> Structure:
    """The links, and the order of the nodes."""
    index = faiss.IndexHNSWFlat(stored.vectors.shape[1], settings.links, faiss.METRIC_L2)
    index.hnsw.efConstruction = settings.building
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(stored.vectors)
    finally:
        faiss.omp_set_num_threads(before)
    order = spatial_order(stored.vectors, settings.seed)
    index.permute_entries(order)
    return {
        "order": order.astype(np.int32),
        "levels": faiss.vector_to_array(index.hnsw.levels).astype(np.int32),
        "links": faiss.vector_to_array(index.hnsw.neighbors).astype(np.int32),
        "entry": np.array([index.hnsw.entry_point], dtype=np.int32),
    }


def defaults(rows: int, width: int, seed: int) -> FaissSettings:
    """The default settings of a graph: half of the links for narrow vectors, built with a longer search.

    Args:
        rows: number of vectors.
        width: number of dimensions.
        seed: seed of the order of the nodes.
    """
    if width <= NARROW:
        return FaissSettings.checked(rows, seed=seed, links=16, building=200)
    return FaissSettings.checked(rows, seed=seed)


def tuned(settings: FaissSettings) -> SearchSettings:
    """The search settings that the grid varies."""
    return SearchSettings(breadth=settings.breadth)


def grid(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """Settings from a narrow search to a broad one."""
    return [[SearchSettings(breadth=breadth) for breadth in rising(NARROWEST_WALK, BROADEST_WALK)]]


def row_bytes(settings: FaissSettings) -> float:
    """Bytes per node: links on the lowest level, the node's level and its position."""
    return 4.0 * 2 * settings.links + 8


def spatial_order(vectors: Array, seed: int) -> Ints:
    """The rows ordered by cluster, with near clusters next to each other."""
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
"""Clusters, training vectors per cluster, and iterations of k-means; they affect speed, not results."""


LANDMARKS = 64
"""Nodes that stand for the regions of the graph."""

MANY_QUERIES, MANY_NODES = 128, 1 << 13
"""Smaller batches, and graphs that fit into the cache, gain nothing from an order of the queries."""


class QueryOrder:
    """An order of queries in which neighbours are together.

    Args:
        index: FAISS's graph, whose nodes are in a spatial order.
    """

    def __init__(self, index: Any) -> None:
        nodes = np.linspace(0, index.ntotal - 1, LANDMARKS).astype(np.int64)
        self._landmarks: Array = index.reconstruct_batch(nodes)
        self._half_squares = np.square(self._landmarks).sum(1) / 2

    def __call__(self, queries: Array) -> Ints:
        """The numbers of the queries, by the nearest landmark."""
        products = queries @ self._landmarks.T
        return np.argsort((products - self._half_squares).argmax(1), kind="stable")


def query_order(index: Any) -> QueryOrder | None:
    """The order for an index; None if it would gain nothing."""
    return QueryOrder(index) if index.ntotal >= MANY_NODES else None


def make(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Create the graph from given links, without searching for neighbours.

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
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


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether all links lead to existing nodes, which FAISS does not check.

    Args:
        structure: structure read from a file.
        finished: the vectors of the lists or the graph.
        settings: settings of the index.
    """
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
    return all(_links_are_valid(levels, ends, offsets, links, start) for start in range(0, rows, NODES))


DEEPEST = 32
"""Levels; a graph of 10⁹ nodes has about six with 32 links."""

NODES = 1 << 16
"""Nodes that are checked at a time."""


def _links_are_valid(levels: Any, ends: Any, offsets: Ints, links: int, start: int) -> bool:
    """Whether the links of some nodes lead, on each level, to nodes of that level."""
    offsets = offsets[start : start + NODES + 1]
    some = ends[offsets[0] : offsets[-1]]
    place = np.arange(offsets[0], offsets[-1]) - offsets[:-1].repeat(np.diff(offsets))
    level = np.maximum(place // links - 1, 0)
    return bool(((some < 0) | (levels[some] > level)).all())


def _offsets(levels: npt.NDArray[np.generic], links: int) -> Ints:
    """The offsets of each node's links: twice as many on the lowest level as on each level above."""
    sizes = (levels.astype(np.int64) + 1) * links
    return np.concatenate([np.zeros(1, dtype=np.int64), sizes.cumsum()])


def parameters(settings: FaissSettings, candidates: int, options: dict[str, Any]) -> Any:
    """FAISS's parameters for one search, which keeps at least as many candidates as it returns.

    Args:
        settings: settings of the index.
        candidates: number of candidates per query.
        options: further keywords for FAISS's search parameters, such as a selector.

    Returns:
        FAISS's search parameters.
    """
    return faiss.SearchParametersHNSW(efSearch=max(settings.breadth, candidates), **options)
