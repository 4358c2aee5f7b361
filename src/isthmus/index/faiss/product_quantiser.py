"""Product quantisation by FAISS, as a baseline for other short codes."""

from __future__ import annotations

import faiss
import numpy as np
import torch
from jaxtyping import Float32

from isthmus.errors import InputError, SettingError
from isthmus.index.vectors import check_lengths

WORDS = 256
"""Number of codewords in a codebook, so that one byte identifies a codeword."""


def product_quantised(
    examples: Float32[np.ndarray, "n width"], vectors: Float32[np.ndarray, "rows _"], bytes: int, *, seed: int = 0
) -> Float32[np.ndarray, "rows width"]:
    """Encode vectors by product quantisation and decode them again (Jégou, Douze & Schmid, TPAMI 2011), with FAISS's
    default training.

    Args:
        examples: vectors that the codebooks are trained on, at least 256 rows.
        vectors: vectors to quantise.
        bytes: size of a code in bytes, a divisor of the width.
        seed: seed of the k-means that trains the codebooks.

    Returns:
        The decoded vectors, in the same order.

    Raises:
        SettingError: a number of bytes that does not divide the width.
        InputError: fewer than 256 examples, or vectors of another width.
        ValueRangeError: a vector whose square float32 cannot hold.
    """
    width = examples.shape[1]
    if bytes < 1 or width % bytes:
        raise SettingError(f"{bytes} bytes for {width} numbers", expected="a divisor of the number of dimensions")
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
