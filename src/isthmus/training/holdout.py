"""Which rows train, and which are held out to choose the best epoch."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.errors import SettingError

FEWEST = 50
"""With fewer rows than this none are held out."""

logger = logging.getLogger(__name__)


def hold_out(
    rows: int, share: float, seed: int, *, most: int, of: str = "rows"
) -> tuple[Int64[Tensor, " train"], Int64[Tensor, " held"]]:
    """Row numbers that train, and ``share`` of them that do not; the same number, share and seed give the same ones.

    Args:
        most: rows that are held out, however many there are.
        of: what a row is called where it is spoken of.

    Raises:
        SettingError: a share outside its range.
    """
    if not 0 <= share < 0.5:
        raise SettingError(f"validation={share}", expected=f"a share of the {of} from 0 to less than a half")
    held = min(most, round(rows * share))
    if share and (rows < FEWEST or not held):
        logger.info("training runs to its last epoch: too few %s to hold some out (%s)", of, f"{rows:,}")
        held = 0
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed % 2**63))
    return order[held:], order[:held]
