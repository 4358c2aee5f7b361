"""Vectors that do not change, with their ids and a searcher: what a snapshot is made of.

A searcher's scores differ in their last bits with the shape of the block that they were computed in. Here the scores of
its candidates are computed again, as float64 sums rounded to float32: equal vectors have equal scores, whoever asks
beside them. Where rounding could have kept a row out of the candidates of an exact searcher, all rows that near are
looked at, so that its answers are *the* k best, equal scores by rising row.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.index.exact.blocks import BLOCK_BYTES, spans
from isthmus.index.exact.filters import Allow, Filters
from isthmus.index.exact.rescoring import PIECE, best_first, double_scores, first_k
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.exact.top_k import by_score
from isthmus.index.faiss import FaissSearcher
from isthmus.index.ranges import Pairs, above
from isthmus.index.vectors import Metric, normalised
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists
from isthmus.vocabulary import Vocabulary

SPARE = 2
"""Candidates beyond those wanted, so that rounding at the edge is seldom in doubt."""


class Asked(NamedTuple):
    """One question to a part.

    Attributes:
        queries: as given.
        exclude, allow: as for every searcher.
        dead: rows that must not answer anybody, or None for no such row.
    """

    queries: Float[Tensor, "batch width"]
    exclude: RowLists | None
    allow: Allow
    dead: Bool[Tensor, " rows"] | None

    def take(self, some: Int64[Tensor, " some"]) -> Asked:
        """The question of some of the queries."""
        none = Filters(0, self.exclude, self.allow if isinstance(self.allow, RowLists) else None, None).take(some)
        allow = none.lists if isinstance(self.allow, RowLists) else self.allow
        return Asked(self.queries[some], none.exclude, allow, self.dead)


@final
class Part:
    """Immutable.

    Args:
        vectors: float32 on the CPU, checked; at least one. Shared, not copied.
        vocabulary: their ids.
        metric: by which they are compared.
        searcher: an approximate one over ``exact``, or None to compare with all.
        exact: the exact searcher over the vectors, if it is there already.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "rows width"],
        vocabulary: Vocabulary,
        metric: Metric,
        searcher: FaissSearcher | None = None,
        exact: ExactSearcher | None = None,
    ) -> None:
        self.vectors, self.vocabulary, self.metric, self.searcher = vectors, vocabulary, metric, searcher
        if exact is not None:
            self.exact = exact

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def exact(self) -> ExactSearcher:
        """Made when first asked."""
        return ExactSearcher.over(self.vectors, self.metric)

    def nearest(self, asked: Asked, k: int) -> Neighbours:
        """The ``k`` nearest rows of each query; exactly, or as nearly as the searcher finds them."""
        if self.searcher is not None and asked.exclude is None and asked.allow is None and asked.dead is None:
            plain = self._plain(self.searcher, asked.queries, k)
            if plain is not None:
                return plain
        return self._weighed(asked, k)

    def _weighed(self, asked: Asked, k: int) -> Neighbours:
        """``nearest`` with all that may stand in the way."""
        dead = 0 if asked.dead is None else int(asked.dead.sum())
        if dead * 2 > len(self) and asked.allow is None:
            asked = self._only_alive(asked)
        spare = SPARE if self.searcher is None else 0
        if asked.dead is not None and asked.allow is None:
            share = dead / len(self)
            spare += min(dead, SPARE + int(2 * k * share / (1 - share)))
        found, settled = self._once(asked, k, k + spare)
        short = ((found.rows[:, k - 1] < 0) & ~settled).nonzero()[:, 0]
        if len(short):
            again, done = self._once(self._only_alive(asked.take(short)), k, k + spare)
            found.rows[short], found.scores[short], settled[short] = again.rows, again.scores, done
        open_ = (~settled).nonzero()[:, 0]
        if len(open_):
            certain = self._certain(asked.take(open_), k, found.scores[open_, k - 1])
            found.rows[open_], found.scores[open_] = certain.rows, certain.scores
        return found

    def within(self, asked: Asked, floor: Float[Tensor, " batch"]) -> tuple[Pairs, Float[Tensor, " pairs"]]:
        """Every pair of query and row with a score of at least the query's floor, by rising query and row; exact."""
        queries, columns, scores = [], [], []
        filters = Filters.checked(len(self), len(asked.queries), asked.exclude, asked.allow, torch.device("cpu"))
        ready = self.exact.ready(asked.queries)
        loose = floor - self._doubt(ready)
        for start, stop in spans(len(ready), len(self), BLOCK_BYTES):
            if start == stop:
                continue
            score = self.exact.scorer(ready[start:stop])
            query, row = above(score, filters.part(start, stop), loose[start:stop], BLOCK_BYTES)
            query = query + start
            if asked.dead is not None:
                alive = ~asked.dead[row]
                query, row = query[alive], row[alive]
            exact = self.scores(asked.queries, query, row)
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
        """Scores of pairs, summed in float64 and rounded to float32."""
        scores = torch.empty(len(query))
        step = max(1, PIECE // self.vectors.shape[1])
        for start in range(0, len(query), step):
            some = slice(start, start + step)
            scores[some] = self._scores_of(queries[query[some]], row[some, None])[:, 0]
        return scores

    def _scores_of(
        self, queries: Float[Tensor, "batch width"], rows: Int64[Tensor, "batch found"]
    ) -> Float[Tensor, "batch found"]:
        """``scores`` of as many rows for each query."""
        return torch.from_numpy(self._weights(queries, rows.numpy()))

    def _weights(
        self, queries: Float[Tensor, "batch width"], rows: Int64[np.ndarray, "batch found"]
    ) -> Float[np.ndarray, "batch found"]:
        vectors = self.vectors if self.metric == "l2" else self.exact.compared
        asked = normalised(queries) if self.metric == "cosine" else queries
        return double_scores(vectors, asked, rows, self.metric == "l2")

    def _plain(self, searcher: FaissSearcher, queries: Float[Tensor, "batch width"], k: int) -> Neighbours | None:
        """The answers where nothing is filtered; None where so many are wanted that the searcher is not asked."""
        seen = searcher.seen(queries, k)
        if seen is None or not seen.size:
            return None
        missing = bool(seen.min() < 0)
        there = seen.clip(0) if missing else seen
        rows, scores = map(torch.from_numpy, best_first(there, self._weights(queries, there), k))
        if missing:
            short = torch.from_numpy(np.flatnonzero((seen < 0).any(axis=1)))
            again = self._weighed(Asked(queries[short], None, None, None), k)
            rows[short], scores[short] = again.rows, again.scores
        return Neighbours(rows, scores)

    def _once(self, asked: Asked, k: int, fetched: int) -> tuple[Neighbours, Bool[Tensor, " batch"]]:
        """The best k of so many candidates, and for which queries no row beyond them can be better."""
        if self.searcher is None:
            near, summed = self.exact.search_checked(asked.queries, fetched, asked.exclude, asked.allow)
            if asked.dead is None and bool(summed.all()):
                return Neighbours(near.rows[:, :k], near.scores[:, :k].add(0.0)), summed
            rows = near.rows
        else:
            rows = self.searcher.candidates(asked.queries, fetched, asked.exclude, asked.allow)
        missing = rows < 0
        there = rows.clamp(min=0)
        scores = self._scores_of(asked.queries, there)
        closed = missing if asked.dead is None else missing | asked.dead[there]
        best = by_score(scores.masked_fill(closed, -torch.inf), there.masked_fill(closed, -1))
        found = Neighbours(best.columns[:, :k].contiguous(), best.scores[:, :k].contiguous())
        enough = found.rows[:, k - 1] >= 0
        if self.searcher is not None:
            return found, enough | ((~missing).sum(1) < fetched)
        least = scores.masked_fill(missing, torch.inf).amin(1)
        doubt = 2 * self._doubt(self.exact.ready(asked.queries))
        return found, missing.any(1) | (summed & enough) | (found.scores[:, k - 1] > least + doubt)

    def _certain(self, asked: Asked, k: int, kth: Float[Tensor, " batch"]) -> Neighbours:
        """The best k among all rows that are, but for rounding, as near as the k-th known."""
        (query, row), scores = self.within(asked, kth)
        return first_k(query, row, scores, len(asked.queries), k)

    def _only_alive(self, asked: Asked) -> Asked:
        return (
            asked
            if asked.dead is None or asked.allow is not None
            else asked._replace(allow=(~asked.dead).nonzero()[:, 0])
        )

    def _doubt(self, ready: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
        """How far a score of the exact searcher may be from the true one (Higham 2002, equation 3.5)."""
        lengths = torch.linalg.vector_norm(ready, dim=1)
        scale = (lengths + self._longest).square() if self.metric == "l2" else lengths * self._longest
        doubt: Tensor = scale * ((ready.shape[1] + 16) * 2.0**-22)
        return doubt

    @cached_property
    def _longest(self) -> Float[Tensor, ""]:
        longest: Tensor = torch.linalg.vector_norm(self.exact.compared, dim=1).amax()
        return longest
