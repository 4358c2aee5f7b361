"""Responses of a recommender to validated requests, as JSON documents."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

from isthmus.actions.action import Document
from isthmus.actions.requests import finite
from isthmus.answers import Answers
from isthmus.errors import SettingError
from isthmus.ids import Id
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.find_items import ItemFinder
from isthmus_interactions.recommend.histories import GivenId
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.serving.requests import (
    AboutSomebody,
    Entry,
    Explain,
    Find,
    Recommend,
    Score,
    Similar,
)

REASONS = 3
"""Number of history items that explain each recommendation with ``explain``."""

MOST_EXPLAINED = 100
"""Maximum number of explained recommendations per request."""


class RecommenderAnswers:
    """Answers requests with the results of a recommender, including its scores.

    Args:
        recommender: a fitted recommender.
    """

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    @cached_property
    def finder(self) -> ItemFinder:
        """Finds items by their titles."""
        return ItemFinder(self._recommender)

    # --- recommend ---------------------------------------------------------------------------------------------------

    @staticmethod
    def recommended_alike(request: Recommend) -> Hashable:
        """What requests must have in common to be answered together."""
        timed = any(isinstance(entry, tuple) for entry in request.history or ())
        filters = request.exclude is not None, request.allow is not None, request.without_popular
        how = request.k, request.exclude_seen, request.diversity, request.calibrated
        return request.user is None, timed, filters, how

    def recommend(self, requests: Sequence[Recommend]) -> list[Document]:
        """The best items for several people; the requests agree in ``recommended_alike``."""
        first = requests[0]
        if any(one.explain and one.k > MOST_EXPLAINED for one in requests):
            raise SettingError(f"explain with k={first.k}", expected=f"at most {MOST_EXPLAINED} items to explain")
        how: dict[str, Any] = {
            "exclude_seen": first.exclude_seen,
            "exclude": None if first.exclude is None else [self._ids(one.exclude or []) for one in requests],
            "allow": None if first.allow is None else [self._ids(one.allow or []) for one in requests],
            "diversity": first.diversity,
            "calibrated": first.calibrated,
        }
        if first.without_popular:
            how["exclude"] = self._without_popular(first.without_popular, how["exclude"])
        answers: Answers[Answer]
        if first.user is None:
            histories = [self._read(one.history or ()) for one in requests]
            answers = self._recommender.recommend(histories, first.k, **how)
        else:
            answers = self._recommender.recommend_users([one.user for one in requests], first.k, **how)
        return [self._recommended(one, answer) for one, answer in zip(requests, answers, strict=True)]

    def _without_popular(self, share: float, own: list[list[Id]] | None) -> list[Any]:
        rows = self.finder.by_popularity
        left_out = self._recommender.adapter.items.take(rows[: math.floor(share * len(rows))])
        return left_out if own is None else [[*left_out, *ids] for ids in own]

    def _recommended(self, request: Recommend, answer: Answer) -> Document:
        document = _listed(answer)
        if request.history is not None:
            document["understood"] = self._understood(request.history)
        if request.explain and not answer.popular:
            try:
                for entry in document["items"]:
                    entry["because"] = _listed(self._explained(request, entry["id"], REASONS))["items"]
            except SettingError as error:
                document["not_explained"] = str(error)
        return document

    # --- the others --------------------------------------------------------------------------------------------------

    def score(self, request: Score) -> Document:
        """The scores of given items for one person; null for unknown items."""
        items = [self._id(one) for one in request.items]
        scores = self._recommender.score([self._read(request.history)], items)[0]
        found = zip(items, map(float, scores), strict=True)
        return {"items": [self._entry(id_) | {"score": finite(score)} for id_, score in found]}

    def explain(self, request: Explain) -> Document:
        """The contribution of each item of a history to the score of an item."""
        return _listed(self._explained(request, self._id(request.item), request.k))

    @staticmethod
    def similar_alike(request: Similar) -> Hashable:
        """What requests must have in common to be answered together."""
        return request.k

    def similar(self, requests: Sequence[Similar]) -> list[Document]:
        """The items most similar to each of several items; the requests have the same ``k``."""
        answers = self._recommender.similar_items([self._id(one.item) for one in requests], requests[0].k)
        return [_listed(answer) for answer in answers]

    def find(self, request: Find) -> Document:
        """Items by their titles, best matches first."""
        # In a large catalogue, finding similar titles takes too long while the user types.
        found = self.finder.find(request.text, request.k, similar=len(self._recommender.adapter.items) <= SEARCHED)
        return {"items": [one._asdict() for one in found]}

    # --- titles and ids ----------------------------------------------------------------------------------------------

    def _explained(self, request: AboutSomebody, item: GivenId, k: int) -> Answer:
        if request.user is not None:
            return self._recommender.explain_user(request.user, item, k)
        return self._recommender.explain(self._read(request.history or ()), item, k)

    def _read(self, history: Sequence[Entry]) -> list[Any]:
        return [(self._id(one[0]), one[1]) if isinstance(one, tuple) else self._id(one) for one in history]

    def _ids(self, given: Sequence[Any]) -> list[Any]:
        return [self._id(one) for one in given]

    def _id(self, given: Any) -> Any:
        """The id itself, or that of the item with this title; other values are unchanged."""
        if isinstance(given, str) and given not in self._recommender.adapter.items:
            found = self.finder.titled(given)
            return given if found is None else found
        return given

    def _understood(self, history: Sequence[Entry]) -> list[dict[str, Any]]:
        """The known items of a history, as it was interpreted."""
        items = self._recommender.adapter.items
        ids = [self._id(one[0] if isinstance(one, tuple) else one) for one in history]
        return [self._entry(items.held(id_)) for id_ in dict.fromkeys(ids) if id_ in items]

    def _entry(self, id_: Any) -> dict[str, Any]:
        return {"id": id_, "title": self._recommender.titles.get(id_)}


SEARCHED = 200_000
"""Maximum size of a catalogue for finding similar titles while the user types."""


def _listed(answer: Answer) -> Document:
    """An answer with titles."""
    document = answer.to_json()
    for entry, title, score in zip(document["items"], answer.titles, answer.scores, strict=True):
        entry["title"], entry["score"] = title, finite(score)
    return document
