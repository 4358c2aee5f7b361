"""Inverted lists of short codes that are compared in the processor's registers, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss

from isthmus.index.faiss import ivf
from isthmus.index.faiss.flat import metric
from isthmus.index.faiss.ivf import coarse, filled
from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import TransformedVectors
from isthmus.index.kinds import Structure

MOST_PIECES = 128
"""Maximum number of sub-vectors: distances are summed in 16 bits, so with more of them each would get too few bits."""


def grid(settings: FaissSettings) -> Sequence[Sequence[SearchSettings]]:
    """Short codes need many candidates per result."""
    return ivf.grid(settings, (4, 16))


def piece(width: int) -> int:
    """Number of dimensions that share a codebook."""
    return max(2, -(-width // MOST_PIECES))


def product_quantised(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """Product quantisation with 4 bits a piece (Jégou et al. 2011, "Product quantization for nearest neighbor search",
    section II-B), scanned in registers (André et al. 2015, "Cache locality is not enough: high-performance nearest
    neighbor search with product quantization fast scan").

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
    width = stored.vectors.shape[1]
    pieces = width // piece(width)
    quantiser = coarse(stored, structure)
    index = faiss.IndexIVFPQFastScan(quantiser, width, settings.lists, pieces, 4, metric(stored))
    index.pq.cp.seed, index.pq.cp.min_points_per_centroid = settings.seed, 1
    return filled(index, stored)


def one_bit(stored: TransformedVectors, settings: FaissSettings, structure: Structure) -> Any:
    """A bit a number and two corrections a vector (Gao and Long 2024, "RaBitQ: quantizing high-dimensional vectors with
    a theoretical error bound for approximate nearest neighbor search", section 3).

    Args:
        stored: the vectors as they are stored.
        settings: settings of the index.
        structure: result of ``learn``.

    Returns:
        FAISS's index.
    """
    width = stored.vectors.shape[1]
    quantiser = coarse(stored, structure)
    return filled(faiss.IndexIVFRaBitQFastScan(quantiser, width, settings.lists, metric(stored)), stored)
