"""Text of the model card of a recommender."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from isthmus.cards import CardWords, Measured, Score
from isthmus.cards.scores import count_of, mean_of, of_history
from isthmus.cards.words import Sections
from isthmus_interactions.overview.held_out import FACT

CALIBRATION = "calibration.json"
"""The document is missing in older bundles, or if too few users were held out."""


def measured(facts: Mapping[str, Any]) -> Measured | None:
    """The scores on the users whom ``fit`` held out, next to popularity.

    Args:
        facts: facts of a manifest.

    Returns:
        The scores; None if no users were held out.
    """
    kept = facts.get(FACT)
    if not isinstance(kept, dict) or not isinstance(kept.get("metric"), str):
        return of_history(facts)
    own, popular = mean_of(kept.get("model")), mean_of(kept.get("popularity"))
    if own is None:
        return None
    score = Score(kept["metric"], own[0], own[1], None if popular is None else popular[0])
    return Measured("users held out of the training data", (score,), count_of(kept.get("users")), _remarks(kept, facts))


def _remarks(kept: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[str, ...]:
    found = ["The same users may have chosen the model or its best epoch, which makes the score slightly too high."]
    expected = facts.get("expected")
    if isinstance(expected, dict) and isinstance(expected.get("score"), float):
        found.append(f"On other users the model is expected to score {expected['score']:.4f}.")
    answered, beside = count_of(kept.get("answered")), count_of(kept.get("answered_by_popularity"))
    if answered is not None and beside is not None:
        found.append(
            f"The ten best items of all of these users are {answered:,} different items; by popularity they would be "
            f"{beside:,}."
        )
    return tuple(found)


def sections(facts: Mapping[str, Any], documents: Mapping[str, str]) -> Sections:
    """The rule for values, and the data of the calibration.

    Args:
        facts: facts of a manifest.
        documents: documents of the bundle by name.

    Returns:
        Paragraphs by their headings.
    """
    kept = f"Rows that count: {facts['kept']}." if isinstance(facts.get("kept"), str) else ""
    found = {"What counts": kept} if kept else {}
    return found | {"Calibration": _calibration(documents)}


def _calibration(documents: Mapping[str, str]) -> str:
    if CALIBRATION not in documents:
        return "The chances of recommended items to be hits are not known: too few users were held out."
    seen = json.loads(documents[CALIBRATION])["seen"]
    error = "" if seen["error"] is None else f" Expected calibration error of the best 20 items: {seen['error']:.4f}."
    return (
        f"`recommend(..., calibrated=True)` tells the chance of each item to be a hit, learnt from {seen['users']:,} "
        f"held-out users with {seen['hits']:,} hits. A hit: {seen['hit']}.{error}"
    )


WORDS = CardWords(
    kind="a recommender",
    about="It recommends items to any user, known or new, by the items of a history, and explains why.",
    tags=("recommender-system", "recommendation", "collaborative-filtering"),
    sizes={"users": "users", "items": "items", "interactions": "interactions"},
    measured=measured,
    sections=sections,
    example=(
        'history = ["the id of an item", "the id of another one"]',
        "for item, score, title in model.recommend([history], k=10)[0]:",
        "    print(item, score, title)",
    ),
)
