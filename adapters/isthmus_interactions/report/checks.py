"""Checks of test data and of a model, with the limits from which a result is a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.reprs import brief
from isthmus_interactions.report.intervals import Estimate

Level = Literal["ok", "note", "fault"]

SHARE = 0.01
"""Maximum share of test data that were trained on, or are earlier than training data, without a fault."""

FEW_USERS = 100
"""Number of users below which intervals are wide."""

UNKNOWN = 0.1
"""Maximum share of interactions with items unknown to the model without a fault."""

COVERED = 0.05
"""Share of the possible items below which coverage is low."""

ALIKE = 0.8
"""Overlap of recommendations relative to popularity, above which they count as the same for all users."""

PROMISES = 0.2
"""Maximum relative difference between predicted and observed hits without a fault."""


@brief
@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: name of the check.
        level: ``ok``, ``note`` (worth knowing) or ``fault`` (scores are misleading, or the model is not worth using).
        text: the result with its numbers.
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
    """Test users who were trained on, if the protocol is for new users."""
    numbers = {"users": users, "trained_on": known}
    told = f"{known:,} of {users:,} test users are in the training data"
    if split != "users" or not known:
        return Check("users", "ok", told, numbers)
    level: Level = "fault" if known > SHARE * users else "note"
    return Check("users", level, f"{told}, and the evaluation treats them as new: scores are too high", numbers)


def twins(same: int, users: int, usual: float, fewest: int) -> Check:
    """Test users with exactly the same items as a training user with another id.

    Args:
        same: number of such users.
        users: number of users with enough items.
        usual: share of training users with such a twin among the training users, by chance in a small catalogue.
        fewest: minimum number of items.
    """
    numbers = {"users": users, "twins": same, "usual_share": usual}
    told = f"{same:,} of {users:,} test users with {fewest} items or more have exactly those of another training user"
    if same <= max(SHARE, 2 * usual) * users:
        return Check("twins", "note" if same else "ok", told, numbers)
    return Check("twins", "fault", f"{told}: probably the same people under other ids, so scores are too high", numbers)


def duplicates(exact: int | None, merged: int, rows: int) -> Check:
    """Rows of the test that occur more than once.

    Args:
        exact: number of events with the same user, item and time as another one; None without times.
        merged: number of rows with the same user and item as another one.
        rows: number of rows.
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
    """Interactions with items that are unknown to the model, which it can never recommend."""
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
    """The number of different recommended items, and the overlap of recommendations.

    Args:
        answered: number of different items recommended to all users.
        possible: maximum of this number: all items, or k for each user.
        shared: mean number of common items in the recommendations for two users.
        by_popularity: the same for popularity.
        k: length of the rankings.
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
    """Whether the numbers of hits match the predicted probabilities.

    Args:
        promised: mean predicted number of hits per list.
        found: mean observed number of hits per list.
        difference: mean difference between predicted and observed hits per user.
        error: standard error of that mean.
        ece: expected calibration error.
        hit: definition of a hit in the calibration.
    """
    numbers = {"promised": promised, "found": found, "expected_calibration_error": ece}
    told = f"{promised:.2f} hits of a list were promised and {found:.2f} found, with a calibration error of {ece:.3f}"
    if abs(difference) > PROMISES * max(found, 1e-9) and not abs(difference) <= 3 * error:
        told = f"{told}: the test differs from the users of the calibration, to whom a hit was {hit}"
        return Check("calibration", "fault", told, numbers)
    return Check("calibration", "ok", told, numbers)
