"""Temporal evaluation of a recommender: on the events after a moment, with the earlier events as histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.checked.arguments import real
from isthmus.errors import InputError, SettingError
from isthmus.reprs import one_line
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.asked_times import in_unit_of
from isthmus_interactions.order.sessions import starting
from isthmus_interactions.order.targets import Cut, Targets, remarks
from isthmus_interactions.order.temporal import moment, shown, timed, within
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.vocabularies import translate

BEFORE = "before"
"""Key in the facts of a bundle: the moment before which it was trained."""

SHARE = 0.9
"""Default share of the events before the cut."""


@dataclass(frozen=True)
class Clocked:
    """A temporal evaluation.

    Attributes:
        fold: events to find of users of the training data, or of new ones if there are no others.
        apart: events to find of new users, if there are both.
        protocol: description of the protocol.
        remarks: what was left out.
    """

    fold: FoldIn
    apart: FoldIn | None
    protocol: str
    remarks: tuple[str, ...]


def clocked(
    fitted: FittedRecommender, test: Interactions, at: Any, target: str, seen: str, *, sessions: bool = False
) -> Clocked:
    """Prepare a temporal evaluation.

    Args:
        fitted: the recommender to evaluate.
        test: the events, over any vocabularies; those of the training data may be among them.
        at: the moment; None for the one before which the recommender was trained.
        target: "last" or "successive".
        seen: "masked" or "kept".
        sessions: only use users without events before the moment, because each user is a session.

    Returns:
        The folds over the catalogue of ``fitted``.

    Raises:
        InputError: data without times, a recommender that was trained on events after the moment, or nothing to find.
        SettingError: a moment that does not split the data.
    """
    if not (isinstance(target, str) and target in ("last", "successive")):
        raise SettingError(f"target={one_line(repr(target))}", expected="'last' or 'successive'")
    test = replace(test, histories=_in_unit_of_training(fitted, timed(test)))
    known, trained = timed(test), None if fitted.histories is None else fitted.histories.times
    cut = _cut(fitted, known, trained, at)
    late = 0 if trained is None else int((trained >= cut).sum())
    if late:
        raise InputError(
            f"a recommender that was trained on {late:,} events from {shown(known, cut)} on",
            expected="one that was trained on what was before",
            remedy=f"fit it with before={shown(known, cut)!r}",
            option=f"fit it with --before '{shown(known, cut)}'",
        )
    data = _with_training(fitted, test, cut)
    columns = translate(data.items, fitted.adapter.items)
    users = translate(data.users, fitted.adapter.users) >= 0
    if sessions:
        data, users = starting(data, cut), np.zeros(0, dtype=bool)
        columns, users = translate(data.items, fitted.adapter.items), np.zeros(len(data), dtype=bool)
    targets = Targets.between(data, columns, users, (cut, None), target, seen)
    width, counts = len(fitted.adapter.items), dict(targets.counts)
    old, new = targets.fold(width, cut, new=False), targets.fold(width, cut, new=True)
    fold = old if old is not None else new
    if fold is None:
        raise InputError(f"no event from {shown(known, cut)} on can be found: {'; '.join(remarks(counts))}",
                         expected="known items that users with a history chose later")  # fmt: skip
    if sessions or old is None:
        counts.pop("new_users")
    unsure = () if trained is not None else ("it is not known when the training data happened: scores may be too high",)
    what = {"last": "the last event of each user", "successive": "each successive event"}[target]
    whose = "sessions that start" if sessions else "of events"
    return Clocked(
        fold,
        new if old is not None else None,
        f"temporal: {what} from {shown(known, cut)} on must be found; the history is what was before it"
        if not sessions
        else f"sessions: {what} of {whose} from {shown(known, cut)} on must be found",
        (*unsure, *remarks(counts)),
    )


def _in_unit_of_training(fitted: FittedRecommender, given: OrderedHistories) -> OrderedHistories:
    """The events with times in the unit of the training data.

    Raises:
        InputError: the two cannot be compared.
    """
    found = in_unit_of(fitted.histories, given)
    if found is None or found.times is None:
        raise InputError("times that cannot be compared with those of the training data", expected="the same unit")
    return found


def _cut(fitted: FittedRecommender, known: OrderedHistories, trained: Any, at: Any) -> Cut:
    """The moment: the given one, or that of the training, or the end of the training data."""
    assert known.times is not None
    least = known.times.min() if trained is None or not len(trained) else min(known.times.min(), trained.min())
    if at is not None:
        return moment(known, at, least=float(least))
    if BEFORE in fitted.facts:
        # It is in the unit of the training data already, and so are the events.
        before: Cut = real(BEFORE, fitted.facts[BEFORE], "the moment at which the training ended")
        return within(
            known, before, f"the moment {shown(known, before)} at which the training ended", least=float(least)
        )
    later = known.times[known.times > trained.max()] if trained is not None and len(trained) else known.times[:0]
    if len(later) and later.min() > known.times.min():
        cut: Cut = later.min().item()
        return cut
    return moment(known, SHARE)


def _with_training(fitted: FittedRecommender, test: Interactions, cut: Cut) -> Interactions:
    """The test data, with the training events of users who have no test data before the cut."""
    histories, told = timed(test), fitted.histories
    rows = translate(test.users, fitted.adapter.users)
    assert histories.times is not None
    early = np.bincount(histories.owners()[histories.times < cut], minlength=len(test)) > 0
    rows = np.where(early, -1, rows)
    if told is None or told.times is None or not (rows >= 0).any():
        return test
    items = test.items.extended(fitted.adapter.items.ids.tolist())
    wider, columns = test.with_items(items), items.rows(fitted.adapter.items.ids.tolist())
    assert wider.histories is not None
    before = told.take(rows)
    whole = before.renumbered(columns).followed_by(
        wider.histories, np.arange(len(test)), np.arange(len(items)), len(test), timed=True
    )
    return replace(wider, histories=whole, matrix=whole.matrix(len(items)))


PROTOCOLS: Mapping[str, bool] = {"temporal": False, "sessions": True}
"""The protocols of this module by name, and whether each row is a session."""
