"""Exact search by inner product with estimates in half precision (bf16), which some processors multiply many times as
fast as float32.

All scores are estimated in bf16, and only the largest estimate of each group of columns is kept. A proven bound on the
error of an estimate then tells which groups may contain a result. Only their columns are scored exactly, as float64
sums rounded to float32. The results are therefore those of a search that scores every column in that way.

With q̂, v̂ for the roundings of q and v to bf16, s for the estimate and u = 2⁻⁸ for the rounding of s,
|q·v - s| ≤ |q - q̂||v| + |q̂||v - v̂| + u|s| + γ|q||v| (Cauchy-Schwarz twice), γ = (width + 16)·2⁻²² being
generous for float32 accumulation in any order (Higham 2002, "Accuracy and Stability of Numerical Algorithms", equation
3.5), for the arithmetic of the bound itself and for numbers that the processor flushes to zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int16, Int64
from torch import Tensor

from isthmus.index.exact.filters import Filters
from isthmus.index.exact.rescoring import exact_scores, first_k, within
from isthmus.machine.hardware import multiplies_bf16
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists, owners

GROUP, GROUPS = 8, 16
"""Columns per group, and groups per bundle; the largest estimate of each is kept."""

BLOCK = 2048
"""Columns estimated at a time, so that their estimates are still in the processor's cache when they are scanned."""

QUERIES = (64, 512)
"""Minimum and maximum number of queries that are estimated together."""

WORTH = 1 << 24
"""Number of scores below which bf16 is not worth it."""

ROUNDING = 2.0**-8
"""The largest relative error of a rounding to bf16."""

SCALES = (2.0**-30, 2.0**30)
"""Range for the largest absolute value of a query and of the vectors, so that nothing relevant over- or underflows."""

Fallback = Callable[[Tensor, Filters], Neighbours]
"""The float32 search, for queries that bf16 does not help."""


class GroupMaxima(NamedTuple):
    """What the estimates of some queries say; -inf and negative estimates are kept as some negative number.

    Attributes:
        groups: bits of the largest estimate in each group of columns.
        bundles: and in each bundle of groups.
    """

    groups: Int16[Tensor, "groups batch"]
    bundles: Int16[Tensor, "bundles batch"]


class ErrorBound(NamedTuple):
    """An estimate is at most ``slope * length + level`` wrong, beside its own rounding."""

    slope: Float[Tensor, " batch"]
    level: Float[Tensor, " batch"]


def suits(vectors: Float[Tensor, "rows width"]) -> bool:
    """Whether the processor and the vectors support it: float32 vectors of a usual scale on a CPU with fast bf16."""
    if vectors.dtype != torch.float32 or vectors.device.type != "cpu" or not multiplies_bf16("cpu"):
        return False
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    return SCALES[0] <= float(vectors.abs().amax()) <= SCALES[1]


def pays(rows: int, queries: int, k: int, filters: Filters) -> bool:
    """Whether bf16 is worth it: the search is large, and the filters exclude few columns.

    Args:
        rows: how many vectors there are.
        queries: how many are asked.
        k: number of results per query.
        filters: filters of the search.
    """
    large = queries >= QUERIES[0] and queries * rows >= WORTH and 4 * k * GROUP * GROUPS <= rows
    return large and filters.lists is None and filters.shared is None


@final
class Bf16Table:
    """A table of vectors with a copy rounded to bf16, which takes half the memory of the table."""

    def __init__(self, vectors: Float[Tensor, "rows width"]) -> None:
        self._vectors = vectors
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        self._longest = lengths.amax()
        halves = vectors.bfloat16()
        lost = torch.linalg.vector_norm(vectors - halves, dim=1)
        self._lost = (lost / lengths.clamp(min=float(self._longest) * 2.0**-30)).amax()
        pad = -len(vectors) % (GROUP * GROUPS)
        self._table = torch.nn.functional.pad(halves, (0, 0, 0, pad))
        self._lengths = torch.nn.functional.pad(lengths, (0, pad)).view(-1, GROUPS, GROUP).amax(2)

    def search(
        self, queries: Float[Tensor, "batch width"], k: int, filters: Filters, fallback: Fallback, block_bytes: int
    ) -> tuple[Neighbours, Bool[Tensor, " batch"]]:
        """The ``k`` best rows for each query.

        Queries are passed to ``fallback`` if the bound leaves too many columns, if their k-th best score is not
        positive, or if their scale is unusual.

        Args:
            queries: one query per row, float32.
            k: number of results per query.
            filters: of the search; at most ``exclude`` is set.
            fallback: the float32 search.
            block_bytes: maximum size of one block of estimates.

        Returns:
            Rows and scores, best first, and a mask of the queries that did not need ``fallback``.
        """
        found = Neighbours(
            torch.empty(len(queries), k, dtype=torch.int64), torch.empty(len(queries), k, dtype=queries.dtype)
        )
        left = torch.ones(len(queries), dtype=torch.bool)
        least, most = QUERIES
        step = min(most, max(least, block_bytes * GROUP // (2 * len(self._table))))
        for start in range(0, len(queries), step):
            span = slice(start, min(start + step, len(queries)))
            exclude = filters.part(span.start, span.stop).exclude
            left[span] = self._search(queries[span], k, exclude, Neighbours(found.rows[span], found.scores[span]))
            if int(left[span].sum()) * 2 > span.stop - span.start:
                break
        rest = left.nonzero()[:, 0]
        if len(rest):
            answers = fallback(queries[rest], filters.take(rest))
            found.rows[rest], found.scores[rest] = answers.rows, answers.scores
        return found, ~left

    def _search(
        self, queries: Float[Tensor, "batch width"], k: int, exclude: RowLists | None, found: Neighbours
    ) -> Bool[Tensor, " batch"]:
        """Write the results of a span of queries into ``found``; returns a mask of the queries without a result."""
        halves = queries.bfloat16()
        # Pairs of column and query as one number, rising; a query's columns are ``batch`` apart.
        excluded = queries.new_empty(0, dtype=torch.int64)
        if exclude is not None:
            excluded = (exclude.rows * len(queries) + owners(exclude)).sort().values
        maxima = self._group_maxima(halves, excluded)
        bound = self._error_bound(queries, halves)
        least, left = self._least(queries, maxima, bound, k)
        query, group, crowded = self._groups(maxima, bound, least, max(4 * k, maxima.groups.shape[0] // 64))
        left |= crowded
        query, group = query[~left[query]], group[~left[query]]
        # The level covers float32 summation errors and scores that are equal after rounding.
        query, column = within(self._vectors, queries, query, group, GROUP, least - bound.level)
        query, column = _without(query, column, excluded, len(queries))
        scores = exact_scores(self._vectors, queries, query, column)
        answered = first_k(query, column, scores, len(queries), k)
        found.rows.copy_(answered.rows)
        found.scores.copy_(answered.scores)
        return left

    def _group_maxima(self, queries: Tensor, excluded: Int64[Tensor, " excluded"]) -> GroupMaxima:
        batch, rows = len(queries), len(self._table)
        groups = torch.empty(rows // GROUP, batch, dtype=torch.int16)
        bundles = torch.empty(len(self._lengths), batch, dtype=torch.int16)
        estimates = torch.empty(BLOCK, batch, dtype=torch.bfloat16)
        turned = queries.T.contiguous()
        edges = torch.searchsorted(excluded, torch.arange(0, rows + BLOCK, BLOCK) * batch).tolist()
        for number, start in enumerate(range(0, rows, BLOCK)):
            stop = min(start + BLOCK, rows)
            block = torch.mm(self._table[start:stop], turned, out=estimates[: stop - start])
            out = excluded[edges[number] : edges[number + 1]] - start * batch
            block.view(-1).index_fill_(0, out, -torch.inf)
            # The bits of positive numbers rise with the numbers and are above those of all negative ones; whole
            # numbers are compared several times as fast.
            inner = groups[start // GROUP : stop // GROUP]
            torch.amax(block.view(torch.int16).view(-1, GROUP, batch), 1, out=inner)
            outer = bundles[start // (GROUP * GROUPS) : stop // (GROUP * GROUPS)]
            torch.amax(inner.view(-1, GROUPS, batch), 1, out=outer)
        return GroupMaxima(groups, bundles)

    def _error_bound(self, queries: Tensor, halves: Tensor) -> ErrorBound:
        lengths = torch.linalg.vector_norm(queries, dim=1)
        lost = torch.linalg.vector_norm(queries - halves, dim=1)
        # |q̂| <= |q| + |q - q̂|
        slope = 1.001 * (lost + self._lost * (lengths + lost))
        return ErrorBound(slope, lengths * self._longest * ((queries.shape[1] + 16) * 2.0**-22))

    def _least(
        self, queries: Tensor, maxima: GroupMaxima, bound: ErrorBound, k: int
    ) -> tuple[Float[Tensor, " batch"], Bool[Tensor, " batch"]]:
        """A lower bound of the k-th best score of each query, and a mask of the queries without a bound."""
        wrong = torch.outer(bound.slope, self._lengths.amax(1))
        low = _numbers(maxima.bundles.T).mul_(1 - ROUNDING).sub_(wrong)
        least = low.topk(k, dim=1, sorted=False).values.amin(1) - bound.level
        largest = queries.abs().amax(1)
        # Below the level, estimates that are not positive might have passed for zero, and the scale of a score is lost.
        usual = (largest >= SCALES[0]) & (largest <= SCALES[1]) & (least > bound.level)
        return least, ~usual

    def _groups(
        self, maxima: GroupMaxima, bound: ErrorBound, least: Float[Tensor, " batch"], most: int
    ) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"], Bool[Tensor, " batch"]]:
        """Pairs of query and group that may contain a result, by ascending query and group, and the queries with more
        than ``most``, whose pairs are left out."""
        need = least - bound.level
        high = _numbers(maxima.bundles.T).mul_(1 + ROUNDING)
        high.addcmul_(bound.slope[:, None], self._lengths.amax(1))
        open_ = high >= need[:, None]
        crowded = open_.sum(1) > most
        query, bundle = (open_ & ~crowded[:, None]).nonzero(as_tuple=True)
        inner = _numbers(maxima.groups.view(-1, GROUPS, len(least))[bundle, :, query]).mul_(1 + ROUNDING)
        inner.addcmul_(bound.slope[query, None], self._lengths[bundle])
        pair, place = (inner >= need[query, None]).nonzero(as_tuple=True)
        query, group = query[pair], bundle[pair] * GROUPS + place
        crowded |= torch.bincount(query, minlength=len(least)) > most
        kept = ~crowded[query]
        return query[kept], group[kept], crowded


def _numbers(bits: Int16[Tensor, "first second"]) -> Float[Tensor, "first second"]:
    """GroupMaxima in float32; negative values become zero."""
    return bits.clamp(min=0).contiguous().view(torch.bfloat16).float()


def _without(
    query: Int64[Tensor, " pairs"], column: Int64[Tensor, " pairs"], excluded: Int64[Tensor, " excluded"], batch: int
) -> tuple[Int64[Tensor, " kept"], Int64[Tensor, " kept"]]:
    if not len(excluded):
        return query, column
    own = column * batch + query
    kept = excluded[torch.searchsorted(excluded, own).clamp_(max=len(excluded) - 1)] != own
    return query[kept], column[kept]
