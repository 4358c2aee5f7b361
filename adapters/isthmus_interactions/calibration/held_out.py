"""Learns the probabilities of hits from the users of a fold."""

from __future__ import annotations

import logging

import torch
from torch import nn

from isthmus.errors import InputError
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.calibration.outcomes import outcomes
from isthmus_interactions.splits import FoldIn

logger = logging.getLogger(__name__)


def calibrated(model: nn.Module, fold: FoldIn, device: torch.device) -> Calibration | None:
    """The calibration of a model on a fold, or None, with a line in the log, if its users or hits are too few.

    Args:
        model: the model, which must not have been trained on what the fold hides.
        fold: histories and hidden items.
        device: device of the model.
    """
    try:
        return calibrate(model, fold, device)
    except InputError as error:
        logger.info("answers have no chances: %s", error)
        return None


def calibrate(model: nn.Module, fold: FoldIn, device: torch.device) -> Calibration:
    """The calibration of a model on a fold; the arguments are those of ``calibrated``.

    Raises:
        InputError: too few users or hits.
    """
    found = outcomes(model, fold, device)
    if found is None:
        raise InputError("no user with a history", expected="histories of users to learn chances from")
    return Calibration.fit(found, what_is_hit(fold))


def what_is_hit(fold: FoldIn) -> str:
    """What counts as a hit, in words."""
    if fold.at is not None:
        return "an item among those of the next event of the user"
    if (fold.held_out.indptr[1:] - fold.held_out.indptr[:-1]).max() == 1:
        return "the one item that was hidden from the user"
    share = fold.held_out.nnz / (fold.held_out.nnz + fold.history.nnz)
    return f"an item among those that were hidden from the user, {share:.0%} of all"
