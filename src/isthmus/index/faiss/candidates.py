"""Candidates from FAISS: groups queries into calls, with filters and numbers of candidates, and selects the nearest."""

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
"""If one row in this many is requested, or at most one in this many is allowed, exact search is as fast."""

MOST_CANDIDATES = 2048
"""Queries that need more candidates are searched exactly, so that one long exclusion list does not slow the batch."""

CANDIDATE_BYTES = 64 << 20
"""Maximum size of the vectors of all candidates of a call."""


def needed_of(filters: Filters, queries: int, least: int) -> Int64[Tensor, " batch"]:
    """The number of candidates each query needs so that enough remain after exclusion.

    Args:
        filters: filters of the search.
        queries: number of queries.
        least: number of candidates that must remain.
    """
    if filters.exclude is None:
        return torch.full((queries,), least)
    needed: Tensor = filters.exclude.offsets.diff() + least
    return needed


def groups_of(
    rows: int, width: int, selects: bool, needed: Int64[Tensor, " batch"], filters: Filters
) -> list[Int64[Tensor, " some"]]:
    """Groups of queries for calls of FAISS; no groups if the exact searcher is faster.

    Args:
        rows, width: of the vectors.
        selects: whether a selector leaves the kind of index as fast as it is.
        needed: candidates of each query.
        filters: filters of the search.
    """
    shared = filters.shared
    open_rows = rows if shared is None else len(shared)
    few = open_rows * EXACT_SHARE <= rows
    # With a selector, FAISS's flat index does not use matrix products.
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
    """The ``most`` nearest candidates of each query in any order; -1 (no row) counts as farther than all rows.

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
    # FAISS reads the rows in place: gathering them first takes several times as long.
    by_row = faiss.fvec_L2sqr_by_idx if exact.metric == "l2" else faiss.fvec_inner_products_by_idx
    pointers = [faiss.swig_ptr(part) for part in (worth, asked, vectors, ids)]
    with limited_to(faiss.omp_get_max_threads, faiss.omp_set_num_threads):
        by_row(*pointers, asked.shape[1], *ids.shape)
    if exact.metric == "l2":
        np.negative(worth, out=worth)
    # FAISS returns arbitrary products for -1.
    worth[ids < 0] = -np.inf
    best = torch.from_numpy(worth).topk(most, dim=1, sorted=False).indices.numpy()
    return np.take_along_axis(ids, best, 1)
