"""Parts of an index: what each of them answers, and how their answers are merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from isthmus.ids import Id
from isthmus.index.search import IdArray, Ids, SearchHits
from isthmus.index.vectors import Metric


@runtime_checkable
class Part(Protocol):
    """What a ``ShardedIndex`` asks of a part. An ``Index`` is one; so is ``isthmus.index.sharded.hosts.RemotePart``,
    which passes the questions on to an index in another process or machine. Results and errors are those of the methods
    of ``Index``."""

    @property
    def metric(self) -> Metric: ...  # noqa: D102

    @property
    def width(self) -> int: ...  # noqa: D102

    @property
    def ids(self) -> list[Id]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def holds(self, ids: IdArray) -> list[bool]: ...  # noqa: D102

    def search(  # noqa: D102
        self, queries: Any, k: int | Sequence[int] = 10, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits: ...

    def within(  # noqa: D102
        self, queries: Any, score: float, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits: ...

    def vectors(self, ids: IdArray) -> npt.NDArray[np.float32]: ...  # noqa: D102

    def add(self, vectors: Any, ids: IdArray | None = None) -> None: ...  # noqa: D102

    def update(self, vectors: Any, ids: IdArray | None = None) -> None: ...  # noqa: D102

    def remove(self, ids: IdArray) -> None: ...  # noqa: D102

    def compact(self, queries: Any = None) -> None: ...  # noqa: D102

    def info(self) -> dict[str, Any]: ...  # noqa: D102

    def save(self, directory: str | Path) -> None: ...  # noqa: D102

    def export(self, path: str | Path) -> None: ...  # noqa: D102


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
        ids.append([names[place] for place in best.tolist()])
        scores.append(every[best])
    return SearchHits(ids, scores, found[0].kind)
