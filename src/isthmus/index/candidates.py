"""Ranks the candidates of an approximate index: filters them and computes exact scores."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.index.exact.filters import Allow, Filters
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.exact.top_k import by_score
from isthmus.index.vectors import check_k, check_queries
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists, contains


def check_search(
    exact: ExactSearcher, queries: Float[Tensor, "batch width"], k: int, exclude: RowLists | None, allow: Allow
) -> Filters:
    """Check the arguments of a search against the vectors of ``exact``.

    Args:
        exact: exact searcher over the vectors.
        queries: one query per row.
        k: number of results per query.
        exclude, allow: as for every searcher.

    Returns:
        The checked filters.

    Raises:
        SettingError: ``k`` below 1.
        InputError: queries of another width or device; filters that do not match the number of queries.
        ValueRangeError: a query holds NaN or infinity; a filter names a row that does not exist.
    """
    check_k(k, len(queries))
    check_queries(queries, exact.width, torch.device("cpu"), exact.metric)
    return Filters.checked(len(exact), len(queries), exclude, allow, queries.device)


def rank_candidates(
    exact: ExactSearcher,
    queries: Float[Tensor, "batch width"],
    found: Int64[Tensor, "batch found"],
    k: int,
    filters: Filters,
) -> Neighbours:
    """The ``k`` best candidates that pass the filters, with exact scores.

    A query with fewer than ``k`` such candidates is searched exactly, so a result has fewer than ``k`` rows only if
    fewer pass the filters.

    Args:
        exact: exact searcher over the vectors, float32 on the CPU.
        queries: checked queries.
        found: candidates of each query in any order, padded with -1; duplicates are allowed.
        k: number of results per query.
        filters: result of ``check_search``.

    Returns:
        Rows and scores, best first, ties by ascending row; padded with -1 and -inf where fewer than ``k`` pass.
        Higher scores are nearer.
    """
    rows = found.sort(dim=1).values
    open_ = rows >= 0
    open_[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    if filters.exclude is not None:
        open_ &= ~contains(filters.exclude, rows)
    if filters.lists is not None:
        open_ &= contains(filters.lists, rows)
    if filters.shared is not None:
        open_ &= torch.isin(rows, filters.shared)
    scores = exact.scores_of_prepared(exact.prepared(queries), rows.clamp(min=0)).masked_fill_(~open_, -torch.inf)
    best = by_score(scores, rows)
    answers = Neighbours(torch.full((len(queries), k), -1), torch.full((len(queries), k), -torch.inf))
    width = min(k, rows.shape[1])
    answers.rows[:, :width], answers.scores[:, :width] = best.columns[:, :width], best.scores[:, :width]
    short = (open_.sum(1) < k).nonzero()[:, 0]
    if len(short):
        own = filters.take(short)
        again = exact.search(queries[short], k, exclude=own.exclude, allow=own.allow)
        answers.rows[short], answers.scores[short] = again.rows, again.scores
    return answers
