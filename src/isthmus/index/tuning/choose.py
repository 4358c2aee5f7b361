"""Chooses the searcher of an index: exact search if it is fast enough, otherwise the fastest kind with the target
recall.

Each kind is built and measured on the vectors themselves. Its settings are the cheapest that reach the target on one
half of the held-out queries; the result is measured on the other half.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple, final

from torch import Tensor

from isthmus.errors import BudgetError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.kinds import ApproximateSearcher, IndexKind
from isthmus.index.registry import find, tried
from isthmus.index.tuning.builds import IndexBuilds
from isthmus.index.tuning.measure import HeldOutQueries, held_out
from isthmus.index.tuning.steps import StepProgress, step
from isthmus.index.tuning.trials import ALL, ChosenIndex, IndexRequest, Trial
from isthmus.reprs import counted

logger = logging.getLogger(__name__)

SAMPLE, SAMPLE_SECONDS = 16, 0.01
"""Number of queries that show whether a kind could be fast enough; if they take less than this time, all queries are
used."""

TOO_SLOW = 2.0
"""A kind whose cheapest settings are this many times slower than the best so far is not measured further."""

EXTRA_SETTINGS = 4
"""Number of settings that are tried, from the cheapest that reached the target on the other queries."""

FINALISTS, CLOSE, ROUNDS = 4, 1.4, 3
"""Number of kinds that are timed again in rounds, side by side, if the fastest was at most this many times as fast: the
machine may have been busier during some of the earlier measurements."""

SIMILAR = 1.1
"""Among kinds whose speeds differ by less than this, the one with the highest recall is kept."""


class QualifiedIndex(NamedTuple):
    """An index that reached the target, with its measurements."""

    throughput: float
    recall: float
    searcher: ApproximateSearcher


@final
class KindSearch:
    """The kinds measured so far, and the best of them.

    Args:
        builds: builds the indexes.
        request: target and limits.
        queries: to choose settings, and to measure the choice.
    """

    def __init__(
        self, builds: IndexBuilds, request: IndexRequest, queries: tuple[HeldOutQueries, HeldOutQueries]
    ) -> None:
        self.builds, self.request = builds, request
        self.tuning, self.judging = queries
        exact = builds.exact
        self.start_time, self.vector_bytes = time.perf_counter(), 4 * len(exact) * exact.width
        throughput, self.exact_latency = self.judging.throughput(None), self.judging.latency(None)
        self.exact_throughput = throughput if request.kind in ALL else 0.0
        self.trials = [Trial("exact", {}, 1.0, throughput, self.exact_latency, self.vector_bytes, 0.0, "the reference")]
        self.qualified: list[QualifiedIndex] = []
        self.shared_seconds = 0.0

    def try_kind(self, kind: IndexKind) -> None:
        """Build one kind and measure it."""
        # A structure that was built for an earlier target counts as if it had been built for this one.
        if time.perf_counter() - self.start_time + self.shared_seconds > self.request.budget.build_seconds:
            self._skip(kind, "not tried: no time left")
            return
        declined = self.builds.declined(kind) if self.request.kind in ALL else None
        if declined is not None:
            self._skip(kind, f"not tried: {declined}")
            return
        least = self.vector_bytes + self.builds.least_bytes(kind)
        if self._over_bytes(least):
            self._skip(kind, "over the bytes granted", least)
            return
        start = time.perf_counter()
        searcher, seconds = self.builds.built(kind)
        self.shared_seconds += max(0.0, seconds - (time.perf_counter() - start))
        size = self.vector_bytes + searcher.nbytes
        if self._over_bytes(size):
            self.trials.append(Trial(kind.name, {}, None, None, None, size, seconds, "over the bytes granted"))
            return
        for grid in searcher.grid():
            self._search_grid(grid, size, seconds)

    def _skip(self, kind: IndexKind, why: str, size: int | None = None) -> None:
        self.trials.append(Trial(kind.name, {}, None, None, None, size, None, why))

    def _over_bytes(self, size: int) -> bool:
        return self.request.budget.bytes is not None and size > self.request.budget.bytes

    @property
    def _best(self) -> float:
        return max((own.throughput for own in self.qualified), default=self.exact_throughput)

    def _too_slow(self, searcher: ApproximateSearcher) -> bool:
        """Whether it is much slower than the best so far."""
        throughput = self.tuning.throughput(searcher, SAMPLE)
        if SAMPLE_SECONDS * throughput > SAMPLE:
            # So few queries would measure only the overhead of a search.
            throughput = self.tuning.throughput(searcher)
        return TOO_SLOW * throughput < self._best

    def _search_grid(self, grid: Sequence[ApproximateSearcher], size: int, seconds: float) -> None:
        """Find the cheapest settings that reach the target, by bisection, and measure them."""

        def record(
            own: ApproximateSearcher,
            outcome: str,
            recall: float | None = None,
            throughput: float | None = None,
            latency: float | None = None,
        ) -> None:
            self.trials.append(
                Trial(own.kind, own.search_settings, recall, throughput, latency, size, seconds, outcome)
            )

        # The very cheapest can be slow: where lists run dry, exact search has to answer.
        if all(self._too_slow(grid[place]) for place in (0, len(grid) // 3)):
            record(grid[0], "slower")
            return
        low, high = 0, len(grid) - 1
        while low < high:
            middle = (low + high) // 2
            enough = self.tuning.recall(grid[middle]) >= self.request.target_recall
            low, high = (low, middle) if enough else (middle + 1, high)
        # The other half of the queries may be harder, so a few more expensive settings are tried.
        for searcher in grid[low : low + EXTRA_SETTINGS]:
            recall = self.judging.recall(searcher)
            enough = recall >= self.request.target_recall
            if enough:
                break
        if not enough:
            record(searcher, "below the target", recall)
            return
        throughput, latency = self.judging.throughput(searcher), self.judging.latency(searcher)
        outcome = self._outcome(throughput, latency)
        if outcome in ("best so far", "slower") and throughput > self.exact_throughput:
            self.qualified.append(QualifiedIndex(throughput, recall, searcher))
        record(searcher, outcome, recall, throughput, latency)
        named = f"{searcher.kind} {dict(searcher.search_settings)}"
        logger.info("%s: recall %.3f, %.0f queries/s: %s", named, recall, throughput, outcome)

    def _outcome(self, throughput: float, latency: float) -> str:
        if self.request.budget.seconds is not None and latency > self.request.budget.seconds:
            return "over the seconds granted"
        return "best so far" if throughput > self._best else "slower"

    def _winner(self) -> QualifiedIndex:
        """The fastest kind: close candidates are timed again, and among equally fast ones the highest recall wins."""
        close = [own for own in self.qualified if own.throughput * CLOSE >= self._best]
        close = sorted(close, key=lambda own: own.throughput)[-FINALISTS:]
        if len(close) > 1:
            rounds = [[self.judging.throughput(own.searcher) for own in close] for _ in range(ROUNDS)]
            again = map(max, zip(*rounds, strict=True))
            close = [own._replace(throughput=throughput) for own, throughput in zip(close, again, strict=True)]
        fastest = max(own.throughput for own in close)
        similar = [own for own in close if own.throughput * SIMILAR >= fastest]
        return max(similar, key=lambda own: (own.recall, own.throughput))

    def result(self) -> ChosenIndex:
        """The best index that reached the target, otherwise exact search.

        Raises:
            BudgetError: exact search takes more time than allowed.
        """
        target = self.request.target_recall
        if self.qualified:
            throughput, recall, searcher = self._winner()
            reason = f"the fastest of those that reach {target:g} ({throughput:,.0f} queries/s)"
            return ChosenIndex(searcher.kind, searcher, recall, reason, tuple(self.trials))
        granted = self.request.budget.seconds
        if granted is not None and self.exact_latency > granted:
            raise BudgetError(
                f"no index reaches recall {target:g} in {granted:g} s a query, and exact search takes "
                f"{self.exact_latency:.2g} s",
                remedy="allow more time or a lower recall",
            )
        if any(trial.outcome == "slower" for trial in self.trials):
            return ChosenIndex("exact", None, 1.0, "exact search is the fastest here", tuple(self.trials))
        logger.warning("no index reached recall %g: exact search is kept", target)
        reason = f"nothing faster reached recall {target:g}"
        return ChosenIndex("exact", None, 1.0, reason, tuple(self.trials))


def choose(
    exact: ExactSearcher,
    request: IndexRequest,
    queries: Tensor | None = None,
    builds: IndexBuilds | None = None,
    progress: StepProgress | None = None,
) -> ChosenIndex:
    """Choose the searcher for some vectors.

    Args:
        exact: exact searcher over the vectors, float32 on the CPU.
        request: kind, recall, budget and seed.
        queries: queries to measure with; None for random vectors with noise.
        builds: caches indexes of these vectors for other requests with the same seed; measurements are repeated.
        progress: told which kind is being tried.

    Returns:
        The chosen index.

    Raises:
        BudgetError: nothing within the budget reaches the target, including exact search.
        InputError: fewer than two queries.
        SettingError: an unknown kind, or one that does not support the metric.
    """
    request.budget.check_bytes(len(exact), exact.width)
    if request.kind == "exact":
        return ChosenIndex("exact", None, 1.0, "exact search was requested")
    if request.kind == "auto" and request.budget.allows_exact(len(exact), exact.width):
        return ChosenIndex("exact", None, 1.0, "comparing with every vector is fast enough")
    with step(progress, f"measuring exact search of {counted(len(exact), 'vector')}"):
        held = held_out(exact, queries, request.k, request.seed)
        search = KindSearch(builds or IndexBuilds(exact, request.seed), request, held)
    kinds = tried(exact.metric) if request.kind in ALL else [find(request.kind)]
    for number, kind in enumerate(kinds, start=1):
        with step(progress, f"trying {kind.name} ({number} of {len(kinds)})"):
            search.try_kind(kind)
    with step(progress, "comparing the fastest"):
        return search.result()


def keep(
    exact: ExactSearcher, request: IndexRequest, old: ApproximateSearcher, queries: Tensor | None
) -> ChosenIndex | None:
    """Keep an earlier choice for other vectors, if it stays within the budget and reaches the target there.

    Args:
        exact: exact searcher over the other vectors.
        request: target and limits.
        old: the earlier choice.
        queries: as for ``choose``.

    Returns:
        The same kind with suitable settings; None if it does not reach the target.
    """
    request.budget.check_bytes(len(exact), exact.width)
    _, judging = held_out(exact, queries, request.k, request.seed)
    searcher = old.rebuilt(exact)
    recall, latency = judging.recall(searcher), judging.latency(searcher)
    size, granted = 4 * len(exact) * exact.width + searcher.nbytes, request.budget
    over = (granted.seconds or latency) < latency or (granted.bytes or size) < size
    if over or recall < request.target_recall:
        return None
    settings, throughput = searcher.search_settings, judging.throughput(searcher)
    trial = Trial(old.kind, settings, recall, throughput, latency, size, None, "kept when compacted")
    return ChosenIndex(old.kind, searcher, recall, f"still reaches {request.target_recall:g}", (trial,))
