"""How long does one call for one person take, with 20,000 items on CPU?

``Recommender.recommend([history], k=10)`` from external ids to external ids, seen items left out, after warm-up. Aim:
under 5 ms. Weights are untrained: they do not change the work.

    python -m benchmarks.recommendation.latency
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from scipy.sparse import csr_array

from benchmarks.harness import record
from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender

ITEMS, PEOPLE, EACH, CALLS = 20_000, 600, 100, 300


def main() -> None:
    g = np.random.default_rng(0)
    columns = np.argsort(g.random((PEOPLE, ITEMS)), 1)[:, :EACH]
    matrix = csr_array(
        (np.ones(PEOPLE * EACH), columns.ravel(), np.arange(0, PEOPLE * EACH + 1, EACH)), (PEOPLE, ITEMS)
    )
    data = Interactions.from_csr(matrix)
    for model, settings in (("mult-vae", {"epochs": 1}), ("mult-dae", {"epochs": 1})):
        recommender = Recommender.fit(data, model, validation=0, run=Run(device="cpu"), **settings)
        histories = [columns[row].tolist() for row in range(CALLS)]
        taken = []
        for history in histories:
            started = time.perf_counter()
            recommender.recommend([history], 10)
            taken.append(1000 * (time.perf_counter() - started))
        taken = taken[20:]
        line = record(
            "recommend_latency",
            configuration={"model": model, "items": ITEMS, "history": EACH, "k": 10, "calls": len(taken)},
            median_ms=statistics.median(taken),
            p99_ms=sorted(taken)[int(0.99 * len(taken))],
        )
        print(f"{model}: median {line['median_ms']:.2f} ms, p99 {line['p99_ms']:.2f} ms")


if __name__ == "__main__":
    main()
