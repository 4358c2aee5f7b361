"""Answers of a recommender, in external ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, final

import pyarrow as pa

from isthmus.answers import Answers, RankedList, id_type
from isthmus.ids import Id
from isthmus.protocols import Neighbours
from isthmus.vocabulary import Kind, Vocabulary


class Result(NamedTuple):
    """One item or user in an answer.

    Attributes:
        id: id of the item or user.
        score: higher is better; comparable within one answer.
        title: title of the item, if known.
    """

    id: Id
    score: float
    title: str | None


@final
@dataclass(frozen=True, eq=False, repr=False)
class Answer(RankedList[Result]):
    """Items or users, best first: a sequence of ``Result`` (id, score, title) that is also a table.

    Attributes:
        ids: at most k; fewer if fewer items pass the filters.
        scores: higher is better; comparable within one answer.
        unknown: ids in the query that are not in the catalogue and were ignored.
        popular: whether no item of the history was known, so that the most popular items were returned; their scores
            are shares of users.
        titles: titles of the items, None for items without one; if not given, all are None.
        kind: whether ids are numbers or text; by default determined from the ids.
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
        """Remarks about popular items and unknown ids."""
        popular = ["the most popular items, because no item of the history is known"] if self.popular else []
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
        kind: type of the ids in the vocabulary; None to determine it from ``ids``.
        ids: ids to determine the type from.
    """
    return {"id": id_type(kind, ids), "score": pa.float64(), "title": pa.large_string()}


@dataclass(frozen=True)
class Questions:
    """The queries, one for each answer.

    Attributes:
        unknown: unknown ids of each query; None if there are none.
        popular: whether the most popular items are the answer; None for never.
        ids: ids of the queries; None for histories, which are numbered.
        kind: type of these ids.
    """

    unknown: Sequence[list[Id]] | None = None
    popular: Sequence[bool] | None = None
    ids: Sequence[Id] | None = None
    kind: Kind = "int64"


def to_answers(
    found: Neighbours, vocabulary: Vocabulary, asked: Questions, titles: Mapping[Id, str] | None = None
) -> Answers[Answer]:
    """Convert rows to ids, one answer for each query; positions without a row are left out.

    Args:
        found: rows and scores, best first.
        vocabulary: the vocabulary of the rows.
        asked: the queries.
        titles: titles to show with the ids, by id; none by default.

    Returns:
        An answer for each query.
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
