"""Exact search by inner product for single queries, with estimates in whole numbers of eight bits (int8).

A single query reads the whole table once, so its time is that of reading. The table is therefore kept a second time
with one byte for each number. All scores are estimated from these bytes, a proven bound on the error of an estimate
tells which columns may be results, and only these are scored exactly, as float64 sums rounded to float32. The results
are those of a search that scores every column in that way.

A vector v is kept as whole numbers and a scale, v̂ = scale · (whole numbers from -127 to 127), and a query q in the same
way as q̂. The sum of products of whole numbers is exact in int32, so the estimate s = q̂·v̂ satisfies
|q·v - s| ≤ |q̂||v - v̂| + |q - q̂||v| + γ|q||v| (Cauchy-Schwarz twice), where γ is that of ``isthmus.index.exact.bf16``.
"""

from __future__ import annotations

from functools import cache
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor

from isthmus.index.exact.bf16 import SCALES
from isthmus.index.exact.filters import Filters
from isthmus.index.exact.rescoring import exact_scores, first_k
from isthmus.machine.hardware import multiplies_int8
from isthmus.protocols import Neighbours

LARGEST = 127
"""The largest whole number; -128 is left out, so that the range is symmetric."""

GROUP = 8
"""Columns per group; the best of each group bound the k-th best score from below."""

FEW = 4
"""Number of queries up to which the table is read once for each of them; more are faster in one float32 product."""

WORTH = 1 << 21
"""Numbers in a table below which int8 is not worth it."""

WIDEST = 1 << 16
"""Width up to which the sums fit into int32."""


def suits(vectors: Float[Tensor, "rows width"]) -> bool:
    """Whether the processor and the vectors support it: float32 vectors of a usual scale on a CPU with fast int8."""
    if vectors.dtype != torch.float32 or vectors.device.type != "cpu" or vectors.shape[1] > WIDEST:
        return False
    if not multiplies_int8() or not sums_exactly():
        return False
    return SCALES[0] <= float(vectors.abs().amax()) <= SCALES[1]


@cache
def sums_exactly() -> bool:
    """Whether this build of PyTorch multiplies int8 and gets the largest sums right, tried once."""
    product = getattr(torch, "_int_mm", None)
    if product is None:
        return False
    signs = torch.arange(4096 * 256).view(4096, 256) % 7 < 5
    codes = torch.where(signs, LARGEST, -LARGEST).to(torch.int8)
    asked = torch.full((256, 1), LARGEST, dtype=torch.int8)
    return bool((product(codes, asked) == (codes.long() * LARGEST).sum(1, keepdim=True)).all())


def pays(rows: int, width: int, queries: int, k: int, filters: Filters) -> bool:
    """Whether int8 is worth it: few queries over a large table, and filters that exclude few columns.

    Args:
        rows: how many vectors there are.
        width: numbers in a vector.
        queries: how many are asked.
        k: number of results per query.
        filters: filters of the search.
    """
    large = rows * width >= WORTH and 4 * k * GROUP <= rows
    return queries <= FEW and large and filters.lists is None and filters.shared is None


@final
class Int8Table:
    """A table of vectors with a copy in int8, which takes a quarter of the memory of the table."""

    def __init__(self, vectors: Float[Tensor, "rows width"]) -> None:
        self._vectors = vectors
        self._lengths = torch.linalg.vector_norm(vectors, dim=1)
        self._longest = float(self._lengths.amax())
        self._codes, self._scales = _rounded(vectors)
        # In float64, so that the difference itself is not rounded; a factor for the conversion back.
        lost = torch.empty_like(self._lengths)
        for start in range(0, len(vectors), 1 << 14):
            some = slice(start, start + (1 << 14))
            back = self._codes[some].double() * self._scales[some, None].double()
            lost[some] = torch.linalg.vector_norm(vectors[some].double() - back, dim=1)
        self._lost = lost * (1 + 2.0**-20)

    def search(self, query: Float[Tensor, "1 width"], k: int, filters: Filters) -> Neighbours | None:
        """The ``k`` best rows for a query.

        Args:
            query: float32.
            k: number of results.
            filters: of the search; at most ``exclude`` is set.

        Returns:
            Rows and scores, best first; None if the bound leaves too many columns or the query has an unusual scale,
            and the table itself has to be searched.
        """
        if not SCALES[0] <= float(query.abs().amax()) <= SCALES[1]:
            return None
        estimates, wrong, level = self._estimates(query)
        if filters.exclude is not None:
            estimates.index_fill_(0, filters.exclude.rows, -torch.inf)
        groups = len(estimates) // GROUP
        lowest = (estimates - wrong)[: GROUP * groups].view(GROUP, groups).amax(0)
        # Each group has a column that scores at least this, so k columns do.
        least = float(lowest.topk(k, sorted=False).values.amin()) - level
        # The second level covers scores that are equal after rounding.
        columns = _at_least(estimates.add_(wrong), least - level)
        if len(columns) > max(4 * k, len(self._vectors) // 64):
            return None
        first = torch.zeros_like(columns)
        return first_k(first, columns, exact_scores(self._vectors, query, first, columns), 1, k)

    def _estimates(self, query: Float[Tensor, "1 width"]) -> tuple[Float[Tensor, " rows"], Tensor, float]:
        """Estimated scores, how wrong each may be, and how wrong any may be by arithmetic alone."""
        codes, scale = _rounded(query)
        sums = torch._int_mm(self._codes, codes.view(-1, 1))[:, 0]
        estimates = sums * (self._scales * scale)
        length = float(torch.linalg.vector_norm(query))
        lost = float(torch.linalg.vector_norm(query.double() - codes.double() * scale.double())) * (1 + 2.0**-20)
        wrong = torch.mul(self._lost, length + lost).add_(self._lengths, alpha=lost)
        return estimates, wrong, length * self._longest * ((query.shape[1] + 16) * 2.0**-22)


def _rounded(vectors: Float[Tensor, "rows width"]) -> tuple[Int8[Tensor, "rows width"], Float[Tensor, " rows"]]:
    """Whole numbers and the scale of each row."""
    scales = vectors.abs().amax(1) / LARGEST
    whole = (vectors / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round_()
    return whole.clamp_(-LARGEST, LARGEST).to(torch.int8), scales


def _at_least(scores: Float[Tensor, " rows"], least: float) -> Int64[Tensor, " found"]:
    # NumPy takes a fraction of the time of ``nonzero`` of torch.
    return torch.from_numpy(np.flatnonzero(scores.numpy() >= np.float32(least)))
