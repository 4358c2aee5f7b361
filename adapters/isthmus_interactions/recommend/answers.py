"""What a recommender answers, in external ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, final

import pyarrow as pa

from isthmus.answers import Answers, RankedList, id_type
from isthmus.protocols import Neighbours
from isthmus.vocabulary import Id, Kind, Vocabulary


class Result(NamedTuple):
    """One item, or one user, of an answer.

    Attributes:
        id: of the item or user.
        score: higher is better; comparable inside one answer.
        title: of the item, where it is known.
    """

    id: Id
    score: float
    title: str | None


@final
@dataclass(frozen=True, eq=False, repr=False)
class Answer(RankedList[Result]):
    """Items, or users, best first: a sequence of ``Result`` (id, score, title), and a table of them.

    Attributes:
        ids: at most k; fewer where fewer may be answered.
        scores: higher is better; comparable inside one answer.
        unknown: ids of the question that the catalogue does not hold and that were left out.
        popular: whether nothing of the history was known, so that the most popular items were answered; their scores
            are shares of users.
        titles: of the items, None for each that has none; without any, all are None.
        kind: whether ids are numbers or text; where it is not given, the ids tell.
    """

    ids: list[Id]
    scores: list[float]
    unknown: list[Id] = field(default_factory=list)
    popular: bool = False
    titles: list[str | None] = field(default_factory=list)
    kind: Kind | None = None

    row_type: ClassVar[Any] = Result

    def __post_init__(self) -> None:
        if not self.titles:
            object.__setattr__(self, "titles", [None] * len(self.ids))

    def columns(self) -> tuple[Sequence[Any], ...]:
        """Ids, scores and titles."""
        return self.ids, self.scores, self.titles

    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of id, score and title."""
        return result_types(self.kind, self.ids)

    def remarks(self) -> list[str]:
        """That popular items were answered, and what was unknown."""
        popular = ["the most popular items, as nothing of the history is known"] if self.popular else []
        unknown = [f"unknown: {', '.join(map(repr, self.unknown))}"] if self.unknown else []
        return popular + unknown

    def _cut(self, places: slice) -> Answer:
        return replace(self, ids=self.ids[places], scores=self.scores[places], titles=self.titles[places])

    def _labels(self) -> Sequence[Any]:
        return [id_ if title is None else title for id_, title in zip(self.ids, self.titles, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """The document that the command line prints."""
        pairs = zip(self.ids, self.scores, strict=True)
        document: dict[str, Any] = {"items": [{"id": id_, "score": score} for id_, score in pairs]}
        return {**document, "unknown": self.unknown, "popular": self.popular}


def result_types(kind: Kind | None, ids: Sequence[Id] = ()) -> dict[str, pa.DataType]:
    """The Arrow types of a ``Result``.

    Args:
        kind: of the vocabulary of the ids; None where only the ids tell.
        ids: by which to tell.
    """
    return {"id": id_type(kind, ids), "score": pa.float64(), "title": pa.large_string()}


@dataclass(frozen=True)
class Questions:
    """What was asked, one of each for each answer.

    Attributes:
        unknown: ids that the catalogue does not hold and that were left out; None for none.
        popular: whether the most popular items answer; None for never.
        ids: that were asked about; None for histories, which are numbered.
        kind: of those ids.
    """

    unknown: Sequence[list[Id]] | None = None
    popular: Sequence[bool] | None = None
    ids: Sequence[Id] | None = None
    kind: Kind = "int64"


def to_answers(
    found: Neighbours, vocabulary: Vocabulary, asked: Questions, titles: Mapping[Id, str] | None = None
) -> Answers[Answer]:
    """Rows as ids, one answer for each question; places that no row fills are left out.

    Args:
        found: rows and scores, best first.
        vocabulary: whose rows they are.
        asked: the questions.
        titles: texts to show with ids; none, if not given.

    Returns:
        An answer for each question.
    """
    rows, scores = found.rows.cpu().numpy(), found.scores.cpu().numpy()
    kind, names = vocabulary.kind, titles or {}
    unknown = [[] for _ in rows] if asked.unknown is None else asked.unknown
    popular = [False for _ in rows] if asked.popular is None else asked.popular
    answers = []
    for some, values, missing, fallback in zip(rows, scores, unknown, popular, strict=True):
        filled = some >= 0
        ids, kept = vocabulary.take(some[filled]), [float(value) for value in values[filled]]
        answers.append(Answer(ids, kept, missing, fallback, [names.get(id_) for id_ in ids], kind))
    return Answers(answers, result_types(kind), asked.ids, asked.kind)
