"""Builds the parts of an index, side by side: with one quantiser for all of them, and with measured recall."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.errors import BudgetError
from isthmus.index import vector_files
from isthmus.index.build import Known, build_snapshots
from isthmus.index.registry import find, tried
from isthmus.index.search import SearchHits
from isthmus.index.sharded.vector_rows import VectorRows
from isthmus.index.storage import saving
from isthmus.index.threads import limit
from isthmus.index.tuning.measure import QUERIES, sampled
from isthmus.index.tuning.trials import ALL, IndexRequest
from isthmus.index.vectors import Metric, check_lengths
from isthmus.machine.processes import usable_cores
from isthmus.reprs import brief

POINTS = 64
"""Vectors of the sample for each list of the shared quantiser; more hardly change the lists."""


@brief
@dataclass(frozen=True)
class PartRequest:
    """What is built: rows ``start`` to ``stop`` of a source, as an index in a folder.

    Attributes:
        rows: the source.
        start, stop: the first row, and the one after the last.
        number: the first row's number among those of all parts.
        folder: of the part.
        metric: of the index.
        request: kind, recall, budget, seed and column of ids.
        known: tells the quantiser that all parts share; None if their kind has none.
        queries: what recall is measured with after merging.
        typical: whether the part chooses its settings by these queries, too; otherwise by vectors of its own.
    """

    rows: VectorRows
    start: int
    stop: int
    number: int
    folder: Path
    metric: Metric
    request: IndexRequest
    known: Known | None
    queries: Float[Tensor, "asked width"]
    typical: bool


@brief
@dataclass(frozen=True)
class PartBuilt:
    """What became of a part.

    Attributes:
        info: what the index is, as ``Index.info`` tells it.
        scores: of the true nearest neighbours of each query among the vectors of the part.
    """

    info: dict[str, Any]
    scores: npt.NDArray[np.float32]


Engine = Callable[[Sequence[PartRequest]], Iterable[PartBuilt]]
"""Builds parts, and tells what became of each in order."""


def build_part(request: PartRequest) -> PartBuilt:
    """Build one part and save it.

    Args:
        request: which rows, how, and where to.
    """
    source = request.rows.read(request.start, request.stop)
    ids: Any = request.request.id_column
    if numbered(source, ids):
        ids = np.arange(request.number, request.number + request.stop - request.start)
    typical = request.queries if request.typical else None
    ((snapshot, chosen, asked),) = build_snapshots(
        source, ids, request.metric, [request.request], typical, known=request.known
    )
    saving.save(request.folder, snapshot, chosen, asked)
    assert snapshot.base is not None
    true = snapshot.base.exact.search(request.queries, min(request.request.k, len(snapshot)))
    return PartBuilt(saving.described(snapshot, chosen, asked), true.scores.numpy())


def numbered(source: Any, column: str | None) -> bool:
    """Whether the ids of some rows are their numbers, as neither a column was named nor one is called ``id``."""
    return column is None and vector_files.ID not in getattr(source, "column_names", [])


def in_processes(processes: int) -> Engine:
    """Build so many parts at a time, each in a process with its share of the cores; 1 builds them in this process, one
    after the other."""
    return lambda requests: _built(requests, min(processes, len(requests)))


def _built(requests: Sequence[PartRequest], processes: int) -> Iterator[PartBuilt]:
    if processes == 1:
        yield from map(build_part, requests)
        return
    cores = usable_cores()
    context = multiprocessing.get_context("spawn")
    done = 0
    with ProcessPoolExecutor(processes, context) as pool:
        jobs = [pool.submit(_with_threads, request, max(1, cores // processes)) for request in requests]
        try:
            for job in jobs:
                yield job.result()
                done += 1
        except BrokenProcessPool as error:
            raise BudgetError(
                f"a process was killed when {done} of {len(requests)} parts were built",
                expected="memory for as many parts at a time as there are processes",
                remedy="use fewer processes or more, smaller parts",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _with_threads(request: PartRequest, threads: int) -> PartBuilt:
    with limit(threads):
        return build_part(request)


def requests_for(
    rows: VectorRows, shards: int, folder: Path, metric: Metric, request: IndexRequest, queries: Tensor | None
) -> list[PartRequest]:
    """One request for each part, with a quantiser and queries out of one sample of all vectors.

    Args:
        rows: the source.
        shards: number of parts, each with consecutive rows.
        folder: where the folders of the parts will be.
        metric: of the index.
        request: checked; for each part.
        queries: typical queries, of which the first ``QUERIES`` are used; None for random vectors with noise.

    Raises:
        The errors of ``vector_files.read``.
    """
    edges = [len(rows) * part // shards for part in range(shards + 1)]
    lists = _lists(rows, min(stop - start for start, stop in pairwise(edges)), metric, request)
    sample = _drawn(rows, max(QUERIES, lists * POINTS), request)
    check_lengths(sample, metric)
    known = _known(sample, metric, lists, request.seed) if lists else None
    noisy = sampled(sample, QUERIES, Generator().manual_seed(request.seed)) if queries is None else queries[:QUERIES]
    made = []
    for part, (start, stop) in enumerate(pairwise(edges)):
        own = rows.part(start, stop)
        made.append(PartRequest(*own, start, folder / name(part), metric, request, known, noisy, queries is not None))
    return made


def name(part: int) -> str:
    """The name of the folder of a part."""
    return f"part-{part:05d}"


def _lists(rows: VectorRows, least: int, metric: Metric, request: IndexRequest) -> int:
    """The number of lists of the quantiser that all parts share, as an index of ``least`` vectors has; 0 if no kind
    that may be chosen can share one."""
    if request.kind == "exact":
        return 0
    if request.kind == "auto" and request.budget.allows_exact(least, _read(rows, np.arange(1), request).shape[1]):
        return 0
    # Imported here because exact search must not need FAISS.
    from isthmus.index.faiss.shared_lists import KEY, lists_for

    kinds = tried(metric) if request.kind in ALL else [find(request.kind)]
    return lists_for(least) if any(kind.structure_key == KEY for kind in kinds) else 0


def _known(sample: Float[Tensor, "drawn width"], metric: Metric, lists: int, seed: int) -> Known:
    from isthmus.index.faiss.shared_lists import SharedLists

    return SharedLists.trained(sample, metric, lists, seed % (1 << 31)).structures


def _drawn(rows: VectorRows, most: int, request: IndexRequest) -> Float[Tensor, "drawn width"]:
    """Vectors of random rows, in their order."""
    random = np.random.default_rng(request.seed)
    return _read(rows, np.sort(random.choice(len(rows), min(most, len(rows)), replace=False)), request)


def _read(rows: VectorRows, numbers: npt.NDArray[np.int64], request: IndexRequest) -> Float[Tensor, "drawn width"]:
    return vector_files.read(rows.take(numbers), request.id_column, told=request.written)[0]


def merged_recall(found: SearchHits, scores: Sequence[npt.NDArray[np.float32]], k: int) -> float:
    """The share of the true ``k`` nearest neighbours among all parts that was found, from 0 to 1; ties count as found.

    Args:
        found: merged answers.
        scores: of the true nearest neighbours of each query in each part.
        k: number of neighbours.
    """
    every = torch.from_numpy(np.concatenate(scores, axis=1))
    last = every.topk(min(k, every.shape[1]), dim=1).values[:, -1]
    # Scores computed in another block differ in their last bits.
    lowest = (last - (1e-5 * last.abs() + 1e-12)).tolist()
    hits = sum(int((own >= bound).sum()) for own, bound in zip(found.scores, lowest, strict=True))
    return hits / max(1, min(k, every.shape[1]) * len(lowest))
