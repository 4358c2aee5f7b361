"""People by what they touched, where a model has no codes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bags
from isthmus.protocols import Neighbours
from isthmus_interactions.matrices import Csr


def nearest_rows(bags: Bags, told: Csr, k: int) -> Neighbours:
    """The k rows of ``told`` with the largest cosine to each bag; rows that share nothing do not answer."""
    parts = (bags.weights.numpy(), bags.indices.numpy(), bags.offsets.numpy())
    asked = _unit(csr_array(parts, shape=(bags.size, told.shape[1])))
    cosines = (asked @ _unit(told).T).tocsr()
    rows = np.full((bags.size, k), -1, dtype=np.int64)
    scores = np.full((bags.size, k), -np.inf, dtype=np.float32)
    for place in range(bags.size):
        here = slice(cosines.indptr[place], cosines.indptr[place + 1])
        found, values = cosines.indices[here], cosines.data[here]
        best = np.lexsort((found, -values))[:k]
        rows[place, : len(best)], scores[place, : len(best)] = found[best], values[best]
    return Neighbours(torch.from_numpy(rows), torch.from_numpy(scores))


def _unit(matrix: Csr) -> Csr:
    norms = np.sqrt(np.maximum(matrix.multiply(matrix).sum(1), 1e-30))
    return csr_array(
        (matrix.data / np.repeat(norms, np.diff(matrix.indptr)), matrix.indices, matrix.indptr), matrix.shape
    )
