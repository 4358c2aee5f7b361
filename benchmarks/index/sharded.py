"""What does an index of several parts cost beside one index of the same vectors?

Vectors of 64 clusters in 32 dimensions with falling variances, inner product, lists of k-means
(``ivf``) at recall@10 of 0.95: one ``Index``, and a ``ShardedIndex`` of four parts that are built one after
the other and mapped from the disk. Each is a process of its own with one thread. Recall is that of ``recall``, against
exact answers over all vectors and after merging; queries are vectors with noise, asked 500 at a time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest, peak_rss, rss, seconds
from benchmarks.processes import alone
from isthmus.index import Index, ShardedIndex

NAME = "index_sharded"
TITLE = "An index of several parts"
ROWS, WIDTH, QUERIES, K, KIND = 500_000, 32, 500, 10, "ivf"


def vectors_of(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and queries near some of them."""
    random = np.random.default_rng(0)
    scale = np.exp(-np.arange(WIDTH) / 10).astype(np.float32)
    centres = random.standard_normal((64, WIDTH), np.float32)
    made = centres[random.integers(0, 64, rows)]
    made += 0.7 * random.standard_normal((rows, WIDTH), np.float32)
    made *= scale
    noise = 0.2 * random.standard_normal((QUERIES, WIDTH), np.float32) * scale
    return made, made[random.choice(rows, QUERIES)] + noise


def measured(shards: int, rows: int, kind: str) -> dict[str, Any]:
    """Build, ask and measure."""
    torch.set_num_threads(1)
    vectors, queries = vectors_of(rows)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        np.save(file, vectors)
        del vectors
        started = time.perf_counter()
        if shards > 1:
            index: Any = ShardedIndex.build(file, Path(folder) / "index", shards=shards, kind=kind)
        else:
            index = ShardedIndex([Index.build(file, kind=kind)])
        built, peak = time.perf_counter() - started, peak_rss()
        took = seconds(lambda: index.search(queries, K), repeats=3)
        return {
            "build_seconds": built,
            "peak_gb": peak / 1e9,
            "resident_gb": rss() / 1e9,
            "recall": index.recall(queries[:100], K),
            "queries_a_second": len(queries) / statistics.median(took),
        }


def run(smoke: Smoke = False, rows: int = ROWS) -> list[Line]:
    """One index, and four parts."""
    results = Results(NAME, smoke=smoke)
    rows, kind = (2_000, "exact") if smoke else (rows, KIND)
    for shards in (1, 4):
        configuration = {"rows": rows, "width": WIDTH, "kind": kind, "shards": shards, "k": K}
        if not results.find(commit=results.commit, configuration=configuration):
            found = alone(measured, shards, rows, kind, apart=not smoke)
            results.add(configuration=configuration, **found, load=os.getloadavg()[0])
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A row for each number of parts."""
    rows = []
    for line in newest(lines, lambda line: line["configuration"]):
        config = line["configuration"]
        rows.append(
            (
                f"{config['rows']:,}",
                config["shards"],
                f"{line['build_seconds']:,.0f}{mark(line)}",
                f"{line['peak_gb']:.2f}",
                f"{line['recall']:.3f}",
                f"{line['queries_a_second']:,.0f}",
                f"{line['load'] / line['device']['cores']:.0f}",
            )
        )
    head = ("vectors", "parts", "seconds to build", "GB at most", "recall@10", "queries a second", "load of a core")
    return markdown(head, rows) if rows else []
