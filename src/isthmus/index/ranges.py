"""Every column whose score reaches a floor: exact, in blocks."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.index.exact.blocks import Score
from isthmus.index.exact.filters import Filters

Pairs = tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]


def above(score: Score, filters: Filters, floor: Float[Tensor, " batch"], block_bytes: int) -> Pairs:
    """Pairs of query and column that the filters let through and whose score is at least the query's floor, by rising
    query and column."""
    mask = filters.mask()
    step = max(1, block_bytes // (4 * max(1, len(floor))))
    if step < mask.positions:
        mask = mask.sorted()
    queries, columns = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.int64)]
    for start in range(0, mask.positions, step):
        stop = min(start + step, mask.positions)
        block = mask if step >= mask.positions else mask.between(start, stop)
        scores = block.struck(score(slice(start, stop) if block.ids is None else block.ids))
        query, place = ((scores >= floor[:, None]) & (scores > -torch.inf)).nonzero(as_tuple=True)
        queries.append(query)
        columns.append(place + start if block.ids is None else block.ids[place])
    query, column = torch.cat(queries), torch.cat(columns)
    order = torch.sort(query, stable=True).indices
    return query[order], column[order]
