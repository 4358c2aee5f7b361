"""Vectors through FAISS's product quantiser and back: what other short codes are compared with."""

from __future__ import annotations

import faiss
import numpy as np
import torch
from jaxtyping import Float32

from isthmus.errors import InputError, SettingError
from isthmus.index.vectors import check_lengths

WORDS = 256
"""Of a codebook: a byte tells one of them."""


def product_quantised(
    examples: Float32[np.ndarray, "n width"], vectors: Float32[np.ndarray, "rows _"], bytes: int, *, seed: int = 0
) -> Float32[np.ndarray, "rows width"]:
    """What is left of vectors that are kept in so many bytes by product quantisation (Jégou, Douze & Schmid, TPAMI
    2011), with FAISS's defaults of training.

    Args:
        examples: what the codebooks are learned from, at least 256 rows.
        vectors: what is quantised.
        bytes: of a code; they divide the width.
        seed: of the k-means that makes the codebooks.

    Returns:
        Decoded vectors, in their order.

    Raises:
        SettingError: a number of bytes that does not divide the width.
        InputError: fewer than 256 examples, or vectors of another width.
        ValueRangeError: a vector whose square float32 cannot hold.
    """
    width = examples.shape[1]
    if bytes < 1 or width % bytes:
        raise SettingError(f"{bytes} bytes for {width} numbers", expected="a number that divides them")
    if len(examples) < WORDS or vectors.shape[1] != width:
        shapes = f"examples {examples.shape} and vectors {vectors.shape}"
        raise InputError(shapes, expected=f"one width, and at least {WORDS} examples")
    for some in (examples, vectors):
        check_lengths(torch.from_numpy(some), "l2")
    index = faiss.IndexPQ(width, bytes, 8)
    index.pq.cp.seed = seed
    index.train(np.ascontiguousarray(examples))
    kept: Float32[np.ndarray, "rows width"] = index.sa_decode(index.sa_encode(np.ascontiguousarray(vectors)))
    return kept
