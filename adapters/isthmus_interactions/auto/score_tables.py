"""Scores of held-out users by each part of a blend: computed once, then joined with any weights.

Of a wide catalogue only the items that some part ranks high are stored, so that many users can choose the weights: the
top of a blend comes from the tops of its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from isthmus.batch import require_bags
from isthmus.core.rankers import Blend, ranker_of, read_by
from isthmus.machine.devices import device_of
from isthmus.metrics.ranking import METRICS
from isthmus.protocols import Columns, Source
from isthmus.rowlists import from_csr, owners
from isthmus.tasks.evaluation import MetricAt, evaluate
from isthmus.training.run import Validation
from isthmus_interactions.auto.judge import Values
from isthmus_interactions.csr import Csr, csr_of, row_of_entry, select_rows
from isthmus_interactions.order.folds import own_numbers
from isthmus_interactions.order.inputs import reads_of, source_of
from isthmus_interactions.splits import FoldIn

CELLS = 1 << 24
"""Maximum number of stored scores per part: 64 MB. With more users, evenly spaced ones choose the weights."""

COMPUTED = 1 << 27
"""Maximum number of scores computed per part, where not all of them are stored: seconds of a core."""

FEWEST = 100
"""Minimum number of users who choose the weights, if there are that many."""

AT_A_TIME = 512
"""Maximum number of users who are scored together."""

DEPTH, DEEPER = 200, 4
"""Items that each part proposes to a user, at least, and as a multiple of the length of the ranking."""


class ScoreTables:
    """Scores of items by each part of a blend, for some users of a fold.

    Args:
        model: the blend.
        fold: the users.
        metric: the metric, higher is better.
        cells: maximum number of stored scores per part; with more users, evenly spaced ones are taken.
        computed: maximum number of computed scores per part, where only the best ones are stored.

    Attributes:
        rows: the rows of the fold that these users have.
        items: number of items a user with scores, at most.
    """

    def __init__(self, model: Blend, fold: FoldIn, metric: str, cells: int = CELLS, computed: int = COMPUTED) -> None:
        self.metric = metric
        width, wanted = fold.history.shape[1], MetricAt.parse(metric)
        depth = min(width, max(DEPTH, DEEPER * wanted.k))
        asked = np.flatnonzero(np.diff(fold.held_out.indptr))
        # The other metrics count the items themselves, which needs all of them.
        narrow = len(asked) * width > cells and len(model.parts) * depth < width and wanted.name in METRICS
        stored = cells // (len(model.parts) * depth if narrow else max(1, width))
        most = max(FEWEST, min(stored, computed // width) if narrow else stored)
        self.rows = asked if len(asked) <= most else asked[np.linspace(0, len(asked) - 1, most).astype(np.int64)]
        self.history, self.held_out = (select_rows(matrix, self.rows) for matrix in (fold.history, fold.held_out))
        self.lengths = torch.from_numpy(np.maximum(np.diff(self.history.indptr), 1)).float()
        blocks = self._scored(model, source_of(fold.history, fold.ordered, reads_of(model)))
        if narrow:
            self._keep_the_best(blocks, depth)
        else:
            self.tables = [torch.cat(scores) for scores in zip(*(scores for _, scores in blocks), strict=True)]
        self.items = self.tables[0].shape[1]

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
    def _scored(self, model: Blend, whole: Source) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Places of some users at a time, and the scores of all items by each part."""
        rankers = [ranker_of(part) for part in model.parts]
        at_a_time = max(1, min(AT_A_TIME, CELLS // max(1, self.history.shape[1])))
        for places in torch.arange(len(self.rows)).split(at_a_time):
            inputs = whole.batch(torch.from_numpy(self.rows)[places]).inputs
            read = [read_by(part, inputs.to(device_of(part))) for part in model.parts]
            pairs = zip(rankers, read, strict=True)
            yield places, [ranker.scores(ranker.prepare(own)).float().cpu() for ranker, own in pairs]

    def _keep_the_best(self, blocks: Iterable[tuple[Tensor, list[Tensor]]], depth: int) -> None:
        """Store the scores of the items that are among the ``depth`` best of a part, without those of the history. They
        are in ascending order, so that equal scores rank as in the whole catalogue."""
        proposed: list[Tensor] = []
        tables: list[list[Tensor]] = []
        for places, whole in blocks:
            known = from_csr(select_rows(self.history, places.numpy()))
            # A copy, since a ranker may return scores that it keeps; its last column stands for no item.
            scores = [pad(one, (0, 1), value=-torch.inf) for one in whole]
            for one in scores:
                one[owners(known), known.rows] = -torch.inf
            proposed.append(_union_of_best(scores, depth))
            tables.append([one.gather(1, proposed[-1]) for one in scores])
        held_out, missed = _renumbered(self.held_out, torch.cat(proposed).numpy(), self.history.shape[1])
        self.tables = [pad(torch.cat(table), (0, missed), value=-torch.inf) for table in zip(*tables, strict=True)]
        nothing = np.zeros(0, np.int64)
        self.held_out, self.history = held_out, csr_of(nothing, nothing, np.zeros(0, np.float32), held_out.shape)


def _union_of_best(scores: list[Tensor], depth: int) -> Tensor:
    """The items among the best ones of each row, ascending. An item that several parts propose is there once; the last
    column, which is no item, fills the rows."""
    none = scores[0].shape[1] - 1
    best = torch.cat([one[:, :none].topk(depth, sorted=False).indices for one in scores], 1).sort(1).values
    again = best[:, 1:] == best[:, :-1]
    best[:, 1:][again] = none
    return best.sort(1).values


def _renumbered(held_out: Csr, proposed: npt.NDArray[np.int64], width: int) -> tuple[Csr, int]:
    """Held-out items by their places among the proposed ones. Those that no part proposes cannot be found: they get
    columns of their own after these places, whose number is also returned."""
    rows, places = row_of_entry(held_out), proposed.shape[1]
    # Ascending, because rows and the items of each row are.
    keys = (np.arange(len(proposed))[:, None] * (width + 1) + proposed).ravel()
    wanted = rows * (width + 1) + held_out.indices
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    known = keys[at] == wanted
    lost = np.cumsum(~known) - 1
    first = np.concatenate([[0], np.cumsum(~known)])[held_out.indptr[:-1]][rows]
    columns = np.where(known, at - rows * places, places + lost - first)
    missed = int((columns - places + 1).max(initial=0, where=~known))
    order = np.lexsort((columns, rows))
    shape = (held_out.shape[0], places + missed)
    return csr_of(rows[order], columns[order], held_out.data[order], shape), missed


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
