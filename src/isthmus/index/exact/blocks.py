"""Blocked search, shared by rankers and vectors: score a block, mask excluded entries, select the best, merge."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.index.exact.filters import Filters
from isthmus.index.exact.top_k import Best, best_of, merge
from isthmus.protocols import Columns, Neighbours

QUERIES = (512, 4096)
"""Minimum and maximum number of queries that share a block, if there are enough queries."""

Score = Callable[[Columns], Tensor]
"""A function from columns to scores ``[batch, columns]``."""

Pairs = tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]
"""Queries and columns of some scores."""


def search_blocks(score: Score, filters: Filters, queries: int, k: int, block_bytes: int) -> Neighbours:
    """The ``k`` best columns that pass the filters, for queries that share their blocks.

    Args:
        score: function from columns to scores.
        filters: filters of these queries.
        queries: number of queries.
        k: number of results per query.
        block_bytes: maximum size of one block of scores.

    Returns:
        Columns and scores, best first, ties by ascending column; padded with -1 and -inf where fewer than ``k`` pass.
    """
    mask = filters.mask()
    step = max(1, block_bytes // (4 * max(1, queries)))
    whole = step >= mask.positions
    if not whole:
        mask = mask.sorted()
    best: Best | None = None
    for start in range(0, mask.positions, step):
        stop = min(start + step, mask.positions)
        block = mask if whole else mask.between(start, stop)
        scores = score(slice(start, stop) if block.ids is None else block.ids)
        values, columns = best_of(block.masked(scores), k)
        found = Best(values, columns + start if start else columns)
        best = found if best is None else merge(best, found, k)
    return _nothing(queries, k, mask.ids) if best is None else _answers(best, mask.ids, k)


def above(score: Score, filters: Filters, floor: Float[Tensor, " batch"], block_bytes: int) -> Pairs:
    """Pairs of query and column that pass the filters and whose score is at least the query's minimum.

    Args:
        score: function from columns to scores.
        filters: filters of these queries.
        floor: minimum score of each query.
        block_bytes: maximum size of one block of scores.

    Returns:
        Queries and columns of the pairs, by ascending query and column.
    """
    mask = filters.mask()
    step = max(1, block_bytes // (4 * max(1, len(floor))))
    if step < mask.positions:
        mask = mask.sorted()
    queries, columns = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.int64)]
    for start in range(0, mask.positions, step):
        stop = min(start + step, mask.positions)
        block = mask if step >= mask.positions else mask.between(start, stop)
        scores = block.masked(score(slice(start, stop) if block.ids is None else block.ids))
        query, place = ((scores >= floor[:, None]) & (scores > -torch.inf)).nonzero(as_tuple=True)
        queries.append(query)
        columns.append(place + start if block.ids is None else block.ids[place])
    query, column = torch.cat(queries), torch.cat(columns)
    order = torch.sort(query, stable=True).indices
    return query[order], column[order]


def spans(queries: int, width: int, block_bytes: int) -> Iterator[tuple[int, int]]:
    """Spans of queries that share their blocks: as many as fit into a block with all columns, within ``QUERIES``.

    Args:
        queries: number of queries.
        width: number of columns.
        block_bytes: maximum size of one block of scores.

    Returns:
        Start and stop of each span; one empty span where there are no queries.
    """
    least, most = QUERIES
    step = min(most, max(least, block_bytes // (4 * max(1, width))))
    # Spans of equal size, since products of a few rows are slow; and one empty span if there are no queries.
    count = max(1, -(-queries // step))
    step = -(-queries // count)
    return ((number * step, min((number + 1) * step, queries)) for number in range(count))


def joined(found: list[Neighbours]) -> Neighbours:
    """Concatenate the results of consecutive spans of queries."""
    if len(found) == 1:
        return found[0]
    return Neighbours(torch.cat([part.rows for part in found]), torch.cat([part.scores for part in found]))


def _answers(best: Best, ids: Tensor | None, k: int) -> Neighbours:
    rows = best.columns if ids is None else ids[best.columns]
    rows = rows.masked_fill(best.scores == -torch.inf, -1)
    missing = k - rows.shape[1]
    if not missing:
        return Neighbours(rows, best.scores.contiguous())
    pad = (0, missing)
    padded = torch.nn.functional.pad(best.scores, pad, value=-torch.inf)
    return Neighbours(torch.nn.functional.pad(rows, pad, value=-1), padded)


def _nothing(queries: int, k: int, ids: Tensor | None) -> Neighbours:
    device = None if ids is None else ids.device
    rows = torch.full((queries, k), -1, dtype=torch.int64, device=device)
    return Neighbours(rows, torch.full((queries, k), -torch.inf, device=device))
