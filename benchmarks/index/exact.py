"""Exact search: one query against the bandwidth of the memory, and batches against the product of the same shape.

    python -m benchmarks.index.exact [--rival-python PATH] [--rows 1000000] [--threads 2] [--repeats 9]

One query over ``--rows`` × 128 float32 numbers; the bandwidth is that of the faster of two passes over the same table
(its sum, and its product with itself), run in turns with the searches. Then 10,000 queries × 100,000 vectors × 128, top
10: our index, its exact searcher, the product alone in fp32, and FAISS Flat in an environment of its own (``implicit``
and seen items: recommender_search.py).
"""

from __future__ import annotations

import argparse
import os
import statistics

import numpy as np
import torch

from benchmarks.harness import record, seconds
from benchmarks.index.recall import rival
from isthmus.index import Index, threads
from isthmus.index.exact.searcher import ExactSearcher

NAME = "index_exact"
WIDTH, K = 128, 10


def turns(works: dict, repeats: int) -> dict[str, float]:
    """Medians of interleaved runs."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name] += seconds(work, repeats=1, warmup=1)
    return {name: statistics.median(times) for name, times in taken.items()}


def one_query(rows: int, repeats: int, count: int) -> None:
    table = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0))
    query = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1))
    index, exact = Index.build(table, kind="exact"), ExactSearcher.over(table, "ip")
    spent = turns(
        {
            "sum": table.sum,
            "dot": lambda: torch.dot(table.view(-1), table.view(-1)),
            "searcher": lambda: exact.search(query, K),
            "index": lambda: index.search(query, K),
        },
        repeats,
    )
    fastest = min(spent["sum"], spent["dot"])
    read = 4 * table.numel() / fastest
    shares = {name: fastest / spent[name] for name in ("searcher", "index")}
    record(NAME, question="one query", rows=rows, width=WIDTH, k=K, threads=count, seconds=spent,
           bandwidth_gb_per_second=read / 1e9, share_of_bandwidth=shares)  # fmt: skip


def batches(python: str | None, queries: int, rows: int, repeats: int, count: int) -> None:
    table = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0))
    asked = torch.randn(queries, WIDTH, generator=torch.Generator().manual_seed(1))
    index, exact = Index.build(table, kind="exact"), ExactSearcher.over(table, "ip")
    plain = ExactSearcher.over(table, "ip", halved=False)
    works = {
        "product": lambda: [torch.mm(part, table.T) for part in asked.split(500)],
        "searcher": lambda: exact.search(asked, K),
        "searcher_without_bf16": lambda: plain.search(asked, K),
        "index": lambda: index.search(asked, K),
    }
    spent = turns(works, repeats)
    if python is not None:
        # Every second query is judged.
        doubled = np.repeat(asked.numpy(), 2, axis=0)
        curve = rival(python, "faiss-flat", table.numpy(), doubled, "ip", count)["curve"]
        spent["faiss"] = queries / curve[0]["queries_per_second"]
    shares = {name: spent["product"] / time for name, time in spent.items() if name != "product"}
    record(NAME, question="batch", queries=queries, rows=rows, width=WIDTH, k=K, threads=count, seconds=spent,
           share_of_product=shares)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rival-python")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, nargs=2, default=(10_000, 100_000), metavar=("QUERIES", "ROWS"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    with threads.limit(given.threads):
        one_query(given.rows, given.repeats, given.threads)
        batches(given.rival_python, *given.batch, max(1, given.repeats // 3), given.threads)


if __name__ == "__main__":
    main()
