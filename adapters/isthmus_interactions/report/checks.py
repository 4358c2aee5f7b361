"""Verdicts on a test and on a model: what is compared, and from when on it is a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.reprs import brief
from isthmus_interactions.report.intervals import Estimate

Level = Literal["ok", "note", "fault"]

SHARE = 0.01
"""A larger share of the test that was trained on, or known before it happened, is a fault."""

FEW_USERS = 100
"""Intervals of fewer users are wide."""

UNKNOWN = 0.1
"""A larger share of interactions with items that the model does not have is a fault."""

COVERED = 0.05
"""Fewer than this share of the items that could be answered is little."""

ALIKE = 0.8
"""Answers that share so large a part of what those of popularity share are the same for all."""

PROMISES = 0.2
"""A larger relative difference between promised and found hits is a fault."""


@brief
@dataclass(frozen=True)
class Check:
    """One verdict.

    Attributes:
        name: of the check.
        level: ``ok``, ``note`` (worth knowing) or ``fault`` (scores mean something else than they seem to, or the model
            is not worth using).
        text: the verdict with its numbers.
        numbers: the same numbers.
    """

    name: str
    level: Level
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)


def overlap(both: int, pairs: int, *, left_out: bool) -> Check:
    """Test pairs of user and item that are in the training data.

    Args:
        both: number of such pairs.
        pairs: number of pairs in the test.
        left_out: whether the evaluation leaves them out.
    """
    numbers = {"pairs": pairs, "trained_on": both}
    if not both:
        return Check("overlap", "ok", "no pair of user and item of the test is in the training data", numbers)
    told = f"{both:,} of {pairs:,} pairs of user and item of the test are in the training data"
    if both <= SHARE * pairs:
        return Check("overlap", "note", told, numbers)
    told += ": they are left out of the scores" if left_out else ": scores are too high"
    return Check("overlap", "fault", f"{told}; is it the right test, or was the model trained on it?", numbers)


def time_leak(early: int, own: int, events: int | None) -> Check:
    """Test events that are earlier than training events.

    Args:
        early: test events before the last training event of anybody.
        own: test events before the last training event of the same user.
        events: all test events; None if times are not known or cannot be compared.
    """
    if events is None:
        told = "not checked: the training data or the test have no times, or they cannot be compared"
        return Check("time", "note", told)
    numbers = {"events": events, "before_training_ends": early, "before_own_training_ends": own}
    if early <= SHARE * events:
        level: Level = "note" if early else "ok"
        return Check(
            "time", level, f"{early:,} of {events:,} test events happened before the training data end", numbers
        )
    return Check(
        "time",
        "fault",
        f"{early:,} of {events:,} test events happened before the training data end, {own:,} of them before the last "
        "training event of the same user: the model knows what came later, so scores are higher than they will be in "
        "use; split along one clock (fit(before=...) and split='temporal')",
        numbers,
    )


def trained_users(known: int, users: int, split: str) -> Check:
    """Test users who were trained on, where the protocol is for new users."""
    numbers = {"users": users, "trained_on": known}
    told = f"{known:,} of {users:,} test users are in the training data"
    if split != "users" or not known:
        return Check("users", "ok", told, numbers)
    level: Level = "fault" if known > SHARE * users else "note"
    return Check("users", level, f"{told}, and the evaluation treats them as new: scores are too high", numbers)


def twins(same: int, users: int, usual: float, fewest: int) -> Check:
    """Test users whose items are exactly those of a training user of another id.

    Args:
        same: number of such users.
        users: number of users with enough items.
        usual: the share of training users who have such a twin among themselves: by chance, in a small catalogue.
        fewest: how many items are enough.
    """
    numbers = {"users": users, "twins": same, "usual_share": usual}
    told = f"{same:,} of {users:,} test users with {fewest} items or more have exactly those of another training user"
    if same <= max(SHARE, 2 * usual) * users:
        return Check("twins", "note" if same else "ok", told, numbers)
    return Check("twins", "fault", f"{told}: probably the same people under other ids, so scores are too high", numbers)


def duplicates(exact: int | None, merged: int, rows: int) -> Check:
    """Rows of the test that occur more than once.

    Args:
        exact: events of the same user, item and time as another one; None without times.
        merged: rows of the same user and item as another one.
        rows: all rows.
    """
    numbers = {"rows": rows, "exact": exact, "same_user_and_item": merged}
    if exact is not None and exact > SHARE * rows:
        told = (
            f"{exact:,} of {rows:,} rows of the test repeat another one with the same time: is the file complete once?"
        )
        return Check("duplicates", "fault", told, numbers)
    told = f"{merged:,} of {rows:,} rows of the test repeat a user and an item, and count once"
    if exact is None and merged > UNKNOWN * rows:
        return Check(
            "duplicates", "fault", f"{told}: without times it is unknown whether they are events or copies", numbers
        )
    return Check("duplicates", "note" if merged else "ok", told, numbers)


def unknown_items(lost: int, pairs: int) -> Check:
    """Interactions with items that the model does not have and so can never recommend."""
    numbers = {"pairs": pairs, "with_unknown_items": lost}
    told = f"{lost:,} of {pairs:,} interactions of the test are with items that the model does not have"
    if lost <= UNKNOWN * pairs:
        return Check("new items", "note" if lost else "ok", told, numbers)
    return Check("new items", "fault", f"{told} and cannot recommend: update it, or give it features of items", numbers)


def better_than(name: str, metric: str, difference: Estimate, own: Estimate, other: Estimate) -> Check:
    """Whether the model is ahead of a baseline.

    Args:
        name: of the baseline.
        metric: that is compared.
        difference: the mean of the paired differences; above 0 the model is ahead.
        own: score of the model.
        other: score of the baseline.
    """
    numbers = {"metric": metric, "model": own.mean, "baseline": other.mean, **difference.document()}
    told = (
        f"{metric} {own.mean:.4f} against {other.mean:.4f} of {name}: a difference of {difference.mean:+.4f} "
        f"[{difference.low:+.4f}, {difference.high:+.4f}]"
    )
    if difference.low > 0:
        return Check(f"better than {name}", "ok", told, numbers)
    if difference.high > 0 and difference.users < FEW_USERS:
        told = f"{told}: too few users to tell"
        return Check(f"better than {name}", "note", told, numbers)
    worse = "worse than" if difference.high < 0 else "no better than"
    return Check(f"better than {name}", "fault", f"the model is {worse} {name}: {told}", numbers)


def variety(answered: int, possible: int, shared: float, by_popularity: float, k: int) -> Check:
    """How many different items are recommended, and how much alike the answers are.

    Args:
        answered: different items among the answers to all users.
        possible: as many as there could be: all items, or k for each user.
        shared: number of items that the answers to two users have in common, in the mean.
        by_popularity: the same for popularity.
        k: length of the answers.
    """
    numbers = {"answered": answered, "possible": possible, "shared": shared, "shared_by_popularity": by_popularity}
    told = (
        f"the top {k} of all users are {answered:,} different items of {possible:,} possible ones, and two users share "
        f"{shared:.1f} of them in the mean ({by_popularity:.1f} by popularity)"
    )
    if answered < possible and shared > ALIKE * by_popularity:
        return Check("coverage", "fault", f"{told}: everybody gets the same", numbers)
    if answered < COVERED * possible:
        return Check("coverage", "fault", f"{told}: most of the catalogue is never recommended", numbers)
    return Check("coverage", "ok", told, numbers)


def enough_users(users: int) -> Check:
    """Whether there are enough users for narrow intervals."""
    told = f"{users:,} users could be evaluated"
    if users >= FEW_USERS:
        return Check("size", "ok", told, {"users": users})
    return Check("size", "note", f"{told}: intervals are wide", {"users": users})


def behind(parts: list[str]) -> Check:
    """Users for whom popularity is better than the model."""
    if not parts:
        return Check("slices", "ok", "popularity is not ahead for users with few, some or many interactions")
    return Check("slices", "fault", f"popularity is better for users with {' and '.join(parts)}", {"behind": parts})


def kept_promises(promised: float, found: float, difference: float, error: float, ece: float, hit: str) -> Check:
    """Whether as many hits came as the calibrated answers had promised.

    Args:
        promised: mean number of hits of a list by its chances.
        found: mean number of its hits.
        difference: mean of promised less found hits of each user.
        error: standard error of that mean.
        ece: expected calibration error.
        hit: what counted as a hit where the chances were learnt.
    """
    numbers = {"promised": promised, "found": found, "expected_calibration_error": ece}
    told = f"{promised:.2f} hits of a list were promised and {found:.2f} found, with a calibration error of {ece:.3f}"
    if abs(difference) > PROMISES * max(found, 1e-9) and not abs(difference) <= 3 * error:
        told = f"{told}: the test differs from the users of the calibration, to whom a hit was {hit}"
        return Check("calibration", "fault", told, numbers)
    return Check("calibration", "ok", told, numbers)
