"""Parts of an index: what each of them answers, how their answers are merged, and how they are built side by side."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from isthmus.errors import BudgetError
from isthmus.ids import Id
from isthmus.index.index import Index
from isthmus.index.search import Ids, SearchHits
from isthmus.index.sharded.vector_rows import VectorRows
from isthmus.index.tuning.budget import Budget
from isthmus.index.vectors import Metric


@runtime_checkable
class Part(Protocol):
    """What a ``ShardedIndex`` asks of a part. An ``Index`` is one; so is whatever passes the questions on to an index
    in another process or machine. Results are those of the methods of ``Index``."""

    @property
    def metric(self) -> Metric: ...  # noqa: D102

    @property
    def width(self) -> int: ...  # noqa: D102

    def __len__(self) -> int: ...

    def __contains__(self, id_: object) -> bool: ...

    def search(  # noqa: D102
        self, queries: Any, k: int | Sequence[int] = 10, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits: ...

    def within(  # noqa: D102
        self, queries: Any, score: float, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits: ...

    def vectors(self, ids: Any) -> Any: ...  # noqa: D102

    def add(self, vectors: Any, ids: Any = None) -> None: ...  # noqa: D102

    def remove(self, ids: Any) -> None: ...  # noqa: D102

    def save(self, directory: str | Path) -> None: ...  # noqa: D102


def merged(found: Sequence[SearchHits], k: Sequence[int] | None = None) -> SearchHits:
    """The answers of all parts to the same queries, nearest first; equal scores in the order of the parts.

    Args:
        found: the answers of each part.
        k: how many are kept for each query; None keeps all.

    Returns:
        Exactly what one index of all vectors answers, if the answers of the parts are exact.
    """
    ids: list[list[Id]] = []
    scores: list[npt.NDArray[np.float32]] = []
    for query in range(len(found[0].ids)):
        every = np.concatenate([part.scores[query] for part in found])
        names = [name for part in found for name in part.ids[query]]
        best = np.argsort(-every, kind="stable")[: None if k is None else k[query]]
        ids.append([names[place] for place in best])
        scores.append(every[best])
    return SearchHits(ids, scores, found[0].kind)


@dataclass(frozen=True)
class PartRequest:
    """What is built: rows ``start`` to ``stop`` of a source, as an index in a folder.

    Attributes:
        rows: the source.
        start, stop: the first row, and the one after the last.
        folder: of the part.
        ids: name of the column of ids; None for the usual one, or the numbers of rows.
        metric: of the index.
        settings: further keywords of ``Index.build``.
    """

    rows: VectorRows
    start: int
    stop: int
    folder: Path
    ids: str | None
    metric: Metric
    settings: dict[str, Any]


def build_part(request: PartRequest) -> dict[str, Any]:
    """Build one part and save it.

    Args:
        request: which rows, and where to.

    Returns:
        What the index is, as ``Index.info`` tells it.
    """
    source = request.rows.read(request.start, request.stop)
    names = source.column_names if hasattr(source, "column_names") else []
    numbered = request.ids is None and "id" not in names
    ids: Any = np.arange(request.start, request.stop) if numbered else request.ids
    made = Index.build(source, ids, request.metric, **request.settings)
    made.save(request.folder)
    return made.info()


def build_parts(
    requests: Sequence[PartRequest], processes: int, told: Callable[[int], object] = lambda done: None
) -> list[dict[str, Any]]:
    """Build parts, several at a time in processes of their own.

    Args:
        requests: one for each part.
        processes: so many at a time; 1 builds them in this process, one after the other.
        told: called with the number of parts that are done.

    Returns:
        What each index is.

    Raises:
        BudgetError: a process was killed, as the system does when memory is short.
    """
    found: list[dict[str, Any]] = []
    if processes == 1:
        for request in requests:
            found.append(build_part(request))
            told(len(found))
        return found
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        jobs = [pool.submit(build_part, request) for request in requests]
        try:
            for job in jobs:
                found.append(job.result())
                told(len(found))
        except BrokenProcessPool as error:
            raise BudgetError(
                f"a process that built part {len(found) + 1} of {len(requests)} was killed",
                expected="memory for as many parts at a time as there are processes",
                remedy="use fewer processes or more, smaller parts",
            ) from error
    return found


def budget_of(budget: Budget | None) -> dict[str, Any]:
    """The keyword of ``Index.build``, if one was given."""
    return {} if budget is None else {"budget": budget}
