"""Splits sessions at a moment: each session is a row, and each next event of the later sessions must be found."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.core.recency import seconds_of
from isthmus.errors import SettingError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.inputs import check_clock
from isthmus_interactions.order.targets import Targets, remarks
from isthmus_interactions.order.temporal import TemporalSplit, before, check_before, moment, timed
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.vocabularies import translate


def sessions(interactions: Interactions, at: Any = 0.9, *, gap: str | None = None, seen: str = "kept") -> TemporalSplit:
    """Split sessions at a moment: each next event of the sessions that start later must be found.

    Args:
        interactions: events with times, whose users are sessions, or users with ``gap``.
        at: the moment: a date, a number in the unit of the data, or a share of the events.
        gap: a pause such as "30min" after which a new session of the same user begins; the sessions are then numbered
            from 0. None if the users are sessions already.
        seen: "kept" keeps repeated items among the events to find, for ``evaluate(..., seen="kept")``; "masked" leaves
            them out.

    Returns:
        Training data from before the moment, and a fold with a row for each next event of the sessions that start
        later. The part before the moment of sessions that continue after it is only used for training.

    Raises:
        ColumnError: the interactions have no times.
        SettingError: a moment that does not split them, or no event that can be found.
        InputError: ``gap`` with times that are not a clock.
    """
    if seen not in ("masked", "kept"):
        raise SettingError(f"seen={seen!r}", expected="'masked' or 'kept'")
    data = interactions if gap is None else by_pauses(interactions, gap)
    histories = timed(data)
    cut = moment(histories, at)
    train = before(data, cut)
    check_before(train, cut)
    later = starting(data, cut)
    columns = translate(later.items, train.items)
    targets = Targets.between(later, columns, np.zeros(len(later), dtype=bool), (cut, None), "successive", seen)
    fold = targets.fold(len(train.items), cut, new=True)
    counts = {name: count for name, count in targets.counts.items() if name != "new_users"}
    if fold is None:
        why = "; ".join(remarks(counts)) or "no session starts later"
        raise SettingError(f"no event of sessions from at={at!r} on can be found: {why}", expected="an earlier moment")
    return TemporalSplit(train, None, fold, None, cut, counts)


def starting(data: Interactions, cut: float | int) -> Interactions:
    """The users whose first event is not before a moment."""
    histories = timed(data)
    assert histories.times is not None
    first = histories.times[np.minimum(histories.offsets[:-1], max(0, histories.events - 1))]
    return data.select_users(np.flatnonzero((histories.lengths > 0) & (first >= cut)))


def by_pauses(interactions: Interactions, gap: str) -> Interactions:
    """A row for each session: a user's events without a pause of ``gap`` or longer. Cells are 1.

    Raises:
        ColumnError: the interactions have no times.
        InputError: times that are not a clock.
        SettingError: not a duration.
    """
    pause, histories = seconds_of(gap, "gap"), timed(interactions)
    check_clock(histories)
    assert histories.seconds is not None
    new_user = np.diff(histories.owners(), prepend=-1) != 0
    starts = np.flatnonzero(new_user | (np.diff(histories.seconds, prepend=0.0) >= pause))
    offsets = np.append(starts, histories.events)
    rows = OrderedHistories(offsets, histories.items, histories.times, histories.unit)
    users = Vocabulary(np.arange(len(rows)))
    return Interactions(users, interactions.items, rows.matrix(len(interactions.items)), rows, interactions.report)
