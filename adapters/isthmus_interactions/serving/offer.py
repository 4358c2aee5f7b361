"""The requests that a recommender answers."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.actions import Action, Offer
from isthmus.actions.action import Document
from isthmus.core.linear.spectrum import leading
from isthmus.errors import IsthmusError
from isthmus.plots.maps import plane
from isthmus.plugins import command_name
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.serving.answers import RecommenderAnswers
from isthmus_interactions.serving.requests import Course, Explain, Find, Points, Recommend, Score, Similar

PAGE = Path(__file__).with_name("page.js")

HISTORY = 20
"""Items of the histories to measure with."""

MAPPED = 24
"""Singular vectors that the map of items is drawn from."""


def offer(recommender: Recommender) -> Offer:
    """What a recommender offers over HTTP and to agents."""
    answers = RecommenderAnswers(recommender)
    return Offer(
        _actions(answers) + _drawn(recommender, answers),
        _about(recommender),
        lambda: _warm(answers),
        PAGE,
        lambda count, seed: ("recommend", _histories(recommender, count, seed)),
    )


def _histories(recommender: Recommender, count: int, seed: int) -> list[Document]:
    """Histories for a load test, with random items of the whole catalogue."""
    items, generator = recommender.adapter.items, np.random.default_rng(seed)
    length = min(HISTORY, len(items))
    return [{"history": items.take(generator.choice(len(items), length, replace=False)), "k": 10} for _ in range(count)]


def _actions(answers: RecommenderAnswers) -> tuple[Action, ...]:
    return (
        Action.batched(
            "recommend",
            "The best items for a person, who need not be in the training data: by a history of ids or titles, or by a "
            "user id.",
            Recommend,
            answers.recommend,
            answers.recommended_alike,
        ),
        Action.batched(
            "similar", "The items most similar to an item.", Similar, answers.similar, answers.similar_alike
        ),
        Action("score", "The scores of given items for a person, to re-rank them.", Score, answers.score),
        Action(
            "explain",
            "How much each item of a person's history adds to the score of an item.",
            Explain,
            answers.explain,
        ),
        Action("items", "Items of the catalogue by a part of their title.", Find, answers.find),
    )


def _drawn(recommender: Recommender, answers: RecommenderAnswers) -> tuple[Action, ...]:
    """Answers for the page only."""

    @lru_cache(maxsize=4)
    def points(most: int) -> Document:
        return _map(recommender, answers, most)

    return (
        Action("map", "Items in the plane; near ones have similar users.", Points, _by_most(points), as_tool=False),
        Action("course", "How the training went.", Course, lambda _: _course(recommender), as_tool=False),
    )


def _by_most(points: Any) -> Any:
    return lambda request: points(request.most)


def _map(recommender: Recommender, answers: RecommenderAnswers, most: int) -> Document:
    """The most popular items, by the leading singular vectors of the training data."""
    vectors = leading(recommender.interactions, MAPPED, 0.5, 0.5, seed=0).vectors.astype(np.float64)
    # The first vector is nearly the popularity of the items.
    kept = vectors[:, 1:] if vectors.shape[1] > 2 else vectors
    lengths = np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), 1e-12)
    rows = answers.finder.by_popularity
    rows = rows[rows < len(kept)][:most]
    found = plane((kept / lengths)[rows])[0]
    ids = recommender.adapter.items.take(rows)
    names = [recommender.titles.get(id_, str(id_)) for id_ in ids]
    return {"points": np.round(found, 5).tolist(), "names": names, "ids": ids}


def _course(recommender: Recommender) -> Document:
    return {**recommender.history.to_json(), "tried": recommender.facts.get("tried", [])}


def _about(recommender: Recommender) -> dict[str, Any]:
    return {
        "builder": command_name(recommender.builder),
        "users": len(recommender.adapter.users),
        "items": len(recommender.adapter.items),
        "interactions": int(recommender.interactions.nnz),
        "titles": len(recommender.titles),
        "calibrated": recommender.calibration is not None,
        "chances_from": None if recommender.calibration is None else recommender.calibration.seen.shortest,
    }


def _warm(answers: RecommenderAnswers) -> None:
    """Answer one request, so that the first person does not wait for what is computed on first use."""
    found = answers.find(Find(k=1))["items"]
    # What this model cannot answer is told to whoever asks.
    with contextlib.suppress(IsthmusError):
        answers.recommend([Recommend(history=[one["id"] for one in found], k=10, explain=True)])
