"""HNSW graph over the leading principal components of the vectors.

If a few directions hold most of the variance, as with images, a search that compares only these directions visits the
same neighbourhood in a fraction of the time. The scores of its candidates are computed in full afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import hnsw
from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import Array, TransformedVectors, VectorTransform, lift
from isthmus.index.kinds import Structure, rising

SHARE = 0.95
"""Share of the variance that the axes must explain."""

SAVING = 0.75
"""The graph is built if the number of leading axes is at most this share of all dimensions."""

SAMPLE = 20_000
"""Maximum number of vectors from which the axes are computed."""

MULTIPLE = 8
"""The number of axes is a multiple of this, the numbers that a register holds."""


def axes(vectors: Array) -> Array:
    """The leading eigenvectors of the covariance, as columns: as few as explain ``SHARE`` of the variance."""
    some = vectors[:: max(1, len(vectors) // SAMPLE)].astype(np.float64)
    some -= some.mean(0)
    variances, directions = np.linalg.eigh(some.T @ some)
    shares = variances[::-1].clip(0).cumsum()
    enough = int(np.searchsorted(shares, SHARE * shares[-1])) + 1
    kept = min(vectors.shape[1], -(-enough // MULTIPLE) * MULTIPLE)
    return np.ascontiguousarray(directions[:, ::-1][:, :kept], dtype=np.float32)


def declines(exact: ExactSearcher) -> str | None:
    """Declines vectors that need too many axes."""
    return None if axes_needed(exact) <= SAVING * exact.width else "most axes are needed"


def tuned(settings: FaissSettings) -> SearchSettings:
    """The search settings that the grid varies."""
    return SearchSettings(breadth=settings.breadth, widen=settings.widen)


def grid(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """The search keeps as many candidates as it returns, so the narrowest is the cheapest for each number of them."""
    return [
        [
            SearchSettings(breadth=breadth, widen=widen)
            for breadth in rising(hnsw.NARROWEST_WALK * widen, hnsw.BROADEST_WALK)
        ]
        for widen in (1, 2, 3, 4, 8)
    ]


def axes_needed(exact: ExactSearcher) -> int:
    """How many axes the vectors of a searcher need."""
    return int(axes(lift(VectorTransform(lifts=True), exact.compared, exact.metric == "l2").vectors).shape[1])


def learn(stored: TransformedVectors, settings: FaissSettings) -> Structure:
    """The axes, and the links of the graph over the projected vectors."""
    found = axes(stored.vectors)
    return {"axes": found, **hnsw.learn(_short(stored, found), settings)}


def make(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Create the graph from given axes and links.

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
    return hnsw.make(_short(stored, np.asarray(structure["axes"], dtype=np.float32)), settings, structure)


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether the axes are numeric and match the width of the vectors, and all links lead to existing nodes.

    Args:
        structure: structure read from a file.
        finished: the vectors of the lists or the graph.
        settings: settings of the index.
    """
    found = structure.get("axes")
    if found is None or found.dtype != np.float32 or found.ndim != 2 or not np.isfinite(found).all():
        return False
    if found.shape[0] != finished.shape[1] or not 1 <= found.shape[1] <= found.shape[0]:
        return False
    return hnsw.fits({name: part for name, part in structure.items() if name != "axes"}, finished, settings)


def _short(stored: TransformedVectors, found: Array) -> TransformedVectors:
    return TransformedVectors(np.ascontiguousarray(stored.vectors @ found), stored.by_distance)
