"""Vectors as FAISS stores them, and queries as it is asked: padded, lifted or rotated."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.index.vectors import lifted

Array = npt.NDArray[np.float32]


class VectorTransform(NamedTuple):
    """How vectors are changed without changing who is near.

    Attributes:
        lifts: inner products become distances; only where the metric is one of products.
        rotates: by a random rotation, which spreads what a few coordinates hold over all: one bit says more then.
        multiple: the width becomes a multiple of this; zeros are appended.
    """

    lifts: bool = False
    rotates: bool = False
    multiple: int = 1


class TransformedVectors(NamedTuple):
    """What an index is made of."""

    vectors: Array
    by_distance: bool


PLAIN = VectorTransform()


def lift(transform: VectorTransform, vectors: Float[Tensor, "rows width"], by_distance: bool) -> TransformedVectors:
    """The vectors that lists and links are learnt on.

    Args:
        transform: of the kind.
        vectors: as the exact searcher compares them.
        by_distance: whether the metric is a distance.

    Returns:
        Vectors, lifted where that turns products into distances, and whether the nearest by distance is looked for.
    """
    lifts = transform.lifts and not by_distance
    return TransformedVectors((lifted(vectors) if lifts else vectors).contiguous().numpy(), by_distance or lifts)


def pad_and_rotate(transform: VectorTransform, vectors: Array, seed: int) -> Array:
    """Lifted vectors, padded with zeros and rotated.

    Args:
        transform: of the kind.
        vectors: one a row.
        seed: of the rotation.
    """
    missing = -vectors.shape[1] % transform.multiple
    padded = np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors
    if transform.rotates:
        padded = padded @ rotation(padded.shape[1], seed)
    return np.ascontiguousarray(padded, dtype=np.float32)


@lru_cache(maxsize=4)
def rotation(width: int, seed: int) -> Array:
    """A random orthogonal matrix: the first factor of a QR decomposition of normal numbers."""
    normal = torch.randn(width, width, generator=Generator().manual_seed(seed), dtype=torch.float64)
    turned: Array = torch.linalg.qr(normal).Q.float().numpy()
    return turned
