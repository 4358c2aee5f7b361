"""The method of a recommender that reports on it."""

from __future__ import annotations

from typing import Any, Unpack

from isthmus_interactions.files.reading import Reading
from isthmus_interactions.recommend.answer_verbs import AnswerVerbs
from isthmus_interactions.recommend.protocols import Protocol
from isthmus_interactions.report.build import Asked, built
from isthmus_interactions.report.report import QualityReport


class ReportVerbs(AnswerVerbs):
    """Reports on a recommender."""

    def report(
        self,
        test: Any,
        *,
        k: int = 20,
        split: str | None = None,
        at: Any = None,
        target: str | None = None,
        seen: str | None = None,
        hide: float = 0.2,
        seed: int = 0,
        samples: int = 1000,
        **reading: Unpack[Reading],
    ) -> QualityReport:
        """Report the quality of the recommender for groups of users and items, and problems of the model or the test.

        Scores have intervals and are split by users (few, some, many interactions) and by items (popular, medium, rare,
        new), and compared with popularity. Checks look for test pairs that were trained on, test events from before the
        end of the training data, users who were trained on under the same or another id, repeated rows, items unknown
        to the model, a model that is no better than popularity (of all time, of the last week or month), and low
        variety.

        Args:
            test: later or held-out events: a file, a data frame, a matrix or arrays, as for ``evaluate``.
            k: length of the rankings.
            split, at, target, seen, hide: the protocol, as for ``evaluate``.
            seed: seed for the hidden items, and for the users that are drawn for the intervals.
            samples: number of times that users are drawn; fewer if there are more than 20,000 users.
            reading: columns and other keywords of ``Interactions.read`` that differ from those of ``fit``.

        Returns:
            The report; ``save`` writes it as a page or as JSON, ``tables`` has its tables.

        Raises:
            SettingError: an unknown split, or ``k`` or ``samples`` below 1.
            InputError: data that cannot be read or evaluated; see ``evaluate``.
        """
        asked = Asked(k, Protocol(split, hide, seed, at, target, seen), samples)
        return built(self.fitted, self._engine, test, asked, **reading)
