"""Answers of a recommender, in external ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from isthmus.answers import Answers, RankedList, id_type
from isthmus.ids import Id
from isthmus.protocols import Neighbours
from isthmus.reprs import brief
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
        chances: probability of each item to be a hit, from 0 to 1, with ``calibrated=True``; None for items without
            one, and None instead of the list otherwise.
        too_little: reason why the history has no probabilities; empty otherwise.
    """

    ids: list[Id]
    scores: list[float]
    unknown: list[Id] = field(default_factory=list)
    popular: bool = False
    titles: list[str | None] = field(default_factory=list)
    kind: Kind | None = None
    chances: list[float | None] | None = None
    too_little: str = ""

    row_type: ClassVar[Any] = Result

    def __post_init__(self) -> None:
        if not self.titles:
            object.__setattr__(self, "titles", [None] * len(self.ids))

    def columns(self) -> tuple[Sequence[Any], ...]:
        """Ids, scores and titles, and probabilities if requested."""
        found = self.ids, self.scores, self.titles
        return found if self.chances is None else (*found, self.chances)

    @property
    def expected_hits(self) -> float | None:
        """The expected number of hits among these items, the sum of their probabilities; None without them."""
        told = [chance for chance in self.chances or [] if chance is not None]
        return None if self.chances is None or self.too_little else sum(told)

    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of the columns."""
        return result_types(self.kind, self.ids, calibrated=self.chances is not None)

    def remarks(self) -> list[str]:
        """Remarks about popular items, unknown ids and chances."""
        popular = ["the most popular items, because no item of the history is known"] if self.popular else []
        unknown = [f"unknown: {', '.join(map(repr, self.unknown))}"] if self.unknown else []
        return popular + unknown + self._remarks_on_chances()

    def _remarks_on_chances(self) -> list[str]:
        if self.too_little:
            return [f"too little is known to tell chances: {self.too_little}"]
        return [] if self.expected_hits is None else [f"{self.expected_hits:.2f} hits expected"]

    def _cut(self, places: slice) -> Answer:
        chances = None if self.chances is None else self.chances[places]
        ids, scores, titles = self.ids[places], self.scores[places], self.titles[places]
        return replace(self, ids=ids, scores=scores, titles=titles, chances=chances)

    def _labels(self) -> Sequence[Any]:
        return [id_ if title is None else title for id_, title in zip(self.ids, self.titles, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """The document that the command line prints."""
        pairs = zip(self.ids, self.scores, strict=True)
        document: dict[str, Any] = {"items": [{"id": id_, "score": score} for id_, score in pairs]}
        document |= {"unknown": self.unknown, "popular": self.popular}
        if self.chances is None:
            return document
        for entry, chance in zip(document["items"], self.chances, strict=True):
            entry["chance"] = chance
        return {**document, "expected_hits": self.expected_hits, "too_little": self.too_little}


def result_types(kind: Kind | None, ids: Sequence[Id] = (), *, calibrated: bool = False) -> dict[str, pa.DataType]:
    """The Arrow types of the columns of an answer.

    Args:
        kind: type of the ids in the vocabulary; None to determine it from ``ids``.
        ids: ids to determine the type from.
        calibrated: whether there are chances.
    """
    found = {"id": id_type(kind, ids), "score": pa.float64(), "title": pa.large_string()}
    return {**found, "chance": pa.float64()} if calibrated else found


@brief
@dataclass(frozen=True, eq=False)
class Chances:
    """The hit probabilities of the items of several answers.

    Attributes:
        values: probabilities from 0 to 1, NaN for none; shape (queries, k).
        too_little: for each query, the reason why it has no probabilities; empty otherwise.
    """

    values: npt.NDArray[np.float64]
    too_little: Sequence[str]

    def of(self, place: int, filled: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """The attributes of one answer.

        Args:
            place: number of the query.
            filled: which of the k positions have an item.
        """
        told = [None if np.isnan(value) else float(value) for value in self.values[place][filled]]
        return {"chances": told, "too_little": self.too_little[place]}


@dataclass(frozen=True)
class Questions:
    """The queries, one for each answer.

    Attributes:
        unknown: unknown ids of each query; None if there are none.
        popular: whether the most popular items are the answer; None for never.
        ids: ids of the queries; None for histories, which are numbered.
        kind: type of these ids.
        chances: the hit probabilities, if requested.
    """

    unknown: Sequence[list[Id]] | None = None
    popular: Sequence[bool] | None = None
    ids: Sequence[Id] | None = None
    kind: Kind = "int64"
    chances: Chances | None = None


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
    for place, (some, values, missing, fallback) in enumerate(zip(rows, scores, unknown, popular, strict=True)):
        filled = some >= 0
        ids, kept = vocabulary.take(some[filled]), [float(value) for value in values[filled]]
        told = {} if asked.chances is None else asked.chances.of(place, filled)
        answers.append(Answer(ids, kept, missing, fallback, [names.get(id_) for id_ in ids], kind, **told))
    return Answers(answers, result_types(kind, calibrated=asked.chances is not None), asked.ids, asked.kind)
