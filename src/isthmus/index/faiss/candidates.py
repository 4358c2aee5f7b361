"""Which queries FAISS is asked together, and for how many candidates."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.index.exact.filters import Filters

EXACT_SHARE = 10
"""When one row in this many is wanted, or at most one may answer, the exact searcher is as fast and always right."""

MOST_CANDIDATES = 2048
"""A query that needs more candidates is asked exactly, so that one long list does not slow a whole batch."""

CANDIDATE_BYTES = 64 << 20
"""What the vectors of the candidates under way may take."""


def needed_of(filters: Filters, queries: int, least: int) -> Int64[Tensor, " batch"]:
    """Candidates that leave so many after the excluded ones are struck out."""
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
