"""Which rows count as an interaction: a rule over the values, given by the caller or read off the scale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import SettingError

MOST_LEVELS = 20
"""More distinct values than this are amounts (play counts, seconds), not a rating scale."""

_RULE = re.compile(r"\s*(>=|>)?\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*")

Floats = npt.NDArray[np.floating[Any]]
Levels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Keep:
    """Rows to keep: all of them (``bound`` is None), those at least ``bound``, or, if ``strict``, those above it.

    Attributes:
        bound: a value on the scale of the data.
        strict: whether the bound itself is left out.
        why: where the rule comes from, in words.
    """

    bound: float | None
    strict: bool
    why: str

    @property
    def rule(self) -> str:
        """The rule as text that ``parse_keep`` reads: ``all``, ``>=4`` or ``>3.5``."""
        return "all" if self.bound is None else f"{'>' if self.strict else '>='}{_shown(self.bound)}"

    def mask(self, values: Floats) -> npt.NDArray[np.bool_] | None:
        """True where a row stays; None when every row does."""
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


def default_keep(levels: Levels | None, *, valued: bool) -> Keep:
    """The rule when the caller names none, from the distinct values seen.

    - No value column, or a single value: every row.
    - 0 and another value: the other one. Two values above 0, which make no scale: every row.
    - 3 to 20 values: the top two fifths of the scale from lowest to highest, that is values above
      ``lowest + 3/5 (highest - lowest)``: 4 and 5 of 1..5 or 0..5, 3.5 and more of 0.5..5, 7 and more of 1..10.
    - More than 20 values, which are amounts rather than ratings: every row.

    Args:
        levels: the distinct values in ascending order; None for more than 20.
        valued: whether there is a value column at all.
    """
    if not valued:
        return Keep(None, False, "every row, as there is no value column")
    if levels is None:
        return Keep(None, False, f"every row, as more than {MOST_LEVELS} distinct values are amounts and not ratings")
    if len(levels) <= 1:
        return Keep(None, False, "every row, as all values are equal")
    low, high = float(levels[0]), float(levels[-1])
    if len(levels) == 2 and low > 0:
        return Keep(None, False, f"every row, as two values ({_shown(low)} and {_shown(high)}) make no scale")
    # Multiplied out: 5 and 3 are exact where 0.6 is not, and a level on the border must not depend on rounding.
    kept = levels[5 * (levels.astype(np.float64) - low) > 3 * (high - low)]
    bound = float(kept[0])
    if len(levels) == 2:
        return Keep(bound, False, f"{_shown(high)} of the two values {_shown(low)} and {_shown(high)}")
    scale = f"the scale from {_shown(low)} to {_shown(high)}"
    return Keep(bound, False, f"values of at least {_shown(bound)}, the top two fifths of {scale}")


def widen(levels: Levels | None, values: Levels) -> Levels | None:
    """The distinct values seen so far with those of another piece; None once there are more than 20."""
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
