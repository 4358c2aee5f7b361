"""Which searcher an index gets: exact where that is fast enough, else the fastest that finds enough.

Every kind is built and measured on the vectors themselves. Its settings are chosen on one half of the held-out queries
as the cheapest that reach the target, and judged on the other half.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple, cast, final

from torch import Tensor

from isthmus.errors import BudgetError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher, Settings
from isthmus.index.faiss import Kind as FaissKind
from isthmus.index.tuning.builds import Workshop
from isthmus.index.tuning.grids import Rung, ladders, tried
from isthmus.index.tuning.measure import Questions, held_out
from isthmus.index.tuning.trials import ALL, Choice, Trial, Wish

logger = logging.getLogger(__name__)

SAMPLE, GLANCE = 16, 0.01
"""Queries that show whether a kind could be fast enough at all; if they take less than so many seconds, all show it."""

HOPELESS = 2.0
"""A kind whose cheapest settings are this many times slower than the best so far is not measured further."""

MORE = 4
"""Rungs judged, from the lowest that reached the target on the other queries."""

FINALISTS, CLOSE, ROUNDS = 4, 1.4, 3
"""So many kinds, if the fastest was at most this many times as fast, are timed again in so many rounds, side by side:
what was timed minutes ago may have been timed on a busier machine."""

ALIKE = 1.1
"""Of kinds whose speeds differ by less than this, the one of the highest recall is kept."""


class Reached(NamedTuple):
    """What reached the target."""

    speed: float
    recall: float
    searcher: FaissSearcher


@final
class Contest:
    """The kinds measured so far, and the best of them.

    Args:
        workshop: builds the indexes.
        wish: what they must reach.
        questions: to choose settings by, and to judge by.
    """

    def __init__(self, workshop: Workshop, wish: Wish, questions: tuple[Questions, Questions]) -> None:
        self.workshop, self.wish = workshop, wish
        self.choosing, self.judging = questions
        exact = workshop.exact
        self.began, self.bytes = time.perf_counter(), 4 * len(exact) * exact.width
        speed, self.exact_alone = self.judging.speed(exact), self.judging.alone(exact)
        self.floor = speed if wish.kind in ALL else 0.0
        self.trials = [Trial("exact", {}, 1.0, speed, self.exact_alone, self.bytes, 0.0, "the reference")]
        self.reached: list[Reached] = []
        self.before = 0.0

    def enter(self, kind: FaissKind) -> None:
        """Build one kind and measure it."""
        # What was built for an earlier target counts as if it had been built for this one.
        if time.perf_counter() - self.began + self.before > self.wish.budget.build_seconds:
            self._skip(kind, "not tried: no time left")
            return
        if self.wish.kind in ALL and not self.workshop.pays(kind):
            self._skip(kind, "not tried: most axes are needed")
            return
        start = time.perf_counter()
        searcher, took = self.workshop.built(kind)
        self.before += max(0.0, took - (time.perf_counter() - start))
        size = self.bytes + searcher.nbytes
        if self.wish.budget.bytes is not None and size > self.wish.budget.bytes:
            self.trials.append(Trial(kind, {}, None, None, None, size, took, "over the bytes granted"))
            return
        for ladder in ladders(kind, searcher.settings.lists):
            self._climb(searcher, ladder, size, took)

    def _skip(self, kind: FaissKind, why: str) -> None:
        self.trials.append(Trial(kind, {}, None, None, None, None, None, why))

    @property
    def _best(self) -> float:
        return max((own.speed for own in self.reached), default=self.floor)

    def _hopeless(self, searcher: FaissSearcher) -> bool:
        """Whether it is much slower than the best so far."""
        speed = self.choosing.speed(searcher, SAMPLE)
        if GLANCE * speed > SAMPLE:
            # So few queries show no more than what a question costs before it is asked.
            speed = self.choosing.speed(searcher)
        return HOPELESS * speed < self._best

    def _climb(self, searcher: FaissSearcher, ladder: Sequence[Rung], size: int, took: float) -> None:
        """Look for the lowest rung that reaches the target, by halving, and measure it."""
        # The very lowest can be a slow one: where lists run dry, exact search has to answer.
        if all(self._hopeless(searcher.asking(**ladder[rung])) for rung in (0, len(ladder) // 3)):
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
        if recall < self.wish.target_recall:
            self.trials.append(Trial(searcher.kind, rung, recall, None, None, size, took, "below the target"))
            return
        speed, alone = self.judging.speed(asked), self.judging.alone(asked)
        outcome = self._outcome(speed, alone)
        if outcome in ("best so far", "slower") and speed > self.floor:
            self.reached.append(Reached(speed, recall, asked))
        self.trials.append(Trial(searcher.kind, rung, recall, speed, alone, size, took, outcome))
        logger.info("%s %s: recall %.3f, %.0f queries/s: %s", searcher.kind, rung, recall, speed, outcome)

    def _outcome(self, speed: float, alone: float) -> str:
        if self.wish.budget.seconds is not None and alone > self.wish.budget.seconds:
            return "over the seconds granted"
        return "best so far" if speed > self._best else "slower"

    def _winner(self) -> Reached:
        """The fastest, all that come close timed again; of those as fast, the one of the highest recall."""
        close = [own for own in self.reached if own.speed * CLOSE >= self._best]
        close = sorted(close, key=lambda own: own.speed)[-FINALISTS:]
        if len(close) > 1:
            rounds = [[self.judging.speed(own.searcher) for own in close] for _ in range(ROUNDS)]
            again = map(max, zip(*rounds, strict=True))
            close = [own._replace(speed=speed) for own, speed in zip(close, again, strict=True)]
        fastest = max(own.speed for own in close)
        return max((own for own in close if own.speed * ALIKE >= fastest), key=lambda own: (own.recall, own.speed))

    def decided(self) -> Choice:
        """The best that reached the target, else exact search.

        Raises:
            BudgetError: exact search takes more time than granted.
        """
        if self.reached:
            speed, recall, searcher = self._winner()
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


def choose(exact: ExactSearcher, wish: Wish, queries: Tensor | None = None, workshop: Workshop | None = None) -> Choice:
    """The searcher for some vectors.

    ``workshop`` keeps what was built over them for other wishes of the same seed; all measurements are made anew.

    Raises:
        BudgetError: nothing that keeps the budget reaches the target, exact search included.
        InputError: fewer than two queries are given.
    """
    wish.budget.check_bytes(len(exact), exact.width)
    if wish.kind == "exact":
        return Choice("exact", None, 1.0, "exact search was asked for")
    if wish.kind == "auto" and wish.budget.allows_exact(len(exact), exact.width):
        return Choice("exact", None, 1.0, "comparing with every vector is fast enough")
    questions = held_out(exact, queries, wish.k, wish.seed)
    contest = Contest(workshop or Workshop(exact, wish.seed), wish, questions)
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
