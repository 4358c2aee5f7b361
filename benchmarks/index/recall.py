"""Recall against queries per second: our index beside plain FAISS, hnswlib, usearch and ``implicit``'s FAISS wrapper.

``codes``: the 32 numbers into which ``vanilla`` (seed 0, five epochs) turns the images of Fashion-MNIST; those of test
images ask, l2. ``pixels``: 60,000 × 784 of Fashion-MNIST, test pictures ask, l2. ``factors``: the item factors that
``implicit``'s ALS learns from the training people of Amazon CDs (64 numbers, 8 rounds); their lengths follow
popularity, the longest is thirty times the median; people's factors ask, inner product. ``synthetic``: 10⁶ × 128, a
thousand clusters, l2. ``--vectors`` takes any other, such as codes, with ``--queries``, ``--name`` and ``--metric``.

For each target our index is chosen with half of the queries and judged on the other half, through its public face, ids
and exact scores included; rivals are judged on the same. ``build_each`` builds graphs and lists once for all targets;
settings are looked for, and recall and speed measured, anew for each, as ``Index.build(..., target_recall=target,
kind="fastest")`` does alone. ``build_seconds`` of a target are those of all targets together; ``trials`` say what each
kind took. With one thread its seconds on the processor count, so that other work on the machine does not. Lines that
are there already are not computed again. The rivals need faiss-cpu, hnswlib, usearch, implicit; ``factors`` needs
implicit here too.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.index.tables import recall as table
from benchmarks.processes import Python, answered, available
from isthmus.batch import Values, Vector
from isthmus.index import Index
from isthmus.models.kinds import vanilla
from isthmus.sources import VectorSource
from isthmus.training.run import Run

__all__ = ["table"]

NAME = "index_recall"
TITLE = "Recall against queries per second"
RIVALS = ("faiss-flat", "faiss-ivf", "faiss-hnsw", "hnswlib", "usearch", "implicit")
TARGETS = (0.8, 0.9, 0.95, 0.99)
K, RUNS, SECONDS = 10, 9, 3600.0
ALONE = 64
"""Queries that are also asked one at a time."""

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


def codes(rows: int | None) -> Data:
    from isthmus_images.datasets import fashion_mnist

    train, test = (torch.from_numpy(fashion_mnist(part).pixels.reshape(-1, 784)) / 255 for part in ("train", "test"))
    run = Run(device="cpu", seed=0)
    recipe = vanilla(Vector(784), generator=run.generator(), hidden=256, layers=1, code=32, epochs=5)
    recipe.fit(VectorSource(train), run)
    with torch.no_grad():
        found, asking = (recipe.model.encode(Values(part)).point.numpy() for part in (train, test[:2000]))
    return found[:rows], asking, "l2"


DATA: dict[str, Callable[[int | None], Data]] = {
    "codes": codes,
    "pixels": pixels,
    "factors": factors,
    "synthetic": synthetic,
}


def ours(
    vectors: np.ndarray, queries: np.ndarray, metric: str, targets: list[float], threads: int
) -> Iterator[tuple[float, dict]]:
    from isthmus.index import Budget, build_each
    from isthmus.index import threads as switch

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
            together = quickest(partial(index.search, judged, K), threads)
            alone = quickest(partial(one_by_one, index, judged[:ALONE]), threads) / len(judged[:ALONE])
            told = index.info()
            yield target, {"recall": float(recall), "queries_per_second": len(judged) / together,
                           "seconds_a_query": alone, "build_seconds": built,
                           "kind": told["kind"], "settings": told["settings"], "trials": told["trials"]}  # fmt: skip


def one_by_one(index: Index, queries: np.ndarray) -> None:
    for query in queries:
        index.search(query, K)


def quickest(work: Callable[[], object], threads: int) -> float:
    """Seconds of the quickest of several runs."""
    clock, taken = time.thread_time if threads == 1 else time.perf_counter, []
    for _ in range(RUNS):
        start = clock()
        work()
        taken.append(clock() - start)
    return min(taken)


def rival(python: Path, name: str, vectors: np.ndarray, queries: np.ndarray, metric: str, threads: int) -> Line:
    """A library's curve, on the half of the queries that judges."""
    judged = queries[1::2]
    least = [scores[-1] for scores in Index.build(vectors, metric=metric, kind="exact").search(judged, K).scores]
    with tempfile.TemporaryDirectory() as folder:
        for part, array in (("vectors", vectors), ("queries", judged), ("least", np.array(least))):
            np.save(Path(folder) / f"{part}.npy", np.ascontiguousarray(array))
        environment = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
        found: Line = answered(python, "ann_search.py", name, folder, metric, K, threads, env=environment)
    return found


def run(
    smoke: Smoke = False,
    rival_python: Python = None,
    data: Annotated[list[str] | None, typer.Option(help="codes, pixels, factors or synthetic; all by default.")] = None,
    rows: Annotated[int | None, typer.Option(help="Only so many vectors.")] = None,
    threads: Annotated[int | None, typer.Option(help="All cores by default.")] = None,
    vectors: Annotated[Path | None, typer.Option(help="Others, as .npy.")] = None,
    queries: Annotated[Path | None, typer.Option(help="What asks for them, as .npy.")] = None,
    name: Annotated[str, typer.Option(help="What they are called.")] = "given",
    metric: str = "l2",
) -> list[Line]:
    """Our index for each target, and every rival."""
    results = Results(NAME, smoke=smoke)
    sets = {one: partial(DATA[one], rows) for one in chosen(["synthetic"] if smoke else data, DATA)}
    if smoke:
        sets, metric = {"synthetic": partial(synthetic, 2_000)}, "l2"
    elif vectors is not None:
        sets = {name: lambda: (np.load(vectors)[:rows], np.load(queries), metric)}
    python = rival_python if available(rival_python, "the other libraries", smoke=smoke) else None
    for one, load in sets.items():
        measured(results, one, load(), threads or len(os.sched_getaffinity(0)), python)
    return results.made


def measured(results: Results, data: str, loaded: Data, threads: int, python: Path | None) -> None:
    """What has no line yet on one data set."""
    vectors, queries, metric = loaded
    key = {"data": data, "rows": len(vectors), "threads": threads}
    shared = {**key, "width": vectors.shape[1], "metric": metric, "k": K, "queries": len(queries) // 2}
    targets = TARGETS[-1:] if results.smoke else TARGETS
    wanted = [one for one in targets if not results.find(side="isthmus", target=one, **key)]
    for target, found in ours(vectors, queries, metric, wanted, threads):
        results.add(side="isthmus", target=target, **shared, **found)
    for name in RIVALS if python else ():
        if (name == "implicit" and metric != "ip") or results.find(side=name, target=None, **key):
            continue
        results.add(side=name, target=None, **shared, **rival(python, name, vectors, queries, metric, threads))
