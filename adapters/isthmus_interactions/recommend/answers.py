"""What a recommender answers, in external ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.protocols import Neighbours
from isthmus.vocabulary import Id, Vocabulary


@dataclass(frozen=True)
class Answer:
    """Items, or users, best first.

    Attributes:
        ids: at most k; fewer where fewer may be answered.
        scores: higher is better; comparable inside one answer.
        unknown: ids of the question that the catalogue does not hold and that were left out.
        popular: whether nothing of the history was known, so that the most popular items were answered; their scores
            are shares of users.
    """

    ids: list[Id]
    scores: list[float]
    unknown: list[Id] = field(default_factory=list)
    popular: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def to_json(self) -> dict[str, Any]:
        """The document that the command line prints."""
        pairs = zip(self.ids, self.scores, strict=True)
        document: dict[str, Any] = {"items": [{"id": id_, "score": score} for id_, score in pairs]}
        return {**document, "unknown": self.unknown, "popular": self.popular}


def to_answers(
    found: Neighbours,
    vocabulary: Vocabulary,
    unknown: Sequence[list[Id]] | None = None,
    popular: Sequence[bool] | None = None,
) -> list[Answer]:
    """Rows as ids, one answer for each question; places that no row fills are left out.

    Args:
        found: rows and scores, best first.
        vocabulary: whose rows they are.
        unknown: for each question the ids that were left out; none, if not given.
        popular: for each question whether the most popular items answer it; none does, if not given.

    Returns:
        An answer for each question.
    """
    rows, scores = found.rows.cpu().numpy(), found.scores.cpu().numpy()
    unknown = [[] for _ in rows] if unknown is None else unknown
    popular = [False for _ in rows] if popular is None else popular
    answers = []
    for some, values, missing, fallback in zip(rows, scores, unknown, popular, strict=True):
        filled = some >= 0
        ids, kept = vocabulary.take(some[filled]), [float(value) for value in values[filled]]
        answers.append(Answer(ids, kept, missing, fallback))
    return answers
