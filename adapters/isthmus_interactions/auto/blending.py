"""Chooses the weights of a blend on held-out users: each part scores them once, and these scores are reused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isthmus.core.rankers import Blend
from isthmus.models.blend import weigh
from isthmus.protocols import Source
from isthmus.training.progress import Record
from isthmus_interactions.auto.judge import Values
from isthmus_interactions.auto.score_tables import ScoreTables
from isthmus_interactions.splits import FoldIn


@dataclass(frozen=True)
class Weighed:
    """A blend with its weights.

    Attributes:
        record: a record of the history, as from ``isthmus.models.blend.weigh``.
        rows: rows of the fold that chose the weights.
        values: the metric of these users, each with weights that were chosen on the other half of the users.
    """

    record: Record
    rows: npt.NDArray[np.int64]
    values: Values


def weighed(
    model: Blend,
    names: Sequence[str],
    source: Source,
    fold: FoldIn,
    metric: str,
    limit: Callable[[], Callable[[], bool]],
) -> Weighed:
    """Choose the weights of a blend, in place.

    Args:
        model: the blend, on one device.
        names: names of its parts.
        source: training rows, on which the scale of each part is measured.
        fold: the held-out users.
        metric: the metric to maximise.
        limit: starts a time limit for choosing weights and returns a function that tells whether it is over; parts
            without a weight are then left out.

    Returns:
        The record, and unbiased values of the users.
    """
    tables = ScoreTables(model, fold, metric)
    numbers = {id_: place for place, id_ in enumerate(dict.fromkeys(fold.users))}
    # All rows of a user are in the same half.
    places = np.array([numbers[fold.users[row]] for row in tables.rows], dtype=np.int64)
    values = np.zeros(len(places))
    for half in (places % 2 == 0, places % 2 == 1):
        if half.any() and not half.all():
            weigh(model, names, source, tables.validation(~half), 1, limit())
            values[half] = tables.values(model, half)
    record = weigh(model, names, source, tables.validation(np.ones(len(places), bool)), 1, limit())
    return Weighed(record, tables.rows, values)
