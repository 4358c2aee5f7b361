"""Exact search among vectors that are stored as bytes, decoded in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from isthmus.index.exact.rescoring import first_k
from isthmus.index.exact.top_k import Best, best_of, merge
from isthmus.protocols import Neighbours

BLOCK = 16384
"""Number of codes that are decoded together."""

Codes = UInt8[np.ndarray, "rows bytes"]
Decode = Callable[[Codes], Float[Tensor, "rows width"]]


class DistinctCodes(NamedTuple):
    """Distinct codes, in order of first appearance.

    Attributes:
        first: row of the first appearance of each code, ascending.
        owner: the distinct code of each row.
    """

    first: npt.NDArray[np.int64]
    owner: Int64[Tensor, " rows"]


def nearest(queries: Float[Tensor, "batch width"], codes: Codes, decode: Decode, k: int) -> Neighbours:
    """Find the ``k`` rows of ``codes`` with the largest inner product of query and decoded vector.

    The last bits of a row of a matrix product depend on its position. Therefore each distinct code is decoded and
    scored once, so that rows with the same code have the same score on every processor.

    Args:
        queries: vectors.
        codes: one per row, as bytes.
        decode: converts codes to vectors.
        k: number of rows per query.

    Returns:
        Best first; equal scores in ascending order of row. If there are fewer than ``k`` rows: row -1, score -inf.
    """
    distinct = _distinct(codes)
    best = Best(torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64))
    for start in range(0, len(distinct.first), BLOCK):
        scores = queries @ decode(codes[distinct.first[start : start + BLOCK]]).T
        found = best_of(scores, k)
        best = merge(best, Best(found.scores, found.columns + start), k)
    return _rows(best, distinct, k)


def _distinct(codes: Codes) -> DistinctCodes:
    # Whole codes are compared at once, which is several times as fast as byte by byte.
    packed = np.ascontiguousarray(codes).view(f"V{codes.shape[1]}").ravel()
    _, first, owner = np.unique(packed, return_index=True, return_inverse=True)
    order = first.argsort()
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return DistinctCodes(first[order], torch.from_numpy(place[owner]))


def _rows(best: Best, distinct: DistinctCodes, k: int) -> Neighbours:
    """The best rows among the best codes. The k best codes contain the k best rows, because each code has a row and
    equal scores are in the order of their first rows."""
    counts = torch.bincount(distinct.owner, minlength=len(distinct.first))
    rows, starts = distinct.owner.argsort(stable=True), counts.cumsum(0) - counts
    # Of each code its first k rows, and none if codes with larger scores already have k rows.
    taken = counts[best.columns].clamp(max=k)
    before = taken.cumsum(1) - taken
    greater = torch.ones_like(taken, dtype=torch.bool)
    greater[:, 1:] = best.scores[:, 1:] < best.scores[:, :-1]
    taken *= torch.where(greater, before, 0).cummax(1).values < k
    ends = taken.flatten().cumsum(0)
    pair = torch.repeat_interleave(taken.flatten())
    offset = torch.arange(len(pair)) - (ends - taken.flatten())[pair]
    row = rows[starts[best.columns.flatten()[pair]] + offset]
    query = pair // max(1, best.columns.shape[1])
    order = (query * len(distinct.owner) + row).argsort()
    return first_k(query[order], row[order], best.scores.flatten()[pair][order], len(best.scores), k)
