"""The events of each user in order, in addition to the matrix of users and items.

Most models see bags: a matrix with one cell for each user and item. The order of events and their repetitions are not
in it. ``OrderedHistories`` keeps them for sequence models, in arrays instead of an object per event: 4 bytes per event,
8 more if times are known, and 8 bytes per user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from isthmus.disk.mapped import room
from isthmus.reprs import counted, described
from isthmus_interactions.csr import Csr, Ints, csr_of, row_of_entry, row_pieces

Times = npt.NDArray[np.int64] | npt.NDArray[np.float64]

TimeUnit = Literal["us", "as given"]
"""Unit of times: microseconds since 1970-01-01 UTC if the column contained dates, otherwise whatever its numbers
mean."""

CLOCKS = ((1e8, 1e11, 1.0), (1e11, 1e14, 1e-3), (1e14, 1e17, 1e-6), (1e17, 1e20, 1e-9))
"""Size of the numbers of a clock that started in 1970, from and below, and its unit in seconds."""


@dataclass(frozen=True, eq=False, repr=False)
class OrderedHistories:
    """All events of all users, oldest first. Immutable; selections are new objects.

    Events are sorted by time if times are known, and otherwise keep the order in which they were read; so do events
    with equal times. Repeated events are kept: a user who played an item three times has it three times here and once
    in the matrix. Each event has a cell in the matrix of the same interactions, and each cell has an event.

    Attributes:
        offsets: start of the events of each user and, after the last user, their end; int64, users + 1.
        items: column of the item of each event; int32.
        times: int64 or float64, ascending for each user; None if only the order is known.
        unit: unit of ``times``; None without times.
    """

    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    times: Times | None = None
    unit: TimeUnit | None = None

    def __repr__(self) -> str:
        times = "without times" if self.times is None else "with times"
        return described(
            self, f"{counted(len(self.offsets) - 1, 'user')}, {counted(len(self.items), 'event')}, {times}"
        )

    @classmethod
    def of(
        cls, rows: Ints, columns: Ints, times: Times | None, users: int, unit: TimeUnit | None = None
    ) -> OrderedHistories:
        """Sort events by user, then by time; equal ones keep the given order.

        Args:
            rows: user of each event, from 0.
            columns: item of each event, from 0.
            times: time of each event, without NaN; None if the events are already in order.
            users: number of users; some may have no event.
            unit: unit of ``times``.

        Returns:
            Sorted events.
        """
        keys = (rows,) if times is None else (times, rows)
        order = np.lexsort(keys)  # a stable sort; the last key is the primary one
        offsets = _offsets(np.bincount(rows, minlength=users))
        sorted_times = None if times is None else times[order]
        return cls(offsets, columns[order].astype(np.int32, copy=False), sorted_times, unit)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def events(self) -> int:
        """The total number of events."""
        return len(self.items)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of events of each user."""
        lengths: npt.NDArray[np.int64] = np.diff(self.offsets)
        return lengths

    def owners(self) -> npt.NDArray[np.int64]:
        """The user of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def clock(self) -> float | None:
        """Seconds per unit of ``times``; None if there are no times, or numbers that are no clock.

        Numbers are taken for seconds, milliseconds, microseconds or nanoseconds since 1970 by their size: for a date
        between 1973 and 5138 only one of the four is possible.
        """
        if self.times is None or not len(self.times):
            return None
        if self.unit == "us":
            return 1e-6
        largest = max(float(self.times.max()), -float(self.times.min()))
        return next((seconds for least, most, seconds in CLOCKS if least <= largest < most), None)

    @cached_property
    def seconds(self) -> npt.NDArray[np.float64] | None:
        """The time of each event in seconds since 1970, or as given if the times are not a clock; None without
        times."""
        if self.times is None:
            return None
        times = self.times.astype(np.float64)
        return times if self.clock is None else times * self.clock

    def items_of(self, row: int) -> npt.NDArray[np.int64]:
        """The items of one user, oldest first, as rows for ``Vocabulary.take``."""
        return self.items[self.offsets[row] : self.offsets[row + 1]].astype(np.int64)

    def times_of(self, row: int) -> Times | None:
        """The times of one user's events, if they are known."""
        return None if self.times is None else self.times[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: Ints | Sequence[int]) -> OrderedHistories:
        """The given users, in the given order; row -1 is a user without events."""
        wanted = np.asarray(rows, dtype=np.int64)
        starts = self.offsets[np.maximum(wanted, 0)] if len(self) else np.zeros(len(wanted), np.int64)
        lengths = np.where(wanted >= 0, self.offsets[wanted + 1] - starts, 0)
        offsets = _offsets(lengths)
        count = int(offsets[-1])
        items, times = room(self.items, count), None if self.times is None else room(self.times, count)
        for some in row_pieces(offsets):
            here = slice(offsets[some.start], offsets[some.stop])
            shifts = np.repeat(starts[some] - offsets[some], lengths[some])
            events = np.arange(here.start, here.stop) + shifts
            items[here] = self.items[events]
            if times is not None and self.times is not None:
                times[here] = self.times[events]
        return OrderedHistories(offsets, items, times, self.unit)

    def where(self, mask: npt.NDArray[np.bool_]) -> OrderedHistories:
        """The events where ``mask`` is true; all users are kept."""
        counts = np.bincount(self.owners()[mask], minlength=len(self))
        return OrderedHistories(_offsets(counts), self.items[mask], self._times(mask), self.unit)

    def inside(self, matrix: Csr) -> OrderedHistories:
        """The events whose user and item have a cell in a matrix of the same users and items."""
        return self.where(self.cells_in(matrix) >= 0)

    def renumbered(self, columns: Ints) -> OrderedHistories:
        """The same events over another vocabulary: item i becomes ``columns[i]``; events with -1 are dropped."""
        translated = columns[self.items]
        moved = OrderedHistories(self.offsets, translated.astype(np.int32), self.times, self.unit)
        return moved if (translated >= 0).all() else moved.where(translated >= 0)

    def matrix(self, width: int) -> Csr:
        """The users and items that have an event, as a matrix of ones."""
        pairs = np.unique(self.owners() * width + self.items)
        shape = (len(self), width)
        return csr_of(pairs // width, pairs % width, np.ones(len(pairs), np.float32), shape)

    def last_places(self, matrix: Csr) -> npt.NDArray[np.int64]:
        """The position of the last event of each cell, counted over all users; aligned with ``matrix.data``, and -1 for
        a cell without an event.

        ``matrix`` contains every user and item that has an event.
        """
        places = np.full(matrix.nnz, -1, dtype=np.int64)
        # If a cell has several events, the last one is written last and remains.
        places[self.cells_in(matrix)] = np.arange(self.events)
        return places

    def latest_times(self, matrix: Csr) -> Times | None:
        """The time of the last event of each cell, aligned with ``matrix.data``; None if times are unknown."""
        return None if self.times is None else self.times[self.last_places(matrix)]

    def followed_by(
        self, later: OrderedHistories, rows: Ints, columns: Ints, users: int, *, timed: bool
    ) -> OrderedHistories:
        """Merge these events and later ones, as if both had been read together.

        Args:
            later: further events.
            rows: the row here of each user of ``later``.
            columns: the column here of each item of ``later``.
            users: total number of users afterwards.
            timed: whether to sort by time; otherwise ``later`` is appended and times are dropped.

        Returns:
            All events, over the larger numbers of users and items.
        """
        owners = np.concatenate([self.owners(), np.asarray(rows)[later.owners()]])
        items = np.concatenate([self.items, np.asarray(columns)[later.items].astype(np.int32)])
        if not timed or self.times is None or later.times is None:
            return OrderedHistories.of(owners, items, None, users)
        times: Times = np.concatenate([self.times, later.times])
        return OrderedHistories.of(owners, items, times, users, self.unit)

    def _times(self, chosen: Ints | npt.NDArray[np.bool_]) -> Times | None:
        return None if self.times is None else self.times[chosen]

    def cells_in(self, matrix: Csr) -> npt.NDArray[np.int64]:
        """The position of each event's cell among the stored ones, or -1."""
        width = matrix.shape[1]
        stored = row_of_entry(matrix) * width + matrix.indices
        keys = self.owners() * width + self.items
        places = np.searchsorted(stored, keys)
        found = np.zeros(len(keys), dtype=bool)
        inside = places < len(stored)
        found[inside] = stored[places[inside]] == keys[inside]
        return np.where(found, places, -1)


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
