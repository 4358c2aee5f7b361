"""Users and items: interactions as bags and in order, splits, baselines and the ``Recommender``.

::

    from isthmus_interactions import Recommender

    recommender = Recommender.fit("ratings.csv")
    recommender.recommend([["The Hobbit", "Dune"]], k=5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_interactions.adapter import InteractionsAdapter
    from isthmus_interactions.calibration.chances import Calibration
    from isthmus_interactions.cold_start.features import ItemFeatures
    from isthmus_interactions.fitted import FittedRecommender
    from isthmus_interactions.interactions import Interactions
    from isthmus_interactions.order.sessions import sessions
    from isthmus_interactions.order.temporal import TemporalSplit, temporal
    from isthmus_interactions.ordered_histories import OrderedHistories
    from isthmus_interactions.recommend.answers import Answer, Result
    from isthmus_interactions.recommender import Recommender
    from isthmus_interactions.report.report import QualityReport
    from isthmus_interactions.splits import FoldIn, Split, from_files, leave_last_out, strong, weak
    from isthmus_interactions.store.store import InteractionStore
    from isthmus_interactions.tuning.tune import TuningResult, tune

__all__ = [
    "Answer",
    "Calibration",
    "FittedRecommender",
    "FoldIn",
    "InteractionStore",
    "Interactions",
    "InteractionsAdapter",
    "ItemFeatures",
    "OrderedHistories",
    "QualityReport",
    "Recommender",
    "Result",
    "Split",
    "TemporalSplit",
    "TuningResult",
    "from_files",
    "leave_last_out",
    "sessions",
    "strong",
    "temporal",
    "tune",
    "weak",
]

_HOMES = {
    "Answer": "recommend.answers",
    "Calibration": "calibration.chances",
    "FittedRecommender": "fitted",
    "FoldIn": "splits",
    "InteractionStore": "store.store",
    "Interactions": "interactions",
    "InteractionsAdapter": "adapter",
    "ItemFeatures": "cold_start.features",
    "OrderedHistories": "ordered_histories",
    "QualityReport": "report.report",
    "Recommender": "recommender",
    "Result": "recommend.answers",
    "Split": "splits",
    "TemporalSplit": "order.temporal",
    "TuningResult": "tuning.tune",
    "from_files": "splits",
    "leave_last_out": "splits",
    "sessions": "order.sessions",
    "strong": "splits",
    "temporal": "order.temporal",
    "tune": "tuning.tune",
    "weak": "splits",
}


def __getattr__(name: str) -> Any:
    # The attributes are imported on first use, so that importing the package does not import torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
