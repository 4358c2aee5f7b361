"""The forms in which models read histories: bags, bags with ages of entries, items in order, or several of them.

A model declares its form. A model with the signal ``isthmus.batch.Tokens`` reads the last items in order, one of
``isthmus.core.recency`` reads the age of each entry of a bag, a blend reads the forms of its parts, and all others read
bags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from isthmus.batch import Bags, Batch, Histories, Tensors, TokenRows, Tokens
from isthmus.core.rankers import Blend
from isthmus.core.recency import Recent
from isthmus.errors import InputError
from isthmus.protocols import Source
from isthmus.sources import BagSource
from isthmus_interactions.cold_start.ranker import ColdStartRanker
from isthmus_interactions.csr import Csr, row_of_entry
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.sequences import SequenceSource, known_order


@dataclass(frozen=True)
class Reads:
    """The form in which a model reads a history.

    Attributes:
        bags: whether it reads a bag.
        ages: whether it reads the age of the entries of the bag.
        timed: whether it needs times, because the weight of events depends on the elapsed time.
        length: maximum number of items that it reads in order; None if it reads no order.
    """

    bags: bool = True
    ages: bool = False
    timed: bool = False
    length: int | None = None

    @property
    def order(self) -> bool:
        """Whether the order of a history matters."""
        return self.ages or self.length is not None


BAGS = Reads()
"""The form that most models read."""


def reads_of(model: object, *, training: bool = False) -> Reads:
    """The form in which a model reads histories.

    Args:
        model: the model.
        training: whether it is trained; a model may then read longer histories, given by its ``training_signal``.
    """
    if isinstance(model, ColdStartRanker):
        return reads_of(model.model, training=training)
    if isinstance(model, Recent):
        return Reads(ages=True, timed=model.half_life.timed)
    if isinstance(model, Blend):
        return _both([reads_of(part, training=training) for part in model.parts])
    if training and getattr(model, "trained_on_times", False):
        return Reads(ages=True, timed=True)
    signal = getattr(model, "signal", None)
    signal = getattr(model, "training_signal", signal) if training else signal
    if not isinstance(signal, Tokens):
        return BAGS
    return Reads(bags=False, length=signal.length, timed=bool(getattr(model, "timed", False)))


def _both(parts: Sequence[Reads]) -> Reads:
    lengths = [part.length for part in parts if part.length is not None]
    return Reads(
        # The length of a bag, by which a blend divides, is needed in any case.
        bags=True,
        ages=any(part.ages for part in parts),
        timed=any(part.timed for part in parts),
        length=max(lengths, default=None),
    )


def check_clock(histories: OrderedHistories) -> None:
    """Check that times are a clock, for a half-life in time.

    Raises:
        InputError: there are no times, or numbers that are not a clock.
    """
    if histories.events and histories.clock is None:
        told = "without times" if histories.times is None else "whose times are numbers that are no clock"
        raise InputError(
            f"interactions {told}, for a half-life in time",
            expected="dates, or seconds since 1970",
            remedy="give the half-life as a number of events, as in decay=20",
            option="give the half-life as a number of events, as in --decay 20",
        )


def source_of(matrix: Csr, histories: OrderedHistories | None, reads: Reads) -> Source:
    """Histories in the form that a model reads.

    Args:
        matrix: one row for each history, shape (users, items).
        histories: the same events in order; None if the order is unknown.
        reads: the form that the model reads.

    Returns:
        A source on the CPU, one row for each history.

    Raises:
        InputError: the model reads the order, and it is unknown.
    """
    if not reads.order:
        return BagSource.from_csr(matrix)
    ordered = known_order(histories)
    bags = _with_ages(matrix, ordered) if reads.ages else BagSource.from_csr(matrix)
    if reads.length is None:
        return bags
    tokens = SequenceSource.of(ordered, reads.length)
    return HistorySource(bags, tokens) if reads.bags else tokens


def _with_ages(matrix: Csr, ordered: OrderedHistories) -> BagSource:
    owners, places = row_of_entry(matrix), ordered.last_places(matrix)
    # An entry without an event is older than all events.
    ages = np.where(places >= 0, ordered.offsets[owners + 1] - 1 - places, ordered.lengths[owners])
    times = None
    if ordered.clock is not None and ordered.seconds is not None:
        first = ordered.seconds[np.minimum(ordered.offsets[owners], ordered.events - 1)]
        times = torch.from_numpy(np.where(places >= 0, ordered.seconds[places], first))
    return replace(BagSource.from_csr(matrix), ages=torch.from_numpy(ages.astype(np.float32)), times=times)


@dataclass(frozen=True, eq=False)
class HistorySource:
    """The same histories as bags and as token rows. Inputs and targets of a batch are the same rows."""

    bags: BagSource
    tokens: SequenceSource

    def __len__(self) -> int:
        return len(self.bags)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Number of items of each history."""
        return self.bags.lengths

    def to(self, device: torch.device) -> HistorySource:
        """The same rows on another device."""
        return HistorySource(self.bags.to(device), self.tokens.to(device))

    def read_by(self, model: nn.Module) -> Source:
        """The same rows as a part of a blend reads them in training."""
        reads = reads_of(model, training=True)
        if reads.length is None:
            return self.bags
        tokens = replace(self.tokens, length=reads.length)
        return HistorySource(self.bags, tokens) if reads.bags else tokens

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        bags, tokens = self.bags.batch(rows), self.tokens.batch(rows).inputs
        assert isinstance(bags.inputs, Bags)
        assert isinstance(tokens, TokenRows)
        both = Histories(bags.inputs, tokens)
        return Batch(bags.rows, both, both)


def all_rows(source: Source) -> Tensors:
    """All rows of a source at once."""
    return source.batch(torch.arange(len(source))).inputs
