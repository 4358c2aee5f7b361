"""The time limit of ``auto``: the time left for the search after reserving time for the final fit on all users."""

from __future__ import annotations

import time
from collections.abc import Callable

from isthmus_interactions.everybody.train import AGAIN

MARGIN = 0.02
"""Share of the limit for steps that are not measured: holding out users, and scoring the winner."""


class Budget:
    """A time limit of which some seconds are reserved.

    Args:
        seconds: the limit, from now on.
        clock: returns the time in seconds; replaced in tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds, self.now = seconds, clock
        self.started = clock()
        self.end = self.started + (1 - MARGIN) * seconds
        self.reserved = 0.0

    @property
    def left(self) -> float:
        """Seconds for the search: until the end, minus the reserved ones."""
        return self.end - self.now() - self.reserved

    @property
    def until_end(self) -> float:
        """Seconds until the end, for the final fit."""
        return self.end - self.now()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.now() - self.started

    def allows(self, seconds: float) -> bool:
        """Whether there is time for a fit of this duration, and for the same fit on all users."""
        return seconds * (1 + AGAIN) <= self.left
