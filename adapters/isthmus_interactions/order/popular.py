"""Popularity in the last days of the training data, a strong baseline for temporal splits."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.core.recency import seconds_of
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.fitted import FittedRecommender

WINDOWS: Mapping[str, str] = {"popularity of the last week": "7d", "popularity of the last month": "30d"}
"""Names of the baselines, and their time windows."""


def recent_popularity(fitted: FittedRecommender) -> dict[str, Popularity]:
    """Popularity in the last week and month of the training data; empty if their times are no clock."""
    histories = fitted.histories
    if histories is None or histories.clock is None or histories.seconds is None:
        return {}
    found = {}
    for name, window in WINDOWS.items():
        recent = histories.where(histories.seconds > histories.seconds.max() - seconds_of(window))
        found[name] = Popularity.of(recent.matrix(fitted.interactions.shape[1]), fitted.device)
    return found
