"""The interface that every integration expects: an object that turns texts into vectors."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from isthmus.errors import ValueRangeError


@runtime_checkable
class TextEncoder(Protocol):
    """Any object with a method ``encode``, such as a ``TextAutoencoder``."""

    def encode(self, texts: list[str], /) -> Float[np.ndarray, "rows width"]:
        """One vector for each text, in order; the encoder chooses its own batches."""
        ...


def vectors(encoder: TextEncoder, texts: list[str]) -> Float32[np.ndarray, "rows width"]:
    """The vectors of at least one text, checked, because a vector store would not detect invalid ones.

    Raises:
        ValueRangeError: the encoder returned a wrong number of vectors, a wrong shape, or a value that is not finite.
    """
    found = np.asarray(encoder.encode(texts))
    if found.ndim != 2 or len(found) != len(texts):
        raise ValueRangeError(
            f"the encoder returned an array of shape {found.shape} for {len(texts)} texts",
            expected=f"({len(texts)}, width)",
            remedy="return one vector for each text, in their order",
        )
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise ValueRangeError(
            f"the vector of text {row} ({texts[row][:60]!r}) is not finite",
            remedy="look at that text, and at the training of the encoder",
        )
    return found.astype(np.float32, copy=False)
