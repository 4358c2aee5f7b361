"""Every vector is compared: in full, in half the bytes (fp16, bf16) or in a quarter of them (scalar quantisation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss

from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import Array, TransformedVectors
from isthmus.index.kinds import Structure


def metric(stored: TransformedVectors) -> int:
    """FAISS's number for the comparison."""
    return int(faiss.METRIC_L2 if stored.by_distance else faiss.METRIC_INNER_PRODUCT)


def learn(stored: TransformedVectors, settings: FaissSettings) -> Structure:
    """An empty structure: nothing here takes long to find."""
    return {}


def tuned(settings: FaissSettings) -> SearchSettings:
    """What the grid changes."""
    return SearchSettings(widen=settings.widen)


def grid(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """Codes need more candidates than answers."""
    return [[SearchSettings(widen=widen) for widen in (1, 2, 4)]]


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether the structure is empty.

    Args:
        structure: read from somewhere.
        finished: the vectors that lists and links are about.
        settings: of the index.
    """
    return not structure


def full(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Every number as float32.

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(stored.vectors)
    return index


def fp16(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Every number in half precision.

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    return _scalar(stored, faiss.ScalarQuantizer.QT_fp16)


def bf16(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Every number in half precision with the range of float32.

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    return _scalar(stored, faiss.ScalarQuantizer.QT_bf16)


def sq8(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """A byte a number, between the least and the greatest of its dimension (8-bit scalar quantisation).

    Args:
        stored: the vectors as they are stored.
        settings: of the index.
        structure: what ``learn`` found.

    Returns:
        FAISS's index.
    """
    return _scalar(stored, faiss.ScalarQuantizer.QT_8bit)


def parameters(settings: FaissSettings, candidates: int, options: dict[str, Any]) -> Any:
    """What FAISS is given for one search.

    Args:
        settings: of the index.
        candidates: how many each query is to find.
        options: keywords of FAISS's search parameters, such as a selector.

    Returns:
        FAISS's search parameters.
    """
    return faiss.SearchParameters(**options) if options else None


def _scalar(stored: TransformedVectors, coding: int) -> Any:
    index = faiss.IndexScalarQuantizer(stored.vectors.shape[1], coding, metric(stored))
    index.train(stored.vectors)
    index.add(stored.vectors)
    return index
