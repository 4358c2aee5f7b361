"""One filter for all queries of a call, as FAISS takes it."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from jaxtyping import Int64
from torch import Tensor


def selecting(
    shared: Int64[Tensor, " allowed"] | None, order: Int64[np.ndarray, " numbers"] | None = None
) -> dict[str, Any]:
    """Made for each call: FAISS writes into the parameters that it is given. ``order`` tells the row of each of its
    numbers, and ends with -1; without it they are the same."""
    if shared is None:
        return {}
    most = int(shared.max()) if order is None else len(order)
    bits = np.zeros(most // 8 * 8 + 8, dtype=bool)
    bits[shared.numpy()] = True
    if order is not None:
        bits[: len(order) - 1] = bits[order[:-1]]
        bits[len(order) - 1 :] = False
    return {"sel": faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))}
