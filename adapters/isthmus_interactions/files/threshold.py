"""The rule that decides which rows count as interactions, given by the caller or derived from a rating scale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import SettingError

MOST_LEVELS = 101
"""More distinct values than this are amounts (play counts, seconds), also in a column of ratings: 0 to 100 has so many.
"""

SCALE_LEVELS = 21
"""Maximum number of distinct values of a rating scale in a column without a name such as "rating"."""

SCALE_STARTS, SCALE_ENDS = (0.0, 0.5, 1.0), (5.0, 10.0, 100.0)
SCALE_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0)
"""Ranges and steps of values that are recognised as a rating scale in a column of any name."""

NOT_RATED = -1
"""Values that mark missing ratings in scales that start at 0 or 1."""

LOUD = 0.9
"""A warning is issued if a rule removes a larger share of the rows than this."""

_NAMED = frozenset({"rating", "ratings", "rate", "stars", "star", "score", "scores", "grade", "grades"})
_COUNTED = frozenset({"count", "counts", "num", "number", "n", "total", "sum", "quantity", "qty", "amount"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_RULE = re.compile(r"\s*(>=|>)?\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*")

Floats = npt.NDArray[np.floating[Any]]
Levels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Keep:
    """Rows to keep: all of them (``bound`` is None), those at least ``bound``, or, if ``strict``, those above it.

    Attributes:
        bound: a value on the scale of the data.
        strict: whether the bound itself is left out.
        why: the origin of the rule, in words.
    """

    bound: float | None
    strict: bool
    why: str

    @property
    def rule(self) -> str:
        """The rule as text that ``parse_keep`` reads: ``all``, ``>=4`` or ``>3.5``."""
        return "all" if self.bound is None else f"{'>' if self.strict else '>='}{_shown(self.bound)}"

    def mask(self, values: Floats) -> npt.NDArray[np.bool_] | None:
        """True for rows to keep; None if all rows are kept."""
        if self.bound is None:
            return None
        return values > self.bound if self.strict else values >= self.bound


def parse_keep(keep: str | float | int | None) -> Keep | None:
    """The caller's rule: ``"all"``, ``">=4"``, ``">3.5"`` or a number, which means "at least". None stays None.

    Raises:
        SettingError: anything else.
    """
    if keep is None:
        return None
    if isinstance(keep, str) and keep.strip().lower() == "all":
        return Keep(None, False, "every row, as asked")
    match = _RULE.fullmatch(keep if isinstance(keep, str) else repr(float(keep)))
    if match is None or isinstance(keep, bool):
        raise SettingError(f"keep={keep!r}", expected="'all', a threshold such as '>=4' or '>3.5', or a number")
    bound, strict = float(match.group(2)), match.group(1) == ">"
    return Keep(bound, strict, f"values {'above' if strict else 'of at least'} {_shown(bound)}, as asked")


def default_keep(
    levels: Levels | None, *, valued: bool, rated: bool = False, counts: npt.NDArray[np.int64] | None = None
) -> Keep:
    """The default rule, derived from the distinct values.

    - No value column, or a single value: every row.
    - A rating scale: its top two fifths, that is values above ``lowest + 3/5 (highest - lowest)``: 4 and 5 of 1..5 or
      0..5, 3.5 and more of 0.5..5, 7 and more of 1..10. A column is a scale if its name says so, or if its values have
      even steps from 0, 0.5 or 1 to 5, 10 or 100, unless the lowest is the most frequent, as is typical of quantities.
    - All other values, such as amounts and yes or no: every row above 0.

    Args:
        levels: the distinct values in ascending order; None for more than ``MOST_LEVELS``.
        valued: whether there is a value column at all.
        rated: whether its name says that it contains ratings; see ``is_named_rating``.
        counts: number of rows with each of the levels.

    Returns:
        The rule and its origin.
    """
    if not valued:
        return Keep(None, False, "every row, as there is no value column")
    if levels is None:
        return _above_zero(f"as more than {MOST_LEVELS} distinct values are amounts and not ratings")
    if len(levels) <= 1:
        return Keep(None, False, "every row, as all values are equal")
    if len(levels) > 2 and levels[0] == NOT_RATED and levels[-1] > 1:
        levels, counts = levels[1:], None if counts is None else counts[1:]
    low, high = float(levels[0]), float(levels[-1])
    ends = f"{_shown(low)} and {_shown(high)}"
    if len(levels) == 2:
        return _above_zero(f"as two values ({ends}) make no scale" if low > 0 else f"of the two values {ends}")
    if not (rated or _is_scale(levels, counts)):
        return _above_zero(f"as values from {ends.replace(' and ', ' to ')} are amounts and not ratings")
    # Multiplied out: 5 and 3 are exact where 0.6 is not, and a level on the border must not depend on rounding.
    kept = levels[5 * (levels.astype(np.float64) - low) > 3 * (high - low)]
    bound = float(kept[0])
    scale = f"the scale from {_shown(low)} to {_shown(high)}"
    return Keep(bound, False, f"values of at least {_shown(bound)}, the top two fifths of {scale}")


def is_named_rating(column: str) -> bool:
    """Whether the name of a column says that it contains ratings: ``rating``, ``bookRating``, ``stars``, ``score``."""
    words = {word.lower() for word in _WORD.findall(column)}
    return bool(words & _NAMED) and not words & _COUNTED


def _above_zero(why: str) -> Keep:
    return Keep(0.0, True, f"every row with a value above 0, {why}")


def _is_scale(levels: Levels, counts: npt.NDArray[np.int64] | None) -> bool:
    values = levels.astype(np.float64)
    if len(values) > SCALE_LEVELS or values[0] not in SCALE_STARTS or values[-1] not in SCALE_ENDS:
        return False
    if counts is not None and values[0] > 0 and counts[0] > counts[1:].max():
        return False
    # From 0 even where the lowest is 1: 1, 10, 20, ... 100 is no scale, and 1, 2, ... 10 is one.
    steps = [step for step in SCALE_STEPS if not (values % step).any()]
    # At least half of the places are taken: 1, 2 and 10 are quantities.
    return bool(steps) and bool(2 * len(values) > (values[-1] - values[0]) / steps[-1])


def widen(levels: Levels | None, values: Levels) -> Levels | None:
    """The distinct values seen so far with those of another piece; None once there are more than ``MOST_LEVELS``."""
    if levels is None:
        return None
    known = np.isin(values, levels)
    if known.all():
        return levels
    together = np.union1d(levels, values[~known])
    return together if len(together) <= MOST_LEVELS else None


def _shown(value: float) -> str:
    # The shortest text that gives the same float32 back: "4", "3.3".
    return np.format_float_positional(np.float32(value), trim="-")
