"""Training data in the form that a model reads, and its evaluation on held-out items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Tensors, require_bags
from isthmus.protocols import Columns, Ranker, Source
from isthmus.tasks.evaluation import Evaluation, Rankings, evaluate, rankings
from isthmus_interactions.csr import Csr
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.inputs import Reads, check_clock, reads_of, source_of
from isthmus_interactions.sequences import known_order
from isthmus_interactions.splits import FoldIn


def training_source(data: Interactions, model: nn.Module) -> Source:
    """The interactions in the form that a model reads.

    Raises:
        InputError: a model that reads the order or times of interactions, and they are unknown.
    """
    reads = reads_of(model, training=True)
    if reads.timed:
        check_clock(known_order(data.histories))
    return source_of(data.matrix, data.histories, reads)


def evaluate_fold(
    ranker: Ranker,
    reads: Reads,
    fold: FoldIn,
    metrics: Sequence[str],
    device: torch.device,
    *,
    seen: str = "masked",
    trained: Csr | None = None,
) -> Evaluation:
    """Evaluate a ranker on the held-out items of each user; see ``isthmus.tasks.evaluation.evaluate``.

    Args:
        ranker: the ranker.
        reads: the form in which it reads histories.
        fold: histories and held-out items.
        metrics: names such as "recall@20".
        device: device of the ranker.
        seen: "masked" if items of the history are not ranked, "kept" if they are.
        trained: the training data, in which novelty counts users; by default the histories of the fold.

    Returns:
        Means, standard errors and values of the metrics; higher is better.

    Raises:
        SettingError: an unknown metric.
        InputError: a fold over another catalogue, or without an order that the ranker needs.
    """
    asked, inputs = _asked(ranker, reads, fold)
    return evaluate(
        asked, fold.history, fold.held_out, metrics, inputs=inputs, device=device, seen=seen, trained=trained
    )


def rank_fold(
    ranker: Ranker, reads: Reads, fold: FoldIn, k: int, device: torch.device, *, seen: str = "masked"
) -> Rankings:
    """The ``k`` best items of each user, which ``evaluate_fold`` measures; arguments and errors are the same."""
    asked, inputs = _asked(ranker, reads, fold)
    return rankings(asked, fold.history, fold.held_out, k, inputs=inputs, device=device, seen=seen)


def _asked(ranker: Ranker, reads: Reads, fold: FoldIn) -> tuple[Ranker, csr_array | None]:
    """The ranker and its inputs, if they are not the histories as bags."""
    if not reads.order:
        return ranker, None
    return _RankerOfFold(ranker, source_of(fold.history, fold.ordered, reads)), own_numbers(len(fold))


def own_numbers(rows: int) -> csr_array:
    """Bags that contain the number of their row, for rankers that look up the row themselves."""
    return csr_array((np.ones(rows, np.float32), np.arange(rows), np.arange(rows + 1)), shape=(rows, rows))


class _RankerOfFold:
    """Receives bags that only contain the number of a row of the fold, and ranks by the events of that row."""

    def __init__(self, ranker: Ranker, source: Source) -> None:
        self._ranker, self._source = ranker, source
        # The ranking code reads the device of the ranker from here.
        self.rows, self.readout = getattr(ranker, "rows", None), getattr(ranker, "readout", None)

    @property
    def width(self) -> int:
        return self._ranker.width

    def prepare(self, inputs: Tensors) -> Any:
        rows = require_bags(inputs, "a fold").indices
        return self._ranker.prepare(self._source.batch(rows.cpu()).inputs.to(rows.device))

    def scores(self, state: Any, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        return self._ranker.scores(state, columns)
