"""Segments of a snapshot: immutable vectors with their ids and a searcher.

The last bits of a searcher's scores depend on the shape of the block in which they were computed. A segment therefore
computes the scores of the candidates again, as float64 sums rounded to float32: equal vectors have equal scores,
independent of the other queries in the batch. If rounding could have excluded a row from the candidates of an exact
searcher, all rows within the rounding error are examined, so that its results are the exact top k, ties by ascending
row.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.index.exact.blocks import Pairs, above, spans
from isthmus.index.exact.filters import Allow, Filters
from isthmus.index.exact.rescoring import PIECE, best_first, double_scores, first_k
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.exact.top_k import by_score
from isthmus.index.kinds import ApproximateSearcher
from isthmus.index.vectors import Metric, normalised
from isthmus.machine.devices import CACHED_BYTES
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists
from isthmus.vocabulary import Vocabulary

SPARE = 2
"""Additional candidates, so that rounding at the k-th place rarely needs a second pass."""


class Query(NamedTuple):
    """Queries and filters for one segment.

    Attributes:
        queries: the queries as given.
        exclude, allow: as for every searcher.
        deleted: mask of deleted rows, or None if no row is deleted.
    """

    queries: Float[Tensor, "batch width"]
    exclude: RowLists | None
    allow: Allow
    deleted: Bool[Tensor, " rows"] | None

    def take(self, some: Int64[Tensor, " some"]) -> Query:
        """The same for a subset of the queries."""
        none = Filters(0, self.exclude, self.allow if isinstance(self.allow, RowLists) else None, None).take(some)
        allow = none.lists if isinstance(self.allow, RowLists) else self.allow
        return Query(self.queries[some], none.exclude, allow, self.deleted)


@final
class Segment:
    """Vectors with their ids and a searcher. Immutable.

    Args:
        vectors: float32 on the CPU, checked; at least one. Shared, not copied.
        vocabulary: ids of the vectors.
        metric: metric of the comparison.
        searcher: an approximate searcher over ``exact``, or None for exact search.
        exact: the exact searcher over the vectors, if it exists already.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "rows width"],
        vocabulary: Vocabulary,
        metric: Metric,
        searcher: ApproximateSearcher | None = None,
        exact: ExactSearcher | None = None,
    ) -> None:
        self.vectors, self.vocabulary, self.metric, self.searcher = vectors, vocabulary, metric, searcher
        if exact is not None:
            self.exact = exact

    def __len__(self) -> int:
        return self.vectors.shape[0]

    @cached_property
    def exact(self) -> ExactSearcher:
        """The exact searcher over the vectors."""
        return ExactSearcher.over(self.vectors, self.metric)

    def nearest(self, request: Query, k: int) -> Neighbours:
        """The ``k`` nearest rows of each query: exact, or as approximate as the searcher."""
        if self.searcher is not None and request.exclude is None and request.allow is None and request.deleted is None:
            plain = self._without_filters(self.searcher, request.queries, k)
            if plain is not None:
                return plain
        return self._with_filters(request, k)

    def _with_filters(self, request: Query, k: int) -> Neighbours:
        """``nearest`` with filters and deleted rows."""
        deleted = 0 if request.deleted is None else int(request.deleted.sum())
        if deleted * 2 > len(self) and request.allow is None:
            request = self._only_live(request)
        spare = SPARE if self.searcher is None else 0
        if request.deleted is not None and request.allow is None:
            share = deleted / len(self)
            spare += min(deleted, SPARE + int(2 * k * share / (1 - share)))
        found, settled = self._attempt(request, k, k + spare)
        short = ((found.rows[:, k - 1] < 0) & ~settled).nonzero()[:, 0]
        if len(short):
            again, done = self._attempt(self._only_live(request.take(short)), k, k + spare)
            found.rows[short], found.scores[short], settled[short] = again.rows, again.scores, done
        open_ = (~settled).nonzero()[:, 0]
        if len(open_):
            certain = self._among_all_near(request.take(open_), k, found.scores[open_, k - 1])
            found.rows[open_], found.scores[open_] = certain.rows, certain.scores
        return found

    def within(self, request: Query, floor: Float[Tensor, " batch"]) -> tuple[Pairs, Float[Tensor, " pairs"]]:
        """All pairs of query and row with at least the query's minimum score, by ascending query and row. Exact."""
        queries, columns, scores = [], [], []
        filters = Filters.checked(len(self), len(request.queries), request.exclude, request.allow, torch.device("cpu"))
        prepared = self.exact.prepared(request.queries)
        loose = floor - self._rounding_error(prepared)
        for start, stop in spans(len(prepared), len(self), CACHED_BYTES):
            if start == stop:
                continue
            score = self.exact.scorer(prepared[start:stop])
            query, row = above(score, filters.part(start, stop), loose[start:stop], CACHED_BYTES)
            query = query + start
            if request.deleted is not None:
                live = ~request.deleted[row]
                query, row = query[live], row[live]
            exact = self.scores(request.queries, query, row)
            kept = exact >= floor[query]
            queries.append(query[kept])
            columns.append(row[kept])
            scores.append(exact[kept])
        if not queries:
            none = torch.empty(0, dtype=torch.int64)
            return (none, none), torch.empty(0)
        return (torch.cat(queries), torch.cat(columns)), torch.cat(scores)

    def scores(
        self, queries: Float[Tensor, "batch width"], query: Int64[Tensor, " pairs"], row: Int64[Tensor, " pairs"]
    ) -> Float[Tensor, " pairs"]:
        """Scores of pairs, summed in float64 and rounded to float32.

        Args:
            queries: one query per row.
            query: query of each pair.
            row: row of each pair.

        Returns:
            The score of each pair; higher is nearer.
        """
        scores = torch.empty(len(query))
        step = max(1, PIECE // self.vectors.shape[1])
        for start in range(0, len(query), step):
            some = slice(start, start + step)
            scores[some] = self._scores_of(queries[query[some]], row[some, None])[:, 0]
        return scores

    def _scores_of(
        self, queries: Float[Tensor, "batch width"], rows: Int64[Tensor, "batch found"]
    ) -> Float[Tensor, "batch found"]:
        """``scores`` for the same number of rows per query."""
        return torch.from_numpy(self._double_scores(queries, rows.numpy()))

    def _double_scores(
        self, queries: Float[Tensor, "batch width"], rows: Int64[np.ndarray, "batch found"]
    ) -> Float[np.ndarray, "batch found"]:
        vectors = self.vectors if self.metric == "l2" else self.exact.compared
        compared = normalised(queries) if self.metric == "cosine" else queries
        return double_scores(vectors, compared, rows, self.metric == "l2")

    def _without_filters(
        self, searcher: ApproximateSearcher, queries: Float[Tensor, "batch width"], k: int
    ) -> Neighbours | None:
        """The results of a search without filters; None if ``k`` is so large that exact search is faster."""
        found = searcher.unfiltered_candidates(queries, k)
        if found is None or not found.size:
            return None
        missing = bool(found.min() < 0)
        there = found.clip(0) if missing else found
        rows, scores = map(torch.from_numpy, best_first(there, self._double_scores(queries, there), k))
        if missing:
            short = torch.from_numpy(np.flatnonzero((found < 0).any(axis=1)))
            again = self._with_filters(Query(queries[short], None, None, None), k)
            rows[short], scores[short] = again.rows, again.scores
        return Neighbours(rows, scores)

    def _attempt(self, request: Query, k: int, fetched: int) -> tuple[Neighbours, Bool[Tensor, " batch"]]:
        """The best k of the fetched candidates, and the queries for which no other row can be better."""
        if self.searcher is None:
            near, summed = self.exact.search_checked(request.queries, fetched, request.exclude, request.allow)
            if request.deleted is None and bool(summed.all()):
                return Neighbours(near.rows[:, :k], near.scores[:, :k].add(0.0)), summed
            rows = near.rows
        else:
            rows = self.searcher.candidates(request.queries, fetched, request.exclude, request.allow)
        missing = rows < 0
        there = rows.clamp(min=0)
        scores = self._scores_of(request.queries, there)
        closed = missing if request.deleted is None else missing | request.deleted[there]
        best = by_score(scores.masked_fill(closed, -torch.inf), there.masked_fill(closed, -1))
        found = Neighbours(best.columns[:, :k].contiguous(), best.scores[:, :k].contiguous())
        enough = found.rows[:, k - 1] >= 0
        if self.searcher is not None:
            return found, enough | ((~missing).sum(1) < fetched)
        least = scores.masked_fill(missing, torch.inf).amin(1)
        error = 2 * self._rounding_error(self.exact.prepared(request.queries))
        return found, missing.any(1) | (summed & enough) | (found.scores[:, k - 1] > least + error)

    def _among_all_near(self, request: Query, k: int, kth: Float[Tensor, " batch"]) -> Neighbours:
        """The best k among all rows that are, up to rounding, at least as near as the k-th known one."""
        (query, row), scores = self.within(request, kth)
        return first_k(query, row, scores, len(request.queries), k)

    def _only_live(self, request: Query) -> Query:
        return (
            request
            if request.deleted is None or request.allow is not None
            else request._replace(allow=(~request.deleted).nonzero()[:, 0])
        )

    def _rounding_error(self, prepared: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
        """Bound on the rounding error of the exact searcher's scores (Higham 2002, equation 3.5)."""
        lengths = torch.linalg.vector_norm(prepared, dim=1)
        scale = (lengths + self._longest).square() if self.metric == "l2" else lengths * self._longest
        error: Tensor = scale * ((prepared.shape[1] + 16) * 2.0**-22)
        return error

    @cached_property
    def _longest(self) -> Float[Tensor, ""]:
        longest: Tensor = torch.linalg.vector_norm(self.exact.compared, dim=1).amax()
        return longest
