"""Which unit times since 1970 are counted in, by their size, and whether a column keeps to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

PLAUSIBLE = (315_532_800, 4_102_444_800)
"""Seconds since 1970 of 1980 and of 2100: what lies between, in any unit, is taken for a time of today."""

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""How many of each make a second. A plausible time in one unit is none in another."""

ENOUGH = 0.9
"""Share of the numbers, other than 0, that are plausible times in some unit where a column holds times since 1970."""


def epoch_unit(times: Numbers) -> str | None:
    """The unit of times since 1970 by their size; None where they are nothing of the kind, or of several units."""
    seen = SeenUnits()
    seen.add(times, 0)
    found = seen.found()
    return next(iter(found)) if len(found) == 1 else None


@dataclass
class Seen:
    """Times of one unit.

    Attributes:
        count: how many there are.
        row: the first of them, counted from 0.
        number: what it holds.
    """

    count: int
    row: int
    number: int | float


class SeenUnits:
    """The units of the times of a column, a batch at a time."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._numbers = 0

    def add(self, numbers: Numbers, before: int) -> None:
        """Take a batch; 0 stands for no time.

        Args:
            numbers: of the rows.
            before: rows taken before.
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
        """The units that times are counted in; none if the numbers are no times since 1970."""
        plausible = sum(one.count for one in self._seen.values())
        return dict(self._seen) if plausible and plausible >= ENOUGH * self._numbers else {}
