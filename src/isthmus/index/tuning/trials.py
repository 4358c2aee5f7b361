"""Requests for an index, the trials of its kinds, and the choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from isthmus.checked.arguments import ABOVE_ZERO, checked_k, checked_seed, real
from isthmus.index.kinds import ApproximateSearcher, Setting
from isthmus.index.registry import RESERVED, find
from isthmus.index.tuning.budget import Budget
from isthmus.reprs import brief

ALL = ("auto", "fastest")
"""Values of ``IndexRequest.kind`` for which every kind may be tried."""


@dataclass(frozen=True)
class IndexRequest:
    """What an index must reach, and what it may take.

    Attributes:
        kind: "auto", "fastest" (try all, however fast exact search is), "exact" or the one kind that is wanted.
        target_recall: the least share of the true ``k`` nearest.
        k: how many neighbours are meant.
        budget: time and memory.
        seed: of everything random.
        id_column: the column of the vectors' table that held the ids, where it was named.
    """

    kind: str = "auto"
    target_recall: float = 0.95
    k: int = 10
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    id_column: str | None = None

    def checked(self) -> IndexRequest:
        """The same.

        Raises:
            SettingError: something outside its range.
        """
        if not isinstance(self.kind, str) or self.kind not in RESERVED:
            find(self.kind)
        recall = real("target_recall", self.target_recall, "above 0 and at most 1", least=ABOVE_ZERO, most=1)
        self.budget.checked()
        return replace(self, target_recall=recall, k=checked_k(self.k), seed=checked_seed(self.seed))


@brief
@dataclass(frozen=True)
class Trial:
    """What was tried, and what came of it; None for what was not measured.

    Attributes:
        kind: of the index.
        settings: that trade recall for speed, by name.
        recall: share of the true k nearest found, on queries that did not choose the settings.
        queries_per_second: searched as one batch.
        seconds_a_query: of a search with a single query.
        bytes: of vectors and index.
        build_seconds: it took.
        outcome: in words.
    """

    kind: str
    settings: Mapping[str, Setting]
    recall: float | None
    queries_per_second: float | None
    seconds_a_query: float | None
    bytes: int | None
    build_seconds: float | None
    outcome: str


@brief
@dataclass(frozen=True)
class ChosenIndex:
    """The kind that was chosen, with its searcher.

    Attributes:
        kind: "exact", or the name of an ``IndexKind``.
        searcher: None for exact.
        recall: as measured; 1 for exact.
        reason: in words.
        trials: all of them, in order.
    """

    kind: str
    searcher: ApproximateSearcher | None
    recall: float
    reason: str
    trials: tuple[Trial, ...] = ()
