"""Users and items: interactions as bags, splits, baselines and the ``Recommender``.

from isthmus_interactions import Recommender

recommender = Recommender.fit("ratings.csv")
recommender.recommend([["The Hobbit", "Dune"]], k=5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_interactions.cold_start.features import ItemFeatures
    from isthmus_interactions.interactions import Interactions
    from isthmus_interactions.recommend.answers import Answer
    from isthmus_interactions.recommender import Recommender
    from isthmus_interactions.tuning.tune import tune

__all__ = ["Answer", "Interactions", "ItemFeatures", "Recommender", "tune"]

_HOMES = {
    "Answer": "recommend.answers",
    "Interactions": "interactions",
    "ItemFeatures": "cold_start.features",
    "Recommender": "recommender",
    "tune": "tuning.tune",
}


def __getattr__(name: str) -> Any:
    # Torch is imported on first use, not when the package is.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
