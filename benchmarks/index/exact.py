"""Exact search: one query against the bandwidth of the memory, and batches against the product of the same shape.

One query over ``--rows`` × 128 float32 numbers; the bandwidth is that of the faster of two passes over the same table
(its sum, and its product with itself), run in turns with the searches. Then 10,000 queries × 100,000 vectors × 128, top
10: our index, its exact searcher, the product alone in fp32, and FAISS Flat in an environment of its own (``implicit``
and seen items: the benchmark ``recommender_search``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, in_turns, medians
from benchmarks.index.recall import rival
from benchmarks.index.tables import exact as table
from benchmarks.processes import Python, available
from isthmus.index import Index, threads
from isthmus.index.exact.searcher import ExactSearcher

NAME = "index_exact"
TITLE = "Exact search"
WIDTH, K = 128, 10


__all__ = ["table"]


def one_query(results: Results, rows: int, repeats: int, count: int) -> None:
    table = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0))
    query = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1))
    index, exact = Index.build(table, kind="exact"), ExactSearcher.over(table, "ip")
    spent = medians(
        in_turns(
            {
                "sum": table.sum,
                "dot": lambda: torch.dot(table.view(-1), table.view(-1)),
                "searcher": lambda: exact.search(query, K),
                "index": lambda: index.search(query, K),
            },
            repeats,
        )
    )
    fastest = min(spent["sum"], spent["dot"])
    read = 4 * table.numel() / fastest
    shares = {name: fastest / spent[name] for name in ("searcher", "index")}
    results.add(question="one query", rows=rows, width=WIDTH, k=K, threads=count, seconds=spent,
           bandwidth_gb_per_second=read / 1e9, share_of_bandwidth=shares)  # fmt: skip


def batches(results: Results, python: Path | None, queries: int, rows: int, repeats: int, count: int) -> None:
    table = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0))
    asked = torch.randn(queries, WIDTH, generator=torch.Generator().manual_seed(1))
    index, exact = Index.build(table, kind="exact"), ExactSearcher.over(table, "ip")
    plain = ExactSearcher.over(table, "ip", bf16=False)
    works = {
        "product": lambda: [torch.mm(part, table.T) for part in asked.split(500)],
        "searcher": lambda: exact.search(asked, K),
        "searcher_without_bf16": lambda: plain.search(asked, K),
        "index": lambda: index.search(asked, K),
    }
    spent = medians(in_turns(works, repeats))
    if python is not None:
        # Every second query is judged.
        doubled = np.repeat(asked.numpy(), 2, axis=0)
        curve = rival(python, "faiss-flat", table.numpy(), doubled, "ip", count)["curve"]
        spent["faiss"] = queries / curve[0]["queries_per_second"]
    shares = {name: spent["product"] / time for name, time in spent.items() if name != "product"}
    results.add(question="batch", queries=queries, rows=rows, width=WIDTH, k=K, threads=count, seconds=spent,
           share_of_product=shares)  # fmt: skip


def run(
    smoke: Smoke = False,
    rival_python: Python = None,
    rows: int = 1_000_000,
    queries: Annotated[int, typer.Option(help="Of the batch.")] = 10_000,
    vectors: Annotated[int, typer.Option(help="That the batch searches.")] = 100_000,
    count: Annotated[int | None, typer.Option("--threads", help="All cores by default.")] = None,
    repeats: int = 9,
) -> list[Line]:
    """One query, then a batch."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        rows, queries, vectors, repeats = 5_000, 50, 1_000, 3
    count = count or len(os.sched_getaffinity(0))
    python = rival_python if available(rival_python, "FAISS Flat", smoke=smoke) else None
    with threads.limit(count):
        one_query(results, rows, repeats, count)
        batches(results, python, queries, vectors, max(1, repeats // 3), count)
    return results.made
