"""Which searcher an index gets: exact where that is fast enough, else the fastest that finds enough.

Every kind is built and measured on the vectors themselves. Its settings are chosen on one half of the held-out queries
as the cheapest that reach the target, and judged on the other half.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from torch import Tensor

from isthmus.errors import BudgetError, SettingError
from isthmus.index.budget import Budget
from isthmus.index.exact import ExactSearcher
from isthmus.index.faiss import FaissSearcher, Settings, check_kind
from isthmus.index.faiss import Kind as FaissKind
from isthmus.index.ladders import Rung, ladders, tried
from isthmus.index.measuring import Questions, held_out

logger = logging.getLogger(__name__)

SAMPLE = 16
"""Queries that show whether a kind could be fast enough at all."""

HOPELESS = 2.0
"""A kind whose cheapest settings are this many times slower than the best so far is not measured further."""


ALL = ("auto", "fastest")
"""Wishes by which every kind may be tried."""

MORE = 4
"""Rungs judged, from the lowest that reached the target on the other queries."""


@dataclass(frozen=True)
class Wish:
    """What is asked of an index.

    Attributes:
        kind: "auto", "fastest" (try all, however fast exact search is), "exact" or the one kind that is wanted.
        target_recall: the least share of the true ``k`` nearest.
        k: how many neighbours are meant.
        budget: time and memory.
        seed: of everything random.
    """

    kind: str = "auto"
    target_recall: float = 0.95
    k: int = 10
    budget: Budget = field(default_factory=Budget)
    seed: int = 0

    def checked(self) -> Wish:
        """The same.

        Raises:
            SettingError: something outside its range.
        """
        if self.kind not in (*ALL, "exact"):
            check_kind(self.kind)
        if not 0 < self.target_recall <= 1:
            raise SettingError(f"target_recall is {self.target_recall}", expected="above 0 and at most 1")
        if self.k < 1:
            raise SettingError(f"k is {self.k}", expected="at least 1")
        self.budget.checked()
        return self


@dataclass(frozen=True)
class Trial:
    """What was tried, and what came of it; None for what was not measured.

    Attributes:
        kind: of the index.
        settings: it was asked with.
        recall: share of the true k nearest found, on queries that did not choose the settings.
        queries_per_second: asked together.
        seconds_a_query: asked alone.
        bytes: of vectors and index.
        build_seconds: it took.
        outcome: in words.
    """

    kind: str
    settings: Rung
    recall: float | None
    queries_per_second: float | None
    seconds_a_query: float | None
    bytes: int | None
    build_seconds: float | None
    outcome: str


@dataclass(frozen=True)
class Choice:
    """What an index is asked through.

    Attributes:
        kind: "exact", or FAISS's.
        searcher: None for exact.
        recall: as measured; 1 for exact.
        reason: in words.
        trials: all of them, in order.
    """

    kind: str
    searcher: FaissSearcher | None
    recall: float
    reason: str
    trials: tuple[Trial, ...] = ()


def choose(exact: ExactSearcher, wish: Wish, queries: Tensor | None = None) -> Choice:
    """The searcher for some vectors.

    Raises:
        BudgetError: nothing that keeps the budget reaches the target, exact search included.
        InputError: fewer than two queries are given.
    """
    wish.budget.check_bytes(len(exact), exact.width)
    if wish.kind == "exact":
        return Choice("exact", None, 1.0, "exact search was asked for")
    if wish.kind == "auto" and wish.budget.allows_exact(len(exact), exact.width):
        return Choice("exact", None, 1.0, "comparing with every vector is fast enough")
    contest = _Contest(exact, wish, held_out(exact, queries, wish.k, wish.seed))
    for kind in tried(exact.metric) if wish.kind in ALL else (wish.kind,):
        contest.enter(cast(FaissKind, kind))
    return contest.decided()


def measured(exact: ExactSearcher, wish: Wish, old: FaissSearcher, queries: Tensor | None) -> Choice | None:
    """A kind with its settings over other vectors, if it keeps the budget and reaches the target there."""
    wish.budget.check_bytes(len(exact), exact.width)
    _, judging = held_out(exact, queries, wish.k, wish.seed)
    given = asdict(old.settings)
    # As many lists as the new number of rows calls for, and the same share of them visited.
    lists = Settings.checked(len(exact)).lists
    given |= {"lists": lists, "probes": max(1, round(old.settings.probes * lists / old.settings.lists))}
    searcher = FaissSearcher.over(exact, old.kind, Settings.checked(len(exact), **given))
    recall, alone = judging.recall(searcher), judging.alone(searcher)
    size, granted = 4 * len(exact) * exact.width + searcher.nbytes, wish.budget
    over = (granted.seconds or alone) < alone or (granted.bytes or size) < size
    if over or recall < wish.target_recall:
        return None
    rung = {name: getattr(searcher.settings, name) for name in ("probes", "breadth", "widen")}
    trial = Trial(old.kind, rung, recall, judging.speed(searcher), alone, size, None, "kept when compacted")
    return Choice(old.kind, searcher, recall, f"still reaches {wish.target_recall:g}", (trial,))


class _Contest:
    """The kinds measured so far, and the best of them."""

    def __init__(self, exact: ExactSearcher, wish: Wish, questions: tuple[Questions, Questions]) -> None:
        self.exact, self.wish = exact, wish
        self.choosing, self.judging = questions
        self.began = time.perf_counter()
        self.bytes = 4 * len(exact) * exact.width
        speed, alone = self.judging.speed(exact), self.judging.alone(exact)
        self.floor = speed if wish.kind in ALL else 0.0
        self.trials = [Trial("exact", {}, 1.0, speed, alone, self.bytes, 0.0, "the reference")]
        self.exact_alone = alone
        self.best: tuple[float, float, FaissSearcher] | None = None
        self.centroids: dict[bool, FaissSearcher] = {}

    def enter(self, kind: FaissKind) -> None:
        """Build one kind and measure it."""
        if time.perf_counter() - self.began > self.wish.budget.build_seconds:
            self.trials.append(Trial(kind, {}, None, None, None, None, None, "not tried: no time left"))
            return
        settings = Settings.checked(len(self.exact), seed=self.wish.seed)
        start = time.perf_counter()
        known = self.centroids.get(kind == "ivf-lifted") if kind not in ("hnsw",) else None
        searcher = FaissSearcher.over(self.exact, kind, settings, None if known is None else known.structure)
        took = time.perf_counter() - start
        if searcher.structure.keys() == {"centroids"}:
            self.centroids.setdefault(kind == "ivf-lifted", searcher)
        size = self.bytes + searcher.nbytes
        if self.wish.budget.bytes is not None and size > self.wish.budget.bytes:
            self.trials.append(Trial(kind, {}, None, None, None, size, took, "over the bytes granted"))
            return
        for ladder in ladders(kind, settings.lists):
            self._climb(searcher, ladder, size, took)

    def _climb(self, searcher: FaissSearcher, ladder: Sequence[Rung], size: int, took: float) -> None:
        """Look for the lowest rung that reaches the target, by halving, and measure it."""
        best = self.floor if self.best is None else self.best[0]
        if HOPELESS * self.choosing.speed(searcher.asking(**ladder[0]), SAMPLE) < best:
            self.trials.append(Trial(searcher.kind, ladder[0], None, None, None, size, took, "slower"))
            return
        low, high = 0, len(ladder) - 1
        while low < high:
            middle = (low + high) // 2
            enough = self.choosing.recall(searcher.asking(**ladder[middle])) >= self.wish.target_recall
            low, high = (low, middle) if enough else (middle + 1, high)
        # Half of the queries may be easier than the other: a few rungs more are allowed.
        for rung in ladder[low : low + MORE]:
            asked = searcher.asking(**rung)
            recall = self.judging.recall(asked)
            if recall >= self.wish.target_recall:
                break
        speed, alone = self.judging.speed(asked), self.judging.alone(asked)
        outcome = self._outcome(recall, speed, alone)
        if outcome == "best so far":
            self.best = (speed, recall, asked)
        self.trials.append(Trial(searcher.kind, rung, recall, speed, alone, size, took, outcome))
        logger.info("%s %s: recall %.3f, %.0f queries/s: %s", searcher.kind, rung, recall, speed, outcome)

    def _outcome(self, recall: float, speed: float, alone: float) -> str:
        if recall < self.wish.target_recall:
            return "below the target"
        if self.wish.budget.seconds is not None and alone > self.wish.budget.seconds:
            return "over the seconds granted"
        best = self.floor if self.best is None else self.best[0]
        return "best so far" if speed > best else "slower"

    def decided(self) -> Choice:
        """The best that reached the target, else exact search.

        Raises:
            BudgetError: exact search takes more time than granted.
        """
        if self.best is not None:
            speed, recall, searcher = self.best
            reason = f"the fastest of those that reach {self.wish.target_recall:g} ({speed:,.0f} queries/s)"
            return Choice(searcher.kind, searcher, recall, reason, tuple(self.trials))
        granted = self.wish.budget.seconds
        if granted is not None and self.exact_alone > granted:
            raise BudgetError(
                f"no index reaches recall {self.wish.target_recall:g} in {granted:g} s a query, and exact search takes "
                f"{self.exact_alone:.2g} s",
                remedy="grant more time or ask for less recall",
            )
        if any(trial.outcome == "slower" for trial in self.trials):
            return Choice("exact", None, 1.0, "exact search is the fastest here", tuple(self.trials))
        logger.warning("no index reached recall %g: exact search is kept", self.wish.target_recall)
        reason = f"nothing faster reached recall {self.wish.target_recall:g}"
        return Choice("exact", None, 1.0, reason, tuple(self.trials))
