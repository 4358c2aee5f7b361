"""A graph over the leading principal axes of the vectors.

Where most of what tells vectors apart lies along few directions, as with pictures, a walk that compares only these
visits the same neighbourhood in a fraction of the time. The few that it finds are weighed in full afterwards.
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
"""Of the variance that the axes must hold."""

SAVING = 0.75
"""A graph over the leading axes is built where these are at most this share of all."""

SAMPLE = 20_000
"""Vectors that the axes are found by, at most."""

MULTIPLE = 8
"""Of axes: as many numbers as a register holds."""


def axes(vectors: Array) -> Array:
    """The leading eigenvectors of the covariance, as columns: as few as hold ``SHARE`` of the variance."""
    some = vectors[:: max(1, len(vectors) // SAMPLE)].astype(np.float64)
    some -= some.mean(0)
    variances, directions = np.linalg.eigh(some.T @ some)
    shares = variances[::-1].clip(0).cumsum()
    enough = int(np.searchsorted(shares, SHARE * shares[-1])) + 1
    kept = min(vectors.shape[1], -(-enough // MULTIPLE) * MULTIPLE)
    return np.ascontiguousarray(directions[:, ::-1][:, :kept], dtype=np.float32)


def declines(exact: ExactSearcher) -> str | None:
    """Leading axes are of use where they are few."""
    return None if axes_needed(exact) <= SAVING * exact.width else "most axes are needed"


def tuned(settings: FaissSettings) -> SearchSettings:
    """What the grid changes."""
    return SearchSettings(breadth=settings.breadth, widen=settings.widen)


def grid(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """A walk keeps as many as it is asked for, so the narrowest is the cheapest for each number of candidates."""
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
    """The axes, and the links among what is left."""
    found = axes(stored.vectors)
    return {"axes": found, **hnsw.learn(_short(stored, found), settings)}


def make(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """The graph with the given links over the given axes.

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    return hnsw.make(_short(stored, np.asarray(structure["axes"], dtype=np.float32)), settings, structure)


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether there are axes, of numbers, for vectors of this width, and links that lead only to places that exist.

    Args:
        structure: read from somewhere.
        finished: the vectors that lists and links are about.
        settings: of the index.
    """
    found = structure.get("axes")
    if found is None or found.dtype != np.float32 or found.ndim != 2 or not np.isfinite(found).all():
        return False
    if found.shape[0] != finished.shape[1] or not 1 <= found.shape[1] <= found.shape[0]:
        return False
    return hnsw.fits({name: part for name, part in structure.items() if name != "axes"}, finished, settings)


def _short(stored: TransformedVectors, found: Array) -> TransformedVectors:
    return TransformedVectors(np.ascontiguousarray(stored.vectors @ found), stored.by_distance)
