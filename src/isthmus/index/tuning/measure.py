"""Recall and speed of a searcher on queries that were not used to choose its settings.

Both are measured for everything that ``Index.search`` does, including ids and exact scores.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.errors import InputError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.kinds import ApproximateSearcher
from isthmus.index.search import SearchHits, search
from isthmus.index.segment import Segment
from isthmus.index.snapshot import Snapshot
from isthmus.index.threads import clock
from isthmus.vocabulary import Vocabulary

QUERIES = 512
"""Maximum number of held-out queries; half of them choose the settings, half measure the choice."""

EXACT_QUERIES = 1024
"""Number of queries for timing exact search."""

NOISE = 0.3
"""Standard deviation of the noise on generated queries, relative to that of each coordinate of the vectors."""

LATENCY_QUERIES = 8
"""Number of single queries for measuring the latency."""

RUNS, MOST_RUNS = 3, 40

TIMED_SECONDS = 0.08
"""Minimum total seconds of the timed runs; short runs are repeated until they reach it."""

EvaluatedSearcher = ApproximateSearcher | None
"""What is measured; None for the exact searcher itself."""


@dataclass(frozen=True)
class HeldOutQueries:
    """Queries with the score of their true k-th nearest neighbour.

    Attributes:
        queries: one per row.
        k: number of neighbours.
        lowest: score of the last of them.
        frozen: an index segment of the vectors, without a searcher.
    """

    queries: Float[Tensor, "batch width"]
    k: int
    lowest: Float[Tensor, " batch"]
    frozen: Segment

    @classmethod
    def of(
        cls, exact: ExactSearcher, queries: Float[Tensor, "batch width"], k: int, frozen: Segment | None = None
    ) -> HeldOutQueries:
        """Queries with the answers of exact search.

        Args:
            exact: over the vectors.
            queries: one query per row.
            k: number of neighbours.
            frozen: result of ``exact_segment(exact)``, if it exists already.
        """
        k = min(k, len(exact))
        return cls(queries, k, exact.search(queries, k).scores[:, -1], frozen or exact_segment(exact))

    def recall(self, searcher: EvaluatedSearcher) -> float:
        """The share of the true k nearest neighbours that is found, from 0 to 1; ties count as found."""
        found = self._search_with(searcher)(self.queries, self.k).scores
        # Scores computed in another block differ in their last bits.
        lowest = (self.lowest - (1e-5 * self.lowest.abs() + 1e-12)).tolist()
        hits = sum(int((own >= bound).sum()) for own, bound in zip(found, lowest, strict=True))
        return hits / max(1, self.k * len(self.queries))

    def throughput(self, searcher: EvaluatedSearcher, most: int = QUERIES) -> float:
        """Queries per second, searched as one batch: the best of several runs.

        Args:
            searcher: the searcher; None for exact search.
            most: maximum number of queries in a batch.

        Returns:
            Higher is faster.
        """
        face, some = self._search_with(searcher), self.queries[:most]
        if searcher is None:
            # Matrix products are faster in larger batches, and a small batch must not favour other kinds.
            some = some.repeat(-(-EXACT_QUERIES // len(some)), 1)[:EXACT_QUERIES]
        times: list[float] = []
        while len(times) < RUNS or (sum(times) < TIMED_SECONDS and len(times) < MOST_RUNS):
            times.append(_seconds(face, some, self.k))
        return len(some) / min(times)

    def latency(self, searcher: EvaluatedSearcher) -> float:
        """Seconds of a search with a single query: the median of several. Lower is faster."""
        face = self._search_with(searcher)
        return statistics.median(_seconds(face, query[None], self.k) for query in self.queries[:LATENCY_QUERIES])

    def _search_with(self, searcher: EvaluatedSearcher) -> Callable[[Tensor, int], SearchHits]:
        """The same steps as ``Index.search`` with a searcher over the vectors, including ids and exact scores."""
        own = self.frozen
        if searcher is not None:
            own = Segment(own.vectors, own.vocabulary, own.metric, searcher, own.exact)
        snapshot = Snapshot(own.metric, own.exact.width, "int64", own, None, None)
        return lambda queries, k: search(snapshot, queries, k, None, None)


def exact_segment(exact: ExactSearcher) -> Segment:
    """A segment of the compared vectors, with row numbers as ids; distances are those of the original vectors."""
    vectors = exact.compared + exact.centre if exact.metric == "l2" else exact.compared
    return Segment(vectors, Vocabulary(np.arange(len(exact))), exact.metric, None, exact)


def held_out(exact: ExactSearcher, queries: Tensor | None, k: int, seed: int) -> tuple[HeldOutQueries, HeldOutQueries]:
    """Queries for choosing settings, and queries for measuring the choice.

    Args:
        exact: exact searcher over the vectors.
        queries: queries, which are assigned alternately to the halves; None for randomly drawn vectors with noise.
        k: number of neighbours.
        seed: seed of the random draw.

    Raises:
        InputError: fewer than two queries.
    """
    if queries is None:
        queries = sampled(exact.compared, QUERIES, Generator().manual_seed(seed)) + exact.centre
    elif len(queries) < 2:
        raise InputError(f"{len(queries)} queries to measure with", expected="at least 2")
    queries = queries[:QUERIES]
    frozen = exact_segment(exact)
    return HeldOutQueries.of(exact, queries[::2], k, frozen), HeldOutQueries.of(exact, queries[1::2], k, frozen)


def sampled(vectors: Float[Tensor, "rows width"], most: int, generator: Generator) -> Float[Tensor, "drawn width"]:
    """Vectors drawn at random, with noise.

    Args:
        vectors: one vector per row.
        most: maximum number of vectors; at least two are drawn, and no more than there are.
        generator: generator of the draws and the noise.
    """
    drawn = torch.randint(0, len(vectors), (max(2, min(most, len(vectors))),), generator=generator)
    spread = vectors[drawn].std(0) * NOISE
    return vectors[drawn] + spread * torch.randn(len(drawn), vectors.shape[1], generator=generator)


def _seconds(face: Callable[[Tensor, int], SearchHits], queries: Tensor, k: int) -> float:
    start = clock()
    face(queries, k)
    return clock() - start
