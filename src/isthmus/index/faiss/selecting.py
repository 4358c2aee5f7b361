"""One filter for all queries of a call, as FAISS takes it."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from jaxtyping import Int64
from torch import Tensor


def selecting(shared: Int64[Tensor, " allowed"] | None) -> dict[str, Any]:
    """Made for each call: FAISS writes into the parameters that it is given."""
    if shared is None:
        return {}
    bits = np.zeros(int(shared.max()) // 8 * 8 + 8, dtype=bool)
    bits[shared.numpy()] = True
    return {"sel": faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))}
