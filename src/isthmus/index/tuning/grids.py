"""Which kinds of index are tried, in which order, and with which settings, the cheap ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isthmus.index.vectors import Metric

ORDER = ("ivf", "ivf-lifted", "ivf-sq8", "ivf-pq", "rabitq", "hnsw-short", "hnsw", "sq8", "fp16", "bf16")
"""All that is tried. Lists come first, because the kinds with lists share their k-means; the graph takes longest."""

Rung = Mapping[str, int]

LEAST_WALK, DEEPEST_WALK = 10, 2048


def tried(metric: Metric) -> tuple[str, ...]:
    """The kinds for a metric; lifting changes only inner products."""
    return tuple(kind for kind in ORDER if metric == "ip" or kind != "ivf-lifted")


def ladders(kind: str, lists: int) -> Sequence[Sequence[Rung]]:
    """Settings of rising recall and cost. Codes need more candidates than answers, fewer where they are longer."""
    if kind == "hnsw":
        return [[{"breadth": breadth} for breadth in _rising(LEAST_WALK, DEEPEST_WALK)]]
    if kind == "hnsw-short":
        # A walk keeps as many as it is asked for, so the narrowest is the cheapest of each widening.
        return [
            [{"breadth": breadth, "widen": widen} for breadth in _rising(LEAST_WALK * widen, DEEPEST_WALK)]
            for widen in (1, 2, 3, 4, 8)
        ]
    if kind in ("sq8", "fp16", "bf16"):
        return [[{"widen": widen} for widen in (1, 2, 4)]]
    widths = {"ivf-sq8": (2,), "ivf-pq": (4, 16), "rabitq": (4, 16)}.get(kind, (1,))
    return [[{"probes": probes, "widen": widen} for probes in _rising(1, lists)] for widen in widths]


def _rising(first: int, last: int) -> list[int]:
    """Whole numbers from ``first`` to ``last``, each about a fifth larger than the one before."""
    numbers = [min(first, last)]
    while numbers[-1] < last:
        numbers.append(min(last, max(numbers[-1] + 1, numbers[-1] * 6 // 5)))
    return numbers
