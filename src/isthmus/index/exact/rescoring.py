"""Scores of chosen pairs of query and column, computed in pieces whose gathered vectors fit into the cache."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.protocols import Neighbours

PIECE = 1 << 19
"""Numbers gathered at a time."""

DOUBLES = 1 << 16
"""Numbers converted to float64 at a time, so that they fit into the cache."""


def within(
    vectors: Float[Tensor, "rows width"],
    queries: Float[Tensor, "batch width"],
    query: Int64[Tensor, " pairs"],
    group: Int64[Tensor, " pairs"],
    size: int,
    floor: Float[Tensor, " batch"],
) -> tuple[Int64[Tensor, " found"], Int64[Tensor, " found"]]:
    """Pairs of query and column whose float32 score is at least the query's minimum, in the order of the pairs.

    Args:
        vectors: one vector per row.
        queries: one query per row.
        query: of each pair.
        group: of each pair: ``size`` columns from ``group * size`` on; columns beyond the last row do not count.
        size: columns of a group.
        floor: minimum score of each query; higher is nearer.

    Returns:
        Queries and columns of these pairs.
    """
    rows, width = vectors.shape
    columns = group[:, None] * size + torch.arange(size, device=group.device)
    scores = torch.full(columns.shape, -torch.inf, dtype=vectors.dtype)
    step = max(1, PIECE // (size * width))
    gathered = vectors.new_empty(step * size, width)
    places = columns.clamp(max=rows - 1)
    for start in range(0, len(query), step):
        some = slice(start, min(start + step, len(query)))
        chosen = torch.index_select(
            vectors, 0, places[some].flatten(), out=gathered[: (some.stop - some.start) * size]
        ).view(-1, size, width)
        # Not as a matrix product: its precision is a setting of the process.
        torch.sum(chosen.mul_(queries[query[some], None]), 2, out=scores[some])
    pair, place = ((scores >= floor[query, None]) & (columns < rows)).nonzero(as_tuple=True)
    return query[pair], columns[pair, place]


def exact_scores(
    vectors: Float[Tensor, "rows width"],
    queries: Float[Tensor, "batch width"],
    query: Int64[Tensor, " pairs"],
    column: Int64[Tensor, " pairs"],
) -> Float[Tensor, " pairs"]:
    """Inner products summed in float64 and rounded to the type of the vectors: equal vectors have equal scores.

    Args:
        vectors: one vector per row.
        queries: one query per row.
        query: of each pair.
        column: of each pair.

    Returns:
        The score of each pair; higher is nearer.
    """
    scores = torch.empty(len(query), dtype=torch.float64)
    step = max(1, PIECE // (4 * vectors.shape[1]))
    for start in range(0, len(query), step):
        some = slice(start, start + step)
        products = vectors[column[some]].double().mul_(queries[query[some]])
        torch.sum(products, 1, out=scores[some])
    return scores.to(vectors.dtype)


def double_scores(
    vectors: Float[Tensor, "rows width"],
    queries: Float[Tensor, "batch width"],
    rows: Int64[np.ndarray, "batch found"],
    by_distance: bool,
) -> Float[np.ndarray, "batch found"]:
    """Inner products, or negative squared distances, summed in float64 and rounded to float32, so that the score of a
    pair does not depend on the other pairs.

    This uses NumPy because its overhead per call is a fraction of torch's, which dominates the time of a single query.

    Args:
        vectors: one vector per row, on the CPU.
        queries: one query per row, on the CPU.
        rows: rows of the vectors to score, for each query.
        by_distance: negative squared distances instead of inner products.

    Returns:
        The score of each row; higher is nearer.
    """
    (batch, found), width = rows.shape, vectors.shape[1]
    table, asked = vectors.numpy(), queries.numpy()
    sums = np.empty((batch, found))
    step = max(1, DOUBLES // (width * max(1, found)))
    for start in range(0, batch, step):
        some = slice(start, start + step)
        own = asked[some].astype(np.float64)
        chosen = table.take(rows[some].ravel(), axis=0).astype(np.float64).reshape(len(own), found, width)
        # NumPy sums along the width, pair by pair, so no sum depends on the number of pairs.
        if by_distance:
            chosen -= own[:, None]
            flat = chosen.reshape(-1, width)
            np.negative(np.einsum("pw,pw->p", flat, flat).reshape(len(own), found), out=sums[some])
        else:
            np.einsum("bfw,bw->bf", chosen, own, out=sums[some])
    # Turns minus zero into zero.
    return sums.astype(np.float32) + np.float32(0)


def best_first(
    rows: Int64[np.ndarray, "batch found"], scores: Float[np.ndarray, "batch found"], k: int
) -> tuple[Int64[np.ndarray, "batch k"], Float[np.ndarray, "batch k"]]:
    """The ``k`` best candidates of each query by descending score, ties by ascending row.

    Args:
        rows: candidates of each query, at least ``k``.
        scores: scores of the candidates; higher is nearer.
        k: number of results to keep.

    Returns:
        Rows and scores, best first.
    """
    # The candidates of a graph or of inverted lists mostly are in order: to look is cheaper than to sort.
    mixed = ~(scores[:, 1:] < scores[:, :-1]).all(1)
    if mixed.any():
        rows, scores = rows.copy(), scores.copy()
        rows[mixed], scores[mixed] = _in_order(rows[mixed], scores[mixed])
    return rows[:, :k], scores[:, :k]


def _in_order(
    rows: Int64[np.ndarray, "batch found"], scores: Float[np.ndarray, "batch found"]
) -> tuple[Int64[np.ndarray, "batch found"], Float[np.ndarray, "batch found"]]:
    """The same candidates by descending score, ties by ascending row."""
    order = (-scores).argsort(axis=1, kind="stable")
    best = np.take_along_axis(scores, order, 1)
    tied = (best[:, 1:] == best[:, :-1]).any(1)
    if tied.any():
        order[tied] = np.lexsort((rows[tied], -scores[tied]))
    # The scores of a tie are equal, so that their order does not show in them.
    return np.take_along_axis(rows, order, 1), best


def first_k(
    query: Int64[Tensor, " pairs"],
    column: Int64[Tensor, " pairs"],
    scores: Float[Tensor, " pairs"],
    batch: int,
    k: int,
) -> Neighbours:
    """The ``k`` best columns of each query, ties by ascending column.

    Args:
        query: of each pair, rising.
        column: of each pair, rising within a query.
        scores: of each pair; higher is nearer.
        batch: number of queries.
        k: number of columns to keep per query.

    Returns:
        Columns and scores, best first; where a query has fewer than ``k`` pairs, the rest is row -1 with score -inf.
    """
    counts = torch.bincount(query, minlength=batch)
    widest = max(k, int(counts.max())) if batch else k
    places = torch.arange(len(query), device=query.device) - (counts.cumsum(0) - counts)[query]
    table = torch.full((batch, widest), -torch.inf, dtype=scores.dtype)
    rows = torch.full((batch, widest), -1)
    table[query, places], rows[query, places] = scores, column
    # A stable sort keeps the order of ties, which is by ascending column.
    best, order = table.sort(dim=1, descending=True, stable=True)
    return Neighbours(rows.gather(1, order[:, :k]), best[:, :k])
