"""Temporal splits with one clock for all users: training on events before a moment, evaluation on events after it.

Leave-last-out has a different moment for each user, so that a model is trained on events of others that had not
happened yet. Here the training data contain nothing from the cut on. Users and items that are new after it are counted
and kept separate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.errors import ColumnError, InputError, SettingError
from isthmus.reprs import brief
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.asked_times import AskedTimes
from isthmus_interactions.order.event_cells import event_amounts, matrix_of
from isthmus_interactions.order.targets import Cut, Targets, remarks
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import FoldIn, Split
from isthmus_interactions.vocabularies import translate


@brief
@dataclass(frozen=True, eq=False)
class TemporalSplit(Split):
    """A split at a moment, in the unit of the times of the data.

    Attributes:
        new_users: events to find of users who are not in the training data, from their second known item on; None
            if there are none. Models of histories can be evaluated on them, too.
        at: the moment; training events are before it.
        counts: numbers of excluded users, items and events: ``new_users``, ``new_items``, ``targets_of_new_items``
            (which no model can find), ``without_history``, and ``already_in_history`` if seen items are masked.
    """

    new_users: FoldIn | None
    at: Cut
    counts: dict[str, int]

    def remarks(self) -> tuple[str, ...]:
        """The counts as sentences."""
        return remarks(self.counts)


def temporal(
    interactions: Interactions,
    at: Any = 0.9,
    target: str = "last",
    *,
    validation: Any = None,
    seen: str = "masked",
) -> TemporalSplit:
    """Split at one moment for all users.

    Args:
        interactions: all data, with times.
        at: the moment: a date such as "2024-01-31", a number in the unit of the data, or a share such as 0.9: the
            moment before which this share of all events happened.
        target: "last", the last event of each user after the cut, or "successive", each event after it in a row of its
            own. The history is everything that the user did before the event to find, also after the cut.
        validation: an earlier moment in the same form; the training data then end there, and the events between the two
            moments are the validation fold. None for no validation.
        seen: "masked" leaves out events whose item is already in the history, because such items are not ranked; "kept"
            keeps them, for ``evaluate(..., seen="kept")``.

    Returns:
        The training data, over the users and items that were known before the cut, and the folds over their items.

    Raises:
        ColumnError: the interactions have no times.
        SettingError: a moment before or after which there are no events, an invalid ``target`` or ``seen``, or no event
            that can be found.
    """
    histories = timed(interactions)
    if target not in ("last", "successive") or seen not in ("masked", "kept"):
        raise SettingError(f"target={target!r}, seen={seen!r}", expected="'last' or 'successive', 'masked' or 'kept'")
    end = moment(histories, at)
    start = end if validation is None else moment(histories, validation, "validation")
    if start > end:
        raise SettingError(f"validation={validation!r} after at={at!r}", expected="an earlier moment")
    train = before(interactions, start)
    check_before(train, start)
    columns, users = translate(interactions.items, train.items), translate(interactions.users, train.users) >= 0
    test = Targets.between(interactions, columns, users, (end, None), target, seen)
    middle = Targets.between(interactions, columns, users, (start, end), target, seen)
    width = len(train.items)
    known, unknown = test.fold(width, start, new=False), test.fold(width, start, new=True)
    if known is None and unknown is None:
        raise SettingError(
            f"no event after at={at!r} can be found: {'; '.join(remarks(test.counts))}",
            expected="a moment further from the end",
        )
    found = known if known is not None else unknown
    assert found is not None
    return TemporalSplit(
        train,
        None if validation is None else middle.fold(width, start, new=False),
        found,
        unknown if known is not None else None,
        end,
        test.counts,
    )


def timed(interactions: Interactions) -> OrderedHistories:
    """The events with their times.

    Raises:
        ColumnError: times are not known.
    """
    if interactions.histories is None or interactions.histories.times is None:
        raise ColumnError(
            "the interactions have no times",
            expected="a column of times",
            remedy="name it with time=NAME, or use leave_last_out() if only the order is known",
            option="name it with --time NAME, or use --split leave-last-out if only the order is known",
        )
    return interactions.histories


def moment(histories: OrderedHistories, at: Any, name: str = "at", *, least: float | None = None) -> Cut:
    """A moment in the unit of the times.

    Args:
        histories: all events, with times.
        at: a date, a number in the unit of the times, or a share of the events above 0 and below 1.
        name: the setting, for messages.
        least: the time of the first event; by default that of ``histories``.

    Returns:
        A number between the first and the last time.

    Raises:
        SettingError: not a moment, or a moment before or after which there are no events.
    """
    times = histories.times
    assert times is not None
    number = float(at) if isinstance(at, str) and _is_share(at) else at
    if isinstance(number, float | np.floating) and 0 < number < 1:
        # The time of an event, which is then after the cut, so that events with equal times are not separated.
        cut = np.sort(times)[min(len(times) - 1, int(np.ceil(number * len(times))))]
    else:
        try:
            cut = AskedTimes(histories).numbers([name], [at])[0]
        except InputError as error:
            raise SettingError(
                f"{name}={at!r}", expected="a date or number like the times of the data, or a share of the events"
            ) from error
    return within(histories, cut.item(), f"{name}={at!r}", least=least)


def within(histories: OrderedHistories, cut: Cut, what: str, *, least: float | None = None) -> Cut:
    """Check that there are events before a moment and from it on.

    Args:
        histories: all events, with times.
        cut: the moment.
        what: the setting, for messages.
        least: the time of the first event; by default that of ``histories``.

    Raises:
        SettingError: there are none.
    """
    times = histories.times
    assert times is not None
    first = times.min() if least is None else least
    if not first < cut <= times.max():
        raise SettingError(
            f"{what}, with nothing {'before it' if cut <= first else 'from then on'}",
            expected=f"a moment after {shown(histories, first)} and until {shown(histories, times.max())}",
        )
    return cut


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def shown(histories: OrderedHistories, time: Any) -> str:
    """A readable time: a date if the times are a clock, otherwise the number."""
    if histories.clock is None:
        return f"{time:g}"
    return str(np.datetime64(int(float(time) * histories.clock), "s")).replace("T", " ")


def before(interactions: Interactions, cut: Cut, *, keep_all: bool = False) -> Interactions:
    """The interactions before a moment, over the users and items that were known then.

    If only some events of an interaction are earlier, its amount is divided among its events.

    Args:
        interactions: all data, with times.
        cut: the moment, in the unit of the times.
        keep_all: keep all items, including those without an earlier event.
    """
    histories = timed(interactions)
    assert histories.times is not None
    mask = histories.times < cut
    kept = histories.where(mask)
    amounts = event_amounts(interactions, histories)
    shape, weights = (len(interactions), len(interactions.items)), interactions.report.weights
    some = None if amounts is None else amounts[mask]
    matrix = matrix_of(histories.owners()[mask], histories.items[mask], some, weights, shape)
    part = Interactions(interactions.users, interactions.items, matrix, kept, interactions.report)
    part = part.select_users(np.flatnonzero(kept.lengths))
    items = np.flatnonzero(np.bincount(part.matrix.indices, minlength=len(part.items)))
    return part if keep_all else part.select_items(items)


def earlier(interactions: Interactions, at: Any) -> tuple[Interactions, Cut]:
    """The interactions before a moment, and the moment in the unit of the times.

    Args:
        interactions: all data, with times.
        at: a date, a number in the unit of the times, or a share of the events.

    Raises:
        ColumnError: the interactions have no times.
        SettingError: a moment that does not split them.
    """
    cut = moment(timed(interactions), at, "before")
    return before(interactions, cut), cut


def check_before(train: Interactions, cut: Cut) -> None:
    """Check that the training data contain no events at or after a moment.

    Raises:
        InputError: they do.
    """
    times = None if train.histories is None else train.histories.times
    if times is None:
        return
    late = int((times >= cut).sum())
    if late:
        assert train.histories is not None
        raise InputError(
            f"{late:,} events of the training data happened at or after {shown(train.histories, cut)}",
            expected="training data from before the events to find",
            remedy="take both from one temporal split",
        )
