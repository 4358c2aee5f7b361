"""How long does one call for one person take, with 20,000 items on CPU?

``Recommender.recommend([history], k=10)`` from external ids to external ids, seen items left out, after warm-up. Aim:
under 5 ms. Weights are untrained: they do not change the work.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest, seconds
from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender

NAME = "recommend_latency"
TITLE = "One `recommend` call for one person"
MODELS = ("mult-vae", "mult-dae")
WARMUP, K = 20, 10


def run(smoke: Smoke = False, items: int = 20_000, people: int = 600, each: int = 100, calls: int = 300) -> list[Line]:
    """Time single calls."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        items, people, each, calls = 500, 50, 10, 30
    columns = np.argsort(np.random.default_rng(0).random((people, items)), 1)[:, :each]
    offsets = np.arange(0, people * each + 1, each)
    data = Interactions.from_csr(csr_array((np.ones(people * each), columns.ravel(), offsets), (people, items)))
    for model in MODELS:
        recommender = Recommender.fit(data, model, validation=0.0, run=Run(device="cpu"), epochs=1)
        histories = [row.tolist() for row in columns[:calls]]
        taken = [
            1000 * seconds(lambda: recommender.recommend([history], K), repeats=1, warmup=0)[0]  # noqa: B023
            for history in histories
        ][WARMUP:]
        results.add(
            configuration={"model": model, "items": items, "history": each, "k": K, "calls": len(taken)},
            median_ms=statistics.median(taken),
            p99_ms=sorted(taken)[int(0.99 * len(taken))],
        )
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Milliseconds of a call."""
    known = newest(lines, lambda line: line["configuration"]["model"])
    rows = [
        (line["configuration"]["model"] + mark(line), f"{line['median_ms']:.2f} ms", f"{line['p99_ms']:.2f} ms")
        for line in known
    ]
    return markdown(["model, 20,000 items", "median", "99th percentile"], rows) if rows else []
