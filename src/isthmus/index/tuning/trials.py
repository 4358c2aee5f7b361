"""Requests for an index, trials of kinds, and the choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from isthmus.checked.arguments import ABOVE_ZERO, checked_k, checked_seed, real
from isthmus.files import NOTHING_TOLD, Told
from isthmus.index.kinds import ApproximateSearcher, Setting
from isthmus.index.registry import RESERVED, find
from isthmus.index.tuning.budget import Budget
from isthmus.reprs import brief

ALL = ("auto", "fastest")
"""Values of ``IndexRequest.kind`` for which every kind may be tried."""


@dataclass(frozen=True)
class IndexRequest:
    """Target and limits of an index.

    Attributes:
        kind: "auto", "fastest" (try all kinds even if exact search is fast), "exact" or the name of one kind.
        target_recall: minimum share of the true ``k`` nearest neighbours.
        k: number of neighbours.
        budget: time and memory.
        seed: seed of everything random.
        id_column: column of the ids in the table of vectors, if it was named.
        written: how the file of vectors is written, as far as the caller said it.
    """

    kind: str = "auto"
    target_recall: float = 0.95
    k: int = 10
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    id_column: str | None = None
    written: Told = NOTHING_TOLD

    def checked(self) -> IndexRequest:
        """Check the request, and return this object.

        Raises:
            SettingError: a value outside its range.
        """
        if not isinstance(self.kind, str) or self.kind not in RESERVED:
            find(self.kind)
        recall = real("target_recall", self.target_recall, "above 0 and at most 1", least=ABOVE_ZERO, most=1)
        self.budget.checked()
        return replace(self, target_recall=recall, k=checked_k(self.k), seed=checked_seed(self.seed))


@brief
@dataclass(frozen=True)
class Trial:
    """One trial of a kind; None for values that were not measured.

    Attributes:
        kind: name of the kind.
        settings: settings that trade recall for speed, by name.
        recall: share of the true k nearest neighbours that was found, on queries that did not choose the settings.
        queries_per_second: searched as one batch.
        seconds_a_query: time of a search with a single query.
        bytes: memory of vectors and index.
        build_seconds: time for building.
        outcome: result in words.
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
    """The chosen kind, with its searcher.

    Attributes:
        kind: "exact", or the name of an ``IndexKind``.
        searcher: None for exact search.
        recall: measured recall; 1 for exact search.
        reason: reason in words.
        trials: all trials, in order.
    """

    kind: str
    searcher: ApproximateSearcher | None
    recall: float
    reason: str
    trials: tuple[Trial, ...] = ()
