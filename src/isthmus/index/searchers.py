"""Searchers for code that maps rows to ids itself: the searcher that ``Index`` would use, without ids.

A model that searches its own vectors chooses a searcher at its first search, without the user asking for an
approximation. It therefore keeps exact search for longer than ``Index`` does: other kinds are tried only if one exact
query takes more than ``EXACT_SECONDS``.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.tuning.budget import SMALL, Budget
from isthmus.index.tuning.choose import choose
from isthmus.index.tuning.trials import IndexRequest
from isthmus.index.vectors import Metric, check_metric, check_vectors
from isthmus.protocols import Searcher

EXACT_SECONDS = 0.05
"""Seconds that one exact query may take before approximate kinds are tried."""

SMALL_ENOUGH = 10 * SMALL
"""Number of bytes that any machine reads within this time."""

TRIAL_SECONDS = 60.0
"""Seconds after which no further kind is tried."""


def kind_for(rows: int, width: int) -> str:
    """``kind`` for ``Index.build``: "exact" if one exact query takes at most ``EXACT_SECONDS``, else "auto"."""
    fast = 4 * rows * width <= SMALL_ENOUGH or Budget(seconds=EXACT_SECONDS).allows_exact(rows, width)
    return "exact" if fast else "auto"


def searcher_over(
    vectors: Float[Tensor, "rows width"], metric: Metric = "ip", queries: Callable[[], Tensor] | None = None
) -> Searcher:
    """A searcher for some vectors.

    It is exact if that is fast enough, if the vectors are not float32 on the CPU, or if no approximate kind reaches a
    measured recall@10 of 0.95; otherwise it is the fastest kind that does.

    Args:
        vectors: vectors, which must not change afterwards: they are shared if the metric compares them unchanged.
        metric: "ip", "cosine" or "l2", as for ``Index``.
        queries: returns typical queries to measure with; called only if approximate kinds are tried.

    Raises:
        SettingError: an unknown metric.
        InputError: no vectors.
        ValueRangeError: a number is NaN or infinite.
    """
    check_metric(metric)
    check_vectors(vectors, metric)
    vectors = vectors.detach()
    exact = ExactSearcher.over(vectors if vectors.is_floating_point() else vectors.float(), metric)
    plain = vectors.device.type == "cpu" and exact.compared.element_size() == 4
    if not plain or kind_for(*vectors.shape) == "exact":
        return exact
    request = IndexRequest(budget=Budget(build_seconds=TRIAL_SECONDS))
    chosen = choose(exact, request, None if queries is None else queries().float().cpu()).searcher
    return exact if chosen is None else chosen
