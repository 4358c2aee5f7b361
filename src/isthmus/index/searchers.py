"""Nearest rows, for code that keeps the ids elsewhere: the searcher that ``Index`` would ask, without its face.

A model that searches its own vectors chooses a searcher at its first search, without a word from the user about
approximation. So it is slower to leave exact search than ``Index``: other kinds are tried only where one query of exact
search takes more than ``EXACT_SECONDS``.
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
"""Seconds that one query of exact search may take before another kind is looked for."""

SMALL_ENOUGH = 10 * SMALL
"""Bytes that any machine reads in less."""

TRIAL_SECONDS = 60.0
"""Seconds after which no further kind is tried."""


def kind_for(rows: int, width: int) -> str:
    """``kind`` for ``Index.build``: "exact" where one query takes at most ``EXACT_SECONDS``, else "auto"."""
    fast = 4 * rows * width <= SMALL_ENOUGH or Budget(seconds=EXACT_SECONDS).allows_exact(rows, width)
    return "exact" if fast else "auto"


def searcher_over(
    vectors: Float[Tensor, "rows width"], metric: Metric = "ip", queries: Callable[[], Tensor] | None = None
) -> Searcher:
    """The searcher for some vectors: exact where that is fast enough, and for vectors that are not float32 on the CPU;
    else the fastest whose measured recall@10 is at least 0.95, exact again where none is.

    Args:
        vectors: shared, not copied, where the metric compares them as they are: nobody may change them.
        metric: "ip", "cosine" or "l2", as for ``Index``.
        queries: makes some of the kind that will be asked, to measure with; called only where kinds are tried.

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
