"""Chooses the weights of a blend on held-out users: each part scores them once, and these scores are reused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from isthmus.batch import require_bags
from isthmus.core.rankers import Blend, ranker_of, read_by
from isthmus.machine.devices import device_of
from isthmus.models.blend import weigh
from isthmus.protocols import Columns, Source
from isthmus.tasks.evaluation import evaluate
from isthmus.training.progress import Record
from isthmus.training.run import Validation
from isthmus_interactions.auto.judge import Values
from isthmus_interactions.csr import select_rows
from isthmus_interactions.order.folds import own_numbers
from isthmus_interactions.order.inputs import reads_of, source_of
from isthmus_interactions.splits import FoldIn

CELLS = 1 << 24
"""Maximum number of stored scores per part: 64 MB. With more users, evenly spaced ones choose the weights."""

FEWEST = 100
"""Minimum number of users who choose the weights, if there are that many."""

AT_A_TIME = 512
"""Number of users who are scored together."""


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


class ScoreTables:
    """Scores of all items by each part of a blend, for some users of a fold.

    Args:
        model: the blend.
        fold: the users.
        metric: the metric, higher is better.
        cells: maximum number of stored scores per part; with more users, evenly spaced ones are taken.
    """

    def __init__(self, model: Blend, fold: FoldIn, metric: str, cells: int = CELLS) -> None:
        self.metric = metric
        asked = np.flatnonzero(np.diff(fold.held_out.indptr))
        most = max(FEWEST, cells // max(1, fold.history.shape[1]))
        self.rows = asked if len(asked) <= most else asked[np.linspace(0, len(asked) - 1, most).astype(np.int64)]
        self.history, self.held_out = (select_rows(matrix, self.rows) for matrix in (fold.history, fold.held_out))
        self.lengths = torch.from_numpy(np.maximum(np.diff(self.history.indptr), 1)).float()
        whole = source_of(fold.history, fold.ordered, reads_of(model))
        self.tables = [self._scored(part, whole) for part in model.parts]

    def validation(self, chosen: npt.NDArray[np.bool_]) -> Validation:
        """The mean of some users as a score of the blend, which is read from its weights."""
        return Validation(self.metric, lambda model: float(self.values(model, chosen).mean()))

    def values(self, model: nn.Module, chosen: npt.NDArray[np.bool_]) -> Values:
        """The metric of some users for the current weights of the blend."""
        rows = torch.from_numpy(np.flatnonzero(chosen))
        total: Tensor | None = None
        weights, exponents = _list(model, "weights"), _list(model, "exponents")
        for table, weight, exponent in zip(self.tables, weights, exponents, strict=True):
            if weight:
                part = table[rows] * (weight / self.lengths[rows] ** exponent)[:, None]
                total = part if total is None else total.add_(part)
        assert total is not None
        history, held_out = (select_rows(matrix, rows.numpy()) for matrix in (self.history, self.held_out))
        count = len(rows)
        found = evaluate(_Table(total), history, held_out, (self.metric,), inputs=own_numbers(count))
        values = found.values.get(self.metric)
        # Metrics of the whole catalogue have one value for all.
        return np.full(count, found.means[self.metric]) if values is None else np.nan_to_num(values.numpy())

    @torch.no_grad()
    def _scored(self, part: nn.Module, whole: Source) -> Tensor:
        ranker, device, found = ranker_of(part), device_of(part), []
        for rows in torch.from_numpy(self.rows).split(AT_A_TIME):
            inputs = read_by(part, whole.batch(rows).inputs.to(device))
            found.append(ranker.scores(ranker.prepare(inputs)).float().cpu())
        return torch.cat(found)


class _Table:
    """Ranks by known scores; bags contain the number of a row."""

    def __init__(self, scores: Tensor) -> None:
        self._scores = scores

    @property
    def width(self) -> int:
        return self._scores.shape[1]

    def prepare(self, inputs: Any) -> Tensor:
        return self._scores[require_bags(inputs, "a table of scores").indices]

    def scores(self, state: Tensor, columns: Columns = None) -> Tensor:
        return state if columns is None else state[:, columns]


def _list(model: nn.Module, name: str) -> list[float]:
    numbers: list[float] = getattr(model, name).tolist()
    return numbers
