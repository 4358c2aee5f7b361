"""Holds out data for choosing a model or its settings, with the best split that the data allow.

- times on one clock: the model is trained on events before a moment, and evaluated on each next event after it;
- an order without a clock: some users are held out, and their last item must be found;
- neither: some users are held out, and random items of theirs must be found.

In the first case the training data contain nothing that happened after an event to find, in the other two nothing of
the held-out users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.checked.arguments import real
from isthmus_interactions import fit as fitting
from isthmus_interactions.csr import item_counts
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.targets import Targets
from isthmus_interactions.order.temporal import before, check_before, moment, shown
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import FoldIn

FEWEST_USERS = 20
"""Minimum number of users who have events to find after the cut."""

EVENTS_EACH = 10
"""Maximum number of events to find per user, so that no user dominates."""

DISTINCT = 20
"""Minimum number of different times of a clock."""

TIED = 0.8
"""Share of events with the same time as the previous one, above which the order within a history counts as unknown."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """Training data and held-out data.

    Attributes:
        train: the training data, over all items.
        fold: histories and items to find; None if nothing can be held out.
        told: description of the protocol.
    """

    train: Interactions
    fold: FoldIn | None
    told: str


def hold_out(data: Interactions, validation: FoldIn | float, seed: int) -> Holdout:
    """Hold out a part of the data, along the clock or the order if they are known.

    Args:
        data: interactions of all users.
        validation: a fold over the items of ``data``, or the share to hold out: of all events after a moment, or of the
            users.
        seed: seed for the choice of users and of events.

    Returns:
        The training data and the fold.

    Raises:
        SettingError: a share outside 0 to a half, a fold over other items, or one whose items to find are in the
            training data.
        InputError: a temporal fold, and training data that are not before it.
    """
    if not isinstance(validation, FoldIn):
        share = real("validation", validation, "a share of the users from 0 to less than a half")
        found = _temporal(data, share, seed) if 0 < share < 0.5 and has_clock(data.histories) else None
        if found is not None:
            return found
    last = not isinstance(validation, FoldIn) and has_order(data.histories)
    train, fold = fitting.hold_out_users(data, validation, seed, last=last)
    if isinstance(validation, FoldIn):
        return Holdout(train, fold, "given fold")
    told = "the last item" if last else "a part of the items"
    return Holdout(train, fold, f"{told} of users who are not trained on")


def has_clock(histories: OrderedHistories | None) -> bool:
    """Whether events of different users can be compared by their times."""
    return histories is not None and histories.times is not None and len(np.unique(histories.times)) >= DISTINCT


def has_order(histories: OrderedHistories | None) -> bool:
    """Whether the order within a history is known, which is not the case if nearly all events have equal times."""
    if histories is None or histories.times is None:
        return histories is not None
    same_user = np.diff(histories.owners()) == 0
    return bool((np.diff(histories.times)[same_user] == 0).mean() < TIED) if same_user.any() else False


def _temporal(data: Interactions, share: float, seed: int) -> Holdout | None:
    """Each next event after a moment; None if too few users have any, or too little is left to train on."""
    histories = data.histories
    assert histories is not None
    assert histories.times is not None
    ordered = np.sort(histories.times)
    place = int(np.ceil((1 - share) * len(ordered)))
    if not len(ordered) or ordered[min(place, len(ordered) - 1)] <= ordered[0]:
        return None
    cut = moment(histories, 1 - share, "validation")
    train = before(data, cut, keep_all=True)
    check_before(train, cut)
    known = item_counts(train.matrix) > 0
    columns = np.where(known, np.arange(len(data.items)), -1)
    everybody = np.ones(len(data), dtype=bool)
    targets = Targets.between(data, columns, everybody, (cut, None), "successive", "masked")
    some = targets.at_most(EVENTS_EACH, fitting.MOST_HELD_OUT, seed)
    fold = some.fold(len(data.items), cut, new=False)
    if fold is None or len(fold) < fitting.FEWEST or len(set(fold.users)) < FEWEST_USERS or 2 * train.nnz < data.nnz:
        return None
    return Holdout(train, fold, f"each next item after {shown(histories, cut)}, trained on what was before")
