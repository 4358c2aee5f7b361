"""Computes the probability of each recommended item to be a hit from the calibration of a recommender."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from isthmus.errors import SettingError
from isthmus.protocols import Neighbours
from isthmus_interactions.calibration.chances import FEWEST_HITS, FEWEST_USERS, Calibration
from isthmus_interactions.cold_start.ranker import ColdStartRanker
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.recommend.answers import Chances
from isthmus_interactions.recommend.histories import HistoryBatch


def calibration_for(fitted: FittedRecommender) -> Calibration:
    """The calibration of a recommender.

    Raises:
        SettingError: it has none; the message explains how to get one.
    """
    if fitted.calibration is None:
        raise SettingError(
            f"calibrated answers of {fitted.builder} without a calibration",
            expected=f"a fit that held out users ({FEWEST_USERS} with {FEWEST_HITS} hits or more)",
            remedy="fit again with validation=0.1 or more, or take recommender.calibrate(DATA), with users it was not "
            "trained on",
            option="fit again with --validation 0.1 or more, or run isthmus calibrate DIR FILE, with users it was not "
            "trained on",
        )
    return fitted.calibration


def calibrated_items(model: nn.Module) -> Tensor | None:
    """The rows of the items whose scores were calibrated: those that are not ranked by their features; None for all."""
    return (model.place < 0).nonzero()[:, 0] if isinstance(model, ColdStartRanker) else None


def chances_of(
    calibration: Calibration, found: Neighbours, batch: HistoryBatch, best: Neighbours, model: nn.Module
) -> Chances:
    """Compute the probabilities of recommended items.

    Args:
        calibration: calibration of the model.
        found: the recommended items, with their scores.
        batch: the histories.
        best: the best items of each history that are not in it, without any other filter.
        model: the model; items that it ranks by their features, and items of the history, have no probability.

    Returns:
        Probabilities, and the reasons why some histories have none.
    """
    rows, lengths = found.rows.cpu().numpy(), batch.bags.lengths().numpy()
    top = np.where(best.rows.cpu().numpy() >= 0, best.scores.cpu().double().numpy(), -np.inf)
    scores = np.where(rows >= 0, found.scores.cpu().double().numpy(), -np.inf)
    unknown = [len(ids) for ids in batch.unknown]
    doubts = [calibration.doubts(int(own), many, one) for own, many, one in zip(lengths, unknown, top, strict=True)]
    values = calibration.chances(scores, top, lengths)
    told = (rows >= 0) & ~_seen(rows, batch) & ~_by_features(rows, model) & ~np.array(doubts, dtype=bool)[:, None]
    return Chances(np.where(told, values, np.nan), doubts)


def _seen(rows: npt.NDArray[np.int64], batch: HistoryBatch) -> npt.NDArray[np.bool_]:
    """Which items are in the history; such items were never hidden items."""
    offsets, items = batch.bags.offsets.tolist(), batch.bags.indices.numpy()
    parts = [np.isin(row, items[offsets[place] : offsets[place + 1]]) for place, row in enumerate(rows)]
    return np.stack(parts) if parts else np.zeros(rows.shape, dtype=np.bool_)


def _by_features(rows: npt.NDArray[np.int64], model: nn.Module) -> npt.NDArray[np.bool_]:
    """Which items are ranked by their features, whose scores were not calibrated."""
    known = calibrated_items(model)
    return np.zeros(rows.shape, dtype=np.bool_) if known is None else ~np.isin(rows, known.cpu().numpy())
