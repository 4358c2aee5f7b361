"""Sequence models, which read the items of a user in order, and the rows that they read.

A model declares its input by its ``signal``. With ``isthmus.batch.Tokens`` it receives the last ``signal.length`` items
of each history, oldest first, as ``TokenRows`` whose ids are rows of the catalogue; all other models receive bags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from jaxtyping import Float64, Int32, Int64
from torch import Tensor

from isthmus.batch import Batch, TokenRows, Tokens
from isthmus.errors import InputError
from isthmus.protocols import Ranker
from isthmus_interactions.ordered_histories import OrderedHistories


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
    inputs = SequenceSource.of(histories, length).batch(torch.arange(len(histories))).inputs
    assert isinstance(inputs, TokenRows)
    return inputs if device is None else inputs.to(device)


@dataclass(frozen=True, eq=False)
class SequenceSource:
    """Ordered histories as token rows, 4 bytes per event and 8 for its time. Inputs and targets of a batch are the same
    rows.

    Attributes:
        offsets: start of the items of each user and, after the last user, their end.
        items: oldest first.
        length: number of the last items of a user that are read.
        times: time of each event, in seconds since 1970 or in the unit of the data; None if unknown.
    """

    offsets: Int64[Tensor, " ends"]
    items: Int32[Tensor, " events"]
    length: int
    times: Float64[Tensor, " events"] | None = None

    @classmethod
    def of(cls, histories: OrderedHistories, length: int) -> SequenceSource:
        """The histories on the CPU."""
        times = None if histories.seconds is None else torch.from_numpy(histories.seconds)
        return cls(torch.from_numpy(histories.offsets), torch.from_numpy(histories.items), length, times)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Number of items that are read for each user."""
        return self.offsets.diff().clamp(max=self.length)

    def to(self, device: torch.device) -> SequenceSource:
        """The same rows on another device."""
        times = None if self.times is None else self.times.to(device)
        return SequenceSource(self.offsets.to(device), self.items.to(device), self.length, times)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order, as wide as the longest of them."""
        rows = rows.to(self.offsets.device)
        ends = self.offsets[rows + 1]
        lengths = (ends - self.offsets[rows]).clamp(max=self.length)
        steps = torch.arange(max(1, int(lengths.max()) if len(rows) else 1), device=rows.device)
        mask = steps < lengths[:, None]
        places = ((ends - lengths)[:, None] + steps)[mask]
        ids = torch.zeros(mask.shape, dtype=torch.int64, device=rows.device)
        ids[mask] = self.items[places].long()
        times = None if self.times is None else torch.zeros(mask.shape, dtype=torch.float64, device=rows.device)
        if times is not None and self.times is not None:
            times[mask] = self.times[places]
        tokens = TokenRows(ids, mask, times=times)
        return Batch(rows, tokens, tokens)
