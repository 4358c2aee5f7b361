"""What a searcher is worth on queries that it was not made for: recall against exact answers, and speed."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.errors import InputError
from isthmus.index.exact import ExactSearcher
from isthmus.protocols import Searcher

QUERIES = 512
"""Held out at most; half of them to choose settings by, half to judge the choice."""

NOISE = 0.3
"""Of a made query, in standard deviations of each coordinate of the vectors."""

ALONE = 8
"""Queries asked alone to time one."""

RUNS = 3


@dataclass(frozen=True)
class Questions:
    """Queries with the score of their true k-th neighbour.

    Attributes:
        queries: one a row.
        k: how many neighbours count.
        least: score of the last of them.
    """

    queries: Float[Tensor, "batch width"]
    k: int
    least: Float[Tensor, " batch"]

    @classmethod
    def of(cls, exact: ExactSearcher, queries: Float[Tensor, "batch width"], k: int) -> Questions:
        """With the answers of exact search."""
        k = min(k, len(exact))
        return cls(queries, k, exact.search(queries, k).scores[:, -1])

    def recall(self, searcher: Searcher) -> float:
        """The share of the true k nearest that is found; of equal ones, any will do."""
        found = searcher.search(self.queries, self.k).scores
        # The same sum over another block differs in its last bits.
        slack = 1e-5 * self.least.abs() + 1e-12
        return float((found >= (self.least - slack)[:, None]).float().mean())

    def speed(self, searcher: Searcher, most: int = QUERIES) -> float:
        """Queries a second, asked together; the best of some runs."""
        some = self.queries[:most]
        return len(some) / min(_seconds(searcher, some, self.k) for _ in range(RUNS))

    def alone(self, searcher: Searcher) -> float:
        """Seconds of one query asked alone; the median of some."""
        times = [_seconds(searcher, query[None], self.k) for query in self.queries[:ALONE]]
        return statistics.median(times)


def held_out(exact: ExactSearcher, queries: Tensor | None, k: int, seed: int) -> tuple[Questions, Questions]:
    """Questions to choose by and questions to judge by: halves of the queries that are given, or else of vectors drawn
    at random with noise.

    Raises:
        InputError: fewer than two queries.
    """
    if queries is None:
        queries = sampled(exact.compared, QUERIES, Generator().manual_seed(seed)) + exact.centre
    elif len(queries) < 2:
        raise InputError(f"{len(queries)} queries to measure with", expected="at least 2")
    queries = queries[:QUERIES]
    return Questions.of(exact, queries[::2], k), Questions.of(exact, queries[1::2], k)


def sampled(vectors: Float[Tensor, "rows width"], most: int, generator: Generator) -> Float[Tensor, "drawn width"]:
    """Vectors drawn at random, with noise; two at least."""
    drawn = torch.randint(0, len(vectors), (max(2, min(most, len(vectors))),), generator=generator)
    spread = vectors[drawn].std(0) * NOISE
    return vectors[drawn] + spread * torch.randn(len(drawn), vectors.shape[1], generator=generator)


def _seconds(searcher: Searcher, queries: Tensor, k: int) -> float:
    start = time.perf_counter()
    searcher.search(queries, k)
    return time.perf_counter() - start
