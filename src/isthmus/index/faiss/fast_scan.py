"""Few bits a vector in inverted lists, compared many at a time inside the processor's registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from isthmus.index.faiss.flat import metric
from isthmus.index.faiss.ivf import coarse, filled
from isthmus.index.faiss.parameters import Settings
from isthmus.index.faiss.transforms import Stored

Structure = Mapping[str, npt.NDArray[np.generic]]

MOST_PIECES = 128
"""Distances are summed in 16 bits; of more pieces, each would keep too few of them."""


def piece(width: int) -> int:
    """Numbers that share a codebook."""
    return max(2, -(-width // MOST_PIECES))


def product_quantised(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """Product quantisation with 4 bits a piece (Jégou et al. 2011; André et al. 2015 for the scan)."""
    width = stored.vectors.shape[1]
    pieces = width // piece(width)
    quantiser = coarse(stored, structure)
    index = faiss.IndexIVFPQFastScan(quantiser, width, settings.lists, pieces, 4, metric(stored))
    index.pq.cp.seed, index.pq.cp.min_points_per_centroid = settings.seed, 1
    return filled(index, stored)


def one_bit(stored: Stored, settings: Settings, structure: Structure) -> Any:
    """A bit a number and two corrections a vector (RaBitQ, Gao and Long 2024)."""
    width = stored.vectors.shape[1]
    quantiser = coarse(stored, structure)
    return filled(faiss.IndexIVFRaBitQFastScan(quantiser, width, settings.lists, metric(stored)), stored)
