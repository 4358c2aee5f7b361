"""Events to find: selects those that can be found, with their histories, and counts the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from isthmus_interactions.csr import csr_of
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.event_cells import event_amounts, matrix_of
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import FoldIn

Mask = npt.NDArray[np.bool_]
Cut = float | int

REMARKS = {
    "new_users": ("user is", "users are", "new after the cut and kept apart"),
    "new_items": ("item is", "items are", "new after the cut and in no ranking"),
    "targets_of_new_items": ("event", "events", "of new items cannot be found and are left out"),
    "without_history": ("event", "events", "of users without earlier known items are left out"),
    "already_in_history": ("event", "events", "of items that the user knows already are left out, as these are masked"),
}
"""Texts for the counts: for one, for several, and how they are treated."""


def remarks(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The counts as sentences, without those that are 0."""
    found = []
    for name, (one, many, what) in REMARKS.items():
        count = counts.get(name, 0)
        if count:
            found.append(f"{count:,} {one if count == 1 else many} {what}")
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Targets:
    """Events to find: their positions among all events, and further information.

    Attributes:
        data: all data.
        columns: the column of each item of ``data`` in the training data, or -1.
        places: positions of the events.
        known: which of their users are in the training data.
        counts: what was left out.
    """

    data: Interactions
    columns: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    known: Mask
    counts: dict[str, int]

    @classmethod
    def between(
        cls,
        data: Interactions,
        columns: npt.NDArray[np.int64],
        users: Mask,
        span: tuple[Cut, Cut | None],
        target: str,
        seen: str,
    ) -> Targets:
        """The events of a span of time that can be found.

        Args:
            data: all data, with times.
            columns: the column of each item of ``data`` in the training data, or -1.
            users: which users of ``data`` are in the training data.
            span: the first moment, and the moment after the last one; None for no end.
            target: "last" event of each user, or all "successive" ones.
            seen: whether items of the history are "masked", so that repetitions cannot be found, or "kept".
        """
        histories = data.histories
        assert histories is not None
        assert histories.times is not None
        start, end = span
        owners, items = histories.owners(), histories.items
        mask = histories.times >= start
        if end is not None:
            mask &= histories.times < end
        places = np.flatnonzero(mask)
        active = np.unique(owners[places])
        counts = {
            "new_users": int((~users[active]).sum()),
            "new_items": int((columns[np.unique(items[places])] < 0).sum()),
        }
        if target == "last" and len(places):
            places = places[np.append(np.diff(owners[places]) != 0, True)]
        new = columns[items[places]] < 0
        counts["targets_of_new_items"] = int(new.sum())
        places = places[~new]
        # The number of earlier events of the user whose items are known.
        earlier = np.concatenate([[0], np.cumsum(columns[items] >= 0)])
        empty = earlier[places] == earlier[histories.offsets[owners[places]]]
        counts["without_history"] = int(empty.sum())
        places = places[~empty]
        if seen == "masked":
            repeated = ~_firsts(histories)[places]
            counts["already_in_history"] = int(repeated.sum())
            places = places[~repeated]
        return cls(data, columns, places, users[owners[places]], counts)

    def at_most(self, each: int, in_all: int, seed: int) -> Targets:
        """A subset: at most ``each`` evenly spaced events per user, and ``in_all`` random ones in total."""
        histories = self.data.histories
        assert histories is not None
        owners = histories.owners()[self.places]
        counts = np.bincount(owners, minlength=len(histories))[owners]
        first = np.searchsorted(owners, owners)
        number = np.arange(len(owners)) - first
        # Number n of c is one of ``each`` evenly spaced ones if the line through them passes a whole number at n.
        chosen = (number * each) // np.maximum(counts, each) != ((number - 1) * each) // np.maximum(counts, each)
        rows = np.flatnonzero(chosen | (number == 0))
        if len(rows) > in_all:
            rows = np.sort(np.random.default_rng(seed % 2**63).choice(rows, in_all, replace=False))
        return replace(self, places=self.places[rows], known=self.known[rows])

    def fold(self, width: int, at: Cut, *, new: bool) -> FoldIn | None:
        """A fold with the events of known users, or of new ones, over ``width`` items; None if there are none."""
        places = self.places[self.known != new]
        if not len(places):
            return None
        return fold_of(self.data, places, self.columns, width, at)


def fold_of(
    data: Interactions, places: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], width: int, at: Cut | None
) -> FoldIn:
    """A row for each event to find, with the earlier events of its user as the history.

    Args:
        data: all data, with their order.
        places: positions of the events to find, among all events.
        columns: the column of each item in the fold, or -1.
        width: number of items of the fold.
        at: moment of the split.

    Returns:
        The fold; a user with several events to find has as many rows.
    """
    histories = data.histories
    assert histories is not None
    owners = histories.owners()[places]
    starts = histories.offsets[owners]
    lengths = places - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    events = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    times = None if histories.times is None else histories.times[events]
    asked = OrderedHistories(offsets, histories.items[events], times, histories.unit)
    known = columns[asked.items] >= 0
    amounts = event_amounts(data, histories)
    some = None if amounts is None else amounts[events][known]
    parts = (asked.owners()[known], columns[asked.items[known]], some)
    history = matrix_of(*parts, data.report.weights, (len(places), width))
    found = columns[histories.items[places]]
    held_out = csr_of(np.arange(len(places)), found, np.ones(len(places), np.float32), (len(places), width))
    return FoldIn(history, held_out, data.users.take(owners), asked.renumbered(columns), at)


def _firsts(histories: OrderedHistories) -> Mask:
    """Which events are the first ones of their user and item."""
    keys = histories.owners() * (int(histories.items.max(initial=0)) + 1) + histories.items
    firsts = np.zeros(histories.events, dtype=bool)
    firsts[np.unique(keys, return_index=True)[1]] = True
    return firsts
