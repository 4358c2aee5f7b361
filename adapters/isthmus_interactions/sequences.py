"""Sequence models, which read the items of a user in order: their data in training, recommendation and evaluation.

A model declares its input by its ``signal``. With ``isthmus.batch.Tokens`` it receives the last ``signal.length`` items
of each history, oldest first, as ``TokenRows`` whose ids are rows of the catalogue; all other models receive bags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Batch, Tensors, TokenRows, Tokens, require_bags
from isthmus.errors import InputError
from isthmus.protocols import Columns, Ranker, Source
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import Evaluation, evaluate
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import FoldIn


@runtime_checkable
class SequenceRanker(Ranker, Protocol):
    """A ranker whose ``prepare`` reads ``TokenRows``."""

    @property
    def signal(self) -> Tokens:
        """The size of the catalogue, and the maximum number of items read from a history."""
        ...


def reads_order(model: object) -> TypeGuard[SequenceRanker]:
    """Whether a model reads items in order rather than bags."""
    return isinstance(getattr(model, "signal", None), Tokens)


def length_read(model: object) -> int | None:
    """Maximum number of items that a model reads in order; None for a model of bags."""
    return model.signal.length if reads_order(model) else None


def known_order(histories: OrderedHistories | None) -> OrderedHistories:
    """Check that the order is known, for a sequence model.

    Raises:
        InputError: it is not.
    """
    if histories is None:
        raise InputError(
            "interactions whose order is not known, for a model that reads items in order",
            expected="a column of times, or rows in order",
            remedy="name the column of times with time=NAME, or pass ordered=True if the rows are in order",
            option="name the column of times with --time NAME, or pass --ordered if the rows are in order",
        )
    return histories


def token_rows(histories: OrderedHistories, length: int, device: torch.device | None = None) -> TokenRows:
    """The last items of every history, oldest first; an empty history is all padding.

    Args:
        histories: one for each row.
        length: maximum number of items.
        device: device of the result; by default the CPU.

    Returns:
        Ids of shape (histories, steps), as wide as the longest row.
    """
    source = SequenceSource.of(histories, length)
    inputs = source.batch(torch.arange(len(histories))).inputs
    assert isinstance(inputs, TokenRows)
    return TokenRows(inputs.ids.to(device), inputs.mask.to(device))


@dataclass(frozen=True, eq=False)
class SequenceSource:
    """Ordered histories as token rows, 4 bytes per event. Inputs and targets of a batch are the same rows.

    Attributes:
        offsets: start of the items of each user and, after the last user, their end.
        items: oldest first.
        length: number of the last items of a user that are read.
    """

    offsets: Int64[Tensor, " ends"]
    items: Int32[Tensor, " events"]
    length: int

    @classmethod
    def of(cls, histories: OrderedHistories, length: int) -> SequenceSource:
        """The histories on the CPU."""
        return cls(torch.from_numpy(histories.offsets), torch.from_numpy(histories.items), length)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Number of items that are read for each user."""
        return self.offsets.diff().clamp(max=self.length)

    def to(self, device: torch.device) -> SequenceSource:
        """The same rows on another device."""
        return SequenceSource(self.offsets.to(device), self.items.to(device), self.length)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order, as wide as the longest of them."""
        rows = rows.to(self.offsets.device)
        ends = self.offsets[rows + 1]
        lengths = (ends - self.offsets[rows]).clamp(max=self.length)
        steps = torch.arange(max(1, int(lengths.max()) if len(rows) else 1), device=rows.device)
        mask = steps < lengths[:, None]
        ids = torch.zeros(mask.shape, dtype=torch.int64, device=rows.device)
        ids[mask] = self.items[((ends - lengths)[:, None] + steps)[mask]].long()
        tokens = TokenRows(ids, mask)
        return Batch(rows, tokens, tokens)


def training_source(data: Interactions, model: object) -> Source:
    """The interactions in the form that a model reads.

    Raises:
        InputError: a sequence model, and interactions whose order is unknown.
    """
    length = length_read(model)
    if length is None:
        return BagSource.from_csr(data.matrix)
    return SequenceSource.of(known_order(data.histories), length)


def evaluate_fold(
    ranker: Ranker, length: int | None, fold: FoldIn, metrics: Sequence[str], device: torch.device
) -> Evaluation:
    """Evaluate a ranker on the held-out items of each user; see ``isthmus.tasks.evaluation.evaluate``.

    Args:
        ranker: ranker of bags, or of items in order.
        length: maximum number of items that it reads in order; None for a ranker of bags.
        fold: histories and held-out items.
        metrics: names such as "recall@20".
        device: device of the ranker.

    Returns:
        Means, standard errors and values of the metrics; higher is better.

    Raises:
        SettingError: an unknown metric.
        InputError: a fold over another catalogue, or without an order that the ranker needs.
    """
    if length is None:
        return evaluate(ranker, fold.history, fold.held_out, metrics, device=device)
    rows = len(fold)
    own_row = csr_array((np.ones(rows, np.float32), np.arange(rows), np.arange(rows + 1)), shape=(rows, rows))
    by_row = _RankerOfFold(ranker, known_order(fold.ordered), length)
    return evaluate(by_row, fold.history, fold.held_out, metrics, inputs=own_row, device=device)


class _RankerOfFold:
    """Receives bags that only contain the number of a row of the fold, and ranks by the events of that row."""

    def __init__(self, ranker: Ranker, histories: OrderedHistories, length: int) -> None:
        self._ranker, self._histories, self._length = ranker, histories, length

    @property
    def width(self) -> int:
        return self._ranker.width

    def prepare(self, inputs: Tensors) -> Any:
        bags = require_bags(inputs, "a fold")
        some = self._histories.take(bags.indices.cpu().numpy())
        return self._ranker.prepare(token_rows(some, self._length, bags.indices.device))

    def scores(self, state: Any, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        return self._ranker.scores(state, columns)
