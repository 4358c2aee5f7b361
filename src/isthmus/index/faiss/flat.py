"""Flat indexes, which compare every vector: in full, in half precision (fp16, bf16) or with scalar quantisation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import faiss

from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import Array, TransformedVectors
from isthmus.index.kinds import Structure


def metric(stored: TransformedVectors) -> int:
    """FAISS's number for the comparison."""
    return int(faiss.METRIC_L2 if stored.by_distance else faiss.METRIC_INNER_PRODUCT)


def learn(stored: TransformedVectors, settings: FaissSettings) -> Structure:
    """An empty structure: nothing here is expensive to build."""
    return {}


def tuned(settings: FaissSettings) -> SearchSettings:
    """The search settings that the grid varies."""
    return SearchSettings(widen=settings.widen)


def grid(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """Quantised codes need more candidates than results."""
    return [[SearchSettings(widen=widen) for widen in (1, 2, 4)]]


def fits(structure: Structure, finished: Array, settings: FaissSettings) -> bool:
    """Whether the structure is empty.

    Args:
        structure: structure read from a file.
        finished: the vectors of the lists or the graph.
        settings: settings of the index.
    """
    return not structure


def full(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Every number as float32.

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
    index = faiss.IndexFlat(stored.vectors.shape[1], metric(stored))
    index.add(stored.vectors)
    return index


def _scalar(stored: TransformedVectors, settings: FaissSettings, structure: Structure, *, coding: int) -> Any:
    """The same in fewer bytes.

    Args:
        stored, settings, structure: as for ``full``.
        coding: FAISS's number for the type of scalar quantisation.
    """
    index = faiss.IndexScalarQuantizer(stored.vectors.shape[1], coding, metric(stored))
    index.train(stored.vectors)
    index.add(stored.vectors)
    return index


fp16 = partial(_scalar, coding=faiss.ScalarQuantizer.QT_fp16)
"""Every number in half precision."""

bf16 = partial(_scalar, coding=faiss.ScalarQuantizer.QT_bf16)
"""Every number in half precision with the range of float32."""

sq8 = partial(_scalar, coding=faiss.ScalarQuantizer.QT_8bit)
"""One byte per number, between the minimum and maximum of its dimension (8-bit scalar quantisation)."""


def parameters(settings: FaissSettings, candidates: int, options: dict[str, Any]) -> Any:
    """FAISS's parameters for one search.

    Args:
        settings: settings of the index.
        candidates: number of candidates per query.
        options: further keywords for FAISS's search parameters, such as a selector.

    Returns:
        FAISS's search parameters.
    """
    return faiss.SearchParameters(**options) if options else None
