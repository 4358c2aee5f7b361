"""What a recommender answers, in external ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.protocols import Neighbours
from isthmus.vocabulary import Id, Vocabulary


@dataclass(frozen=True)
class Answer:
    """Items, or people, best first.

    Attributes:
        ids: at most k; fewer where fewer may be answered.
        scores: higher is better; comparable inside one answer.
        unknown: ids of the question that the catalogue does not hold and that were left out.
        popular: whether nothing of the history was known, so that the most popular items were answered.
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


def named(found: Neighbours, vocabulary: Vocabulary) -> list[Answer]:
    """Rows as ids; places that no row fills are left out."""
    rows, scores = found.rows.cpu().numpy(), found.scores.cpu().numpy()
    answers = []
    for some, values in zip(rows, scores, strict=True):
        filled = some >= 0
        answers.append(Answer(vocabulary.take(some[filled]), [float(v) for v in values[filled]]))
    return answers
