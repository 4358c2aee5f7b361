"""Recall against queries a second: our index beside plain FAISS, hnswlib, usearch and ``implicit``'s FAISS wrapper.

    python -m benchmarks.index.recall --rival-python PATH [--data pixels factors synthetic] [--threads 2]
        [--vectors FILE --queries FILE --name codes --metric l2]

``pixels``: 60,000 × 784 of Fashion-MNIST, test pictures ask, l2. ``factors``: the item factors that ``implicit``'s ALS
learns from the training people of Amazon CDs (64 numbers, 8 rounds); their lengths follow popularity, the longest is
thirty times the median; people's factors ask, inner product. ``synthetic``: 10⁶ × 128,
a thousand clusters, l2. ``--vectors`` takes any other, such as codes. For each target our index is chosen with half of
the queries and judged on the other half, through its public face, ids and exact scores included; rivals are judged on
the same. ``build_each`` builds graphs and lists once for all targets; settings are looked for, and recall and speed
measured, anew for each, as ``Index.build(..., target_recall=target, kind="fastest")`` does alone. ``build_seconds`` of
a target are those of all targets together; ``trials`` say what each kind took. Lines that are there already are not
computed again. The rivals need faiss-cpu, hnswlib, usearch, implicit; ``factors`` needs
implicit here too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import record
from benchmarks.result_lines import lines

NAME = "index_recall"
RIVAL = Path(__file__).parents[1] / "rivals" / "ann_search.py"
RIVALS = ("faiss-flat", "faiss-ivf", "faiss-hnsw", "hnswlib", "usearch", "implicit")
TARGETS = (0.8, 0.9, 0.95, 0.99)
K, RUNS, SECONDS = 10, 3, 3600.0
Data = tuple[np.ndarray, np.ndarray, str]


def pixels(rows: int | None) -> Data:
    from isthmus_images.datasets import fashion_mnist

    train, test = (np.asarray(fashion_mnist(part).pixels, np.float32).reshape(-1, 784) for part in ("train", "test"))
    return train[:rows], test[:2000], "l2"


def factors(rows: int | None) -> Data:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    from isthmus_interactions.datasets import amazon_cds

    matrix = csr_matrix(amazon_cds().train.matrix.astype(np.float32))
    # One thread, so that the factors are the same on every machine.
    model = AlternatingLeastSquares(factors=64, iterations=8, num_threads=1, random_state=0)
    model.fit(matrix, show_progress=False)
    asking = np.random.default_rng(0).choice(matrix.shape[0], 2000, replace=False)
    return np.ascontiguousarray(model.item_factors)[:rows], np.ascontiguousarray(model.user_factors[asking]), "ip"


def synthetic(rows: int | None) -> Data:
    random = np.random.default_rng(0)
    centres = random.standard_normal((1000, 128), np.float32)
    drawn = random.standard_normal(((rows or 1_000_000) + 2000, 128), np.float32)
    drawn += centres[random.integers(0, 1000, len(drawn))]
    return drawn[2000:], drawn[:2000], "l2"


DATA: dict[str, Callable[[int | None], Data]] = {"pixels": pixels, "factors": factors, "synthetic": synthetic}


def ours(
    vectors: np.ndarray, queries: np.ndarray, metric: str, targets: list[float], threads: int
) -> Iterator[tuple[float, dict]]:
    from isthmus.index import Budget, Index
    from isthmus.index import threads as switch
    from isthmus.index.several import build_each

    if not targets:
        return
    with switch.limit(threads):
        start = time.perf_counter()
        indexes = build_each(
            vectors, metric=metric, targets=targets, k=K, queries=queries[::2], budget=Budget(build_seconds=SECONDS),
            kind="fastest",
        )  # fmt: skip
        built, judged = time.perf_counter() - start, queries[1::2]
        exact = Index.build(vectors, metric=metric, kind="exact")
        least = np.array([scores[-1] for scores in exact.search(judged, K).scores])
        near = least - 1e-5 * np.abs(least) - 1e-9
        for target, index in zip(targets, indexes, strict=True):
            found = index.search(judged, K)
            recall = np.mean([(own >= bound).mean() for own, bound in zip(found.scores, near, strict=True)])
            speed = len(judged) / min(seconds(lambda: index.search(judged, K)) for _ in range(RUNS))  # noqa: B023
            told = index.info()
            yield target, {"recall": float(recall), "queries_per_second": speed, "build_seconds": built,
                           "kind": told["kind"], "settings": told["settings"], "trials": told["trials"]}  # fmt: skip


def rival(python: str, name: str, vectors: np.ndarray, queries: np.ndarray, metric: str, threads: int) -> dict:
    from isthmus.index import Index

    judged = queries[1::2]
    least = [scores[-1] for scores in Index.build(vectors, metric=metric, kind="exact").search(judged, K).scores]
    with tempfile.TemporaryDirectory() as folder:
        for part, array in (("vectors", vectors), ("queries", judged), ("least", np.array(least))):
            np.save(Path(folder) / f"{part}.npy", np.ascontiguousarray(array))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
        command = [python, str(RIVAL), name, folder, metric, str(K), str(threads)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rival-python")
    parser.add_argument("--data", nargs="*", default=list(DATA))
    parser.add_argument("--rows", type=int, help="only so many vectors, to try the script")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--vectors")
    parser.add_argument("--queries")
    parser.add_argument("--name")
    parser.add_argument("--metric", default="l2")
    given = parser.parse_args()
    sets = {name: DATA[name] for name in given.data}
    if given.vectors:
        sets = {given.name: lambda rows: (np.load(given.vectors)[:rows], np.load(given.queries), given.metric)}
    done = {(line["data"], line["side"], line["target"], line["rows"], line["threads"]) for line in lines(NAME)}
    for data, load in sets.items():
        vectors, queries, metric = load(given.rows)
        shared = {"data": data, "rows": len(vectors), "width": vectors.shape[1], "metric": metric, "k": K,
                  "threads": given.threads, "queries": len(queries) // 2}  # fmt: skip
        wanted = [one for one in TARGETS if (data, "isthmus", one, len(vectors), given.threads) not in done]
        for target, measured in ours(vectors, queries, metric, wanted, given.threads):
            record(NAME, side="isthmus", target=target, **shared, **measured)
        for name in RIVALS if given.rival_python else ():
            if name == "implicit" and metric != "ip":
                continue
            if (data, name, None, len(vectors), given.threads) not in done:
                measured = rival(given.rival_python, name, vectors, queries, metric, given.threads)
                record(NAME, side=name, target=None, **shared, **measured)


if __name__ == "__main__":
    main()
