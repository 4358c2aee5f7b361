"""A spot check of a changed inverse against the data."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from isthmus.core.linear.changing import ChangingInverse
from isthmus_interactions.csr import Csr

TOLERANCE = 1e-8
"""Maximum allowed difference from the exact weights."""

logger = logging.getLogger(__name__)


def checked_inverse(
    inverse: ChangingInverse, matrix: Csr, changed: Csr, count: int
) -> tuple[ChangingInverse, dict[str, Any]]:
    """Check some columns, half of them among the changed ones; solve again if they are not exact enough.

    Args:
        inverse: the inverse after the change.
        matrix: all current interactions.
        changed: the changed rows, over the same items.
        count: number of columns; 0 checks nothing.

    Returns:
        The inverse, and for the report the checked columns and the largest difference of a weight in them.
    """
    if not count:
        return inverse, {"columns_checked": 0, "largest_difference": None}
    columns = _columns(inverse.width, np.unique(changed.indices), count)
    difference = inverse.difference(matrix, columns)
    if difference > TOLERANCE:
        logger.warning("the weights differ by up to %.1e from exact ones, so they are solved anew", difference)
        inverse = inverse.solved_anew(matrix)
        difference = inverse.difference(matrix, columns)
    return inverse, {"columns_checked": len(columns), "largest_difference": difference}


def _columns(width: int, touched: Any, count: int) -> Any:
    """Evenly spaced columns of both kinds, so that the choice does not depend on the data."""
    some = touched[np.linspace(0, len(touched) - 1, min(len(touched), (count + 1) // 2)).astype(np.int64)]
    rest = np.setdiff1d(np.arange(width), some)
    more = min(len(rest), count - len(some))
    return np.r_[some, rest[np.linspace(0, len(rest) - 1, more).astype(np.int64)]].astype(np.int64)
