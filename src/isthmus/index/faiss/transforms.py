"""Transforms of vectors and queries for FAISS: padding, lifting and rotation."""

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
        lifts: whether inner products become distances; only for metrics based on products.
        rotates: whether a random rotation is applied. It spreads the variance over all dimensions, which makes one-bit
            codes more informative.
        multiple: zeros are appended until the width is a multiple of this.
    """

    lifts: bool = False
    rotates: bool = False
    multiple: int = 1


class TransformedVectors(NamedTuple):
    """Vectors as an index stores them."""

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
        The vectors, lifted if the transform turns products into distances, and whether they are compared by distance.
    """
    lifts = transform.lifts and not by_distance
    return TransformedVectors((lifted(vectors) if lifts else vectors).contiguous().numpy(), by_distance or lifts)


def pad_and_rotate(transform: VectorTransform, vectors: Array, seed: int) -> Array:
    """Lifted vectors, padded with zeros and rotated.

    Args:
        transform: of the kind.
        vectors: one vector per row.
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
