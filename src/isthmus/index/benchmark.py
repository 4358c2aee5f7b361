"""Benchmark of an index against exact search, through its public methods."""

from __future__ import annotations

import statistics
import time
from typing import Any, Unpack

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.errors import InputError
from isthmus.files import FileOptions, told_in
from isthmus.index import vector_files
from isthmus.index.index import Index
from isthmus.index.tuning.measure import LATENCY_QUERIES, QUERIES, RUNS, sampled

__all__ = ["benchmark"]


def benchmark(index: Index, queries: Any, k: int, seed: int, **file: Unpack[FileOptions]) -> dict[str, Any]:
    """Measure recall and speed of an index and of exact search over the same vectors.

    Args:
        index: the index, which is not changed.
        queries: as for ``Index.build``; None for vectors of the index with noise.
        k: number of neighbours per query.
        seed: seed of the generated queries.
        file: encoding, delimiter and header of a text file of queries, if they differ from those of ``Index.build``.

    Returns:
        Recall, queries per second and seconds per query, for both.

    Raises:
        InputError: the index is empty.
    """
    if not len(index):
        raise InputError("an empty index", expected="an index with vectors", remedy="add some")
    vectors = torch.from_numpy(index.vectors(index.ids))
    exact = Index.build(vectors, index.ids, index.metric, kind="exact")
    given = None
    if queries is not None:
        given, _ = vector_files.read(queries, None, index.id_column, told=told_in(file), alike=index.written)
    queries_read = sampled(vectors, QUERIES, Generator().manual_seed(seed)) if given is None else given
    found, true = index.search(queries_read, k), exact.search(queries_read, k)
    near = [own[-1] - 1e-5 * abs(own[-1]) - 1e-12 for own in true.scores]
    hits = sum(int((own >= least).sum()) for own, least in zip(found.scores, near, strict=True))
    recall = hits / max(1, sum(map(len, true.scores)))
    measured = {
        "index": {"recall": recall, **_speeds(index, queries_read, k)},
        "exact": {"recall": 1.0, **_speeds(exact, queries_read, k)},
    }
    return {"kind": index.info()["kind"], "rows": len(index), "queries": len(queries_read), "k": k, **measured}


def _speeds(index: Index, queries: Float[Tensor, "batch width"], k: int) -> dict[str, float]:
    together = min(_seconds(index, queries, k) for _ in range(RUNS))
    alone = statistics.median(_seconds(index, query, k) for query in queries[:LATENCY_QUERIES])
    return {"queries_per_second": len(queries) / together, "seconds_a_query": alone}


def _seconds(index: Index, queries: Tensor, k: int) -> float:
    start = time.perf_counter()
    index.search(queries, k)
    return time.perf_counter() - start
