"""Several indexes of the same vectors, for several recalls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isthmus.index import build
from isthmus.index.index import Index
from isthmus.index.search import IdArray
from isthmus.index.tuning.budget import Budget
from isthmus.index.tuning.trials import Wish
from isthmus.index.vectors import Metric, check_metric


def build_each(
    vectors: Any,
    ids: IdArray | None = None,
    metric: Metric = "ip",
    *,
    targets: Sequence[float],
    k: int = 10,
    budget: Budget | None = None,
    seed: int = 0,
    queries: Any = None,
    kind: str = "auto",
) -> list[Index]:
    """One index for each recall in ``targets``, each chosen as ``Index.build(..., target_recall=target)`` chooses it.

    Graphs, lists and codes are built once and shared; settings are looked for, and speed and recall measured, anew for
    each target. ``build_seconds`` of the trials and of ``budget`` count what was built for an earlier target as if it
    had been built for this one. The other arguments and the errors are those of ``Index.build``.
    """
    check_metric(metric)
    first = Wish(kind, 1.0, k, budget or Budget(), seed)
    wishes = [replace(first, target_recall=target).checked() for target in targets]
    return [Index(*held) for held in build.built(vectors, ids, metric, wishes, queries)] if wishes else []
