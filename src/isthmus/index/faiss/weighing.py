"""Many candidates in, the nearer ones out, by distances or products in float32 over the vectors themselves."""

from __future__ import annotations

import faiss
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.threads import held


def nearer(
    exact: ExactSearcher, ready: Float[Tensor, "batch width"], rows: Int64[np.ndarray, "batch found"], most: int
) -> Int64[np.ndarray, "batch kept"]:
    """The ``most`` best of the candidates of each query, in no order; -1, which is nobody, comes after all others.

    Args:
        exact: over the vectors, float32 on the CPU.
        ready: queries, as it made them ready.
    """
    if rows.shape[1] <= most:
        return rows
    vectors, asked, ids = exact.compared.contiguous().numpy(), ready.contiguous().numpy(), np.ascontiguousarray(rows)
    worth = np.empty(ids.shape, dtype=np.float32)
    # FAISS reads the rows where they lie: gathering them first takes several times as long.
    by_row = faiss.fvec_L2sqr_by_idx if exact.metric == "l2" else faiss.fvec_inner_products_by_idx
    pointers = [faiss.swig_ptr(part) for part in (worth, asked, vectors, ids)]
    with held(faiss.omp_get_max_threads, faiss.omp_set_num_threads):
        by_row(*pointers, asked.shape[1], *ids.shape)
    if exact.metric == "l2":
        np.negative(worth, out=worth)
    # A product with nobody is whatever FAISS makes of it.
    worth[ids < 0] = -np.inf
    best = torch.from_numpy(worth).topk(most, dim=1, sorted=False).indices.numpy()
    return np.take_along_axis(ids, best, 1)
