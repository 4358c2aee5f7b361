"""Splits rows into training rows and rows that are held out to choose the best epoch."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.errors import SettingError

FEWEST = 50
"""Minimum number of rows; with fewer, none are held out."""

logger = logging.getLogger(__name__)


def hold_out(
    rows: int, share: float, seed: int, *, most: int, of: str = "rows"
) -> tuple[Int64[Tensor, " train"], Int64[Tensor, " held"]]:
    """Choose training rows, and a ``share`` of held-out rows; deterministic for the same number, share and seed.

    Args:
        rows: number of rows.
        share: share of held-out rows.
        seed: seed of the choice.
        most: maximum number of held-out rows.
        of: name of the rows, for messages.

    Returns:
        Numbers of the training rows, and of the held-out rows.

    Raises:
        SettingError: a share outside its range.
    """
    if not 0 <= share < 0.5:
        raise SettingError(f"validation={share}", expected=f"a share of the {of} from 0 to less than a half")
    held = min(most, round(rows * share))
    if share and (rows < FEWEST or not held):
        logger.info("no %s are held out and the last epoch is kept: %d are too few", of, rows)
        held = 0
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed % 2**63))
    return order[held:], order[:held]
