"""Detects the unit of times since 1970 by their size, and checks that a column uses only one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

PLAUSIBLE = (315_532_800, 4_102_444_800)
"""Seconds since 1970 of the years 1980 and 2100; times between them, in any unit, are considered plausible."""

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Number of units per second. A plausible time in one unit is not plausible in another."""

ENOUGH = 0.9
"""Minimum share of plausible times among the nonzero numbers of a column of times since 1970."""


def epoch_unit(times: Numbers) -> str | None:
    """The unit of times since 1970 by their size; None if they are not such times, or have several units."""
    seen = SeenUnits()
    seen.add(times, 0)
    found = seen.found()
    return next(iter(found)) if len(found) == 1 else None


@dataclass
class Seen:
    """Times of one unit.

    Attributes:
        count: number of these times.
        row: row of the first one, from 0.
        number: the first one.
    """

    count: int
    row: int
    number: int | float


class SeenUnits:
    """Collects the units of the times of a column, batch by batch."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._numbers = 0

    def add(self, numbers: Numbers, before: int) -> None:
        """Add a batch; 0 means no time.

        Args:
            numbers: times of the rows.
            before: number of rows before this batch.
        """
        self._numbers += int(np.count_nonzero(numbers))
        for unit, size in UNITS.items():
            inside = (numbers >= PLAUSIBLE[0] * size) & (numbers < PLAUSIBLE[1] * size)
            count = int(inside.sum())
            if count and unit in self._seen:
                self._seen[unit].count += count
            elif count:
                row = int(np.argmax(inside))
                self._seen[unit] = Seen(count, before + row, numbers[row].item())

    def state(self) -> dict[str, Any]:
        """What was seen, as JSON."""
        return {"numbers": self._numbers, "seen": {unit: asdict(seen) for unit, seen in self._seen.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``state``."""
        self._numbers = state["numbers"]
        self._seen = {unit: Seen(**seen) for unit, seen in state["seen"].items()}

    def found(self) -> dict[str, Seen]:
        """The units of the times; empty if the numbers are not times since 1970."""
        plausible = sum(one.count for one in self._seen.values())
        return dict(self._seen) if plausible and plausible >= ENOUGH * self._numbers else {}
