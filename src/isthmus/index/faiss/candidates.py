"""Candidates from FAISS: which queries share a call and how many each needs, under which filter, and which are kept."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.index.exact.filters import Filters
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.threads import limited_to

EXACT_SHARE = 10
"""When one row in this many is wanted, or at most one may answer, the exact searcher is as fast and always right."""

MOST_CANDIDATES = 2048
"""A query that needs more candidates is answered by exact search, so that one long list does not slow a whole batch."""

CANDIDATE_BYTES = 64 << 20
"""What the vectors of the candidates under way may take."""


def needed_of(filters: Filters, queries: int, least: int) -> Int64[Tensor, " batch"]:
    """How many candidates each query needs, so that enough are left without the excluded ones.

    Args:
        filters: of the search.
        queries: how many there are.
        least: candidates that must be left.
    """
    if filters.exclude is None:
        return torch.full((queries,), least)
    needed: Tensor = filters.exclude.offsets.diff() + least
    return needed


def groups_of(
    rows: int, width: int, selects: bool, needed: Int64[Tensor, " batch"], filters: Filters
) -> list[Int64[Tensor, " some"]]:
    """The queries that FAISS is asked, few enough at a time; none where the exact searcher does better.

    Args:
        rows, width: of the vectors.
        selects: whether a selector leaves the kind of index as fast as it is.
        needed: candidates of each query.
        filters: of the search.
    """
    shared = filters.shared
    open_rows = rows if shared is None else len(shared)
    few = open_rows * EXACT_SHARE <= rows
    # A selector takes FAISS's flat index off its matrix products.
    if filters.lists is not None or few or (shared is not None and not selects):
        return []
    asked = ((needed * EXACT_SHARE <= open_rows) & (needed <= MOST_CANDIDATES)).nonzero()[:, 0]
    if not len(asked):
        return []
    together = max(1, CANDIDATE_BYTES // (4 * width * int(needed[asked].max())))
    return list(asked.split(together))


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


def nearer(
    exact: ExactSearcher, prepared: Float[Tensor, "batch width"], rows: Int64[np.ndarray, "batch found"], most: int
) -> Int64[np.ndarray, "batch kept"]:
    """The ``most`` best of the candidates of each query, in no order; -1, which is not a row, comes after all others.

    Args:
        exact: over the vectors, float32 on the CPU.
        prepared: queries, as ``exact`` prepared them.
        rows: candidates of each query, -1 for none.
        most: how many are kept.
    """
    if rows.shape[1] <= most:
        return rows
    vectors, asked, ids = exact.compared.contiguous().numpy(), prepared.contiguous().numpy(), np.ascontiguousarray(rows)
    worth = np.empty(ids.shape, dtype=np.float32)
    # FAISS reads the rows where they lie: gathering them first takes several times as long.
    by_row = faiss.fvec_L2sqr_by_idx if exact.metric == "l2" else faiss.fvec_inner_products_by_idx
    pointers = [faiss.swig_ptr(part) for part in (worth, asked, vectors, ids)]
    with limited_to(faiss.omp_get_max_threads, faiss.omp_set_num_threads):
        by_row(*pointers, asked.shape[1], *ids.shape)
    if exact.metric == "l2":
        np.negative(worth, out=worth)
    # A product with no row is whatever FAISS makes of it.
    worth[ids < 0] = -np.inf
    best = torch.from_numpy(worth).topk(most, dim=1, sorted=False).indices.numpy()
    return np.take_along_axis(ids, best, 1)
