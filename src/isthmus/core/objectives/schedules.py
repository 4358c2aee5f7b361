"""Schedules of the rate weight: (step, progress) -> a scalar or one weight per row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Bags
from isthmus.errors import SettingError
from isthmus.protocols import Step
from isthmus.reprs import brief

Progress = float | Tensor
"""Share of the planned training from 0 to 1: a number, or a scalar tensor if steps are captured in a CUDA graph."""

RateWeight = Callable[[Step, Any], "float | Tensor"]
"""(step, progress) -> a scalar or one weight per row."""


def between(value: Progress, low: float, high: float) -> Progress:
    """The value clipped to the range from ``low`` to ``high``."""
    return value.clamp(low, high) if isinstance(value, Tensor) else min(high, max(low, value))


@dataclass(frozen=True)
class Constant:
    """The same rate weight throughout; 1 is the evidence lower bound (Kingma & Welling 2014)."""

    weight: float = 1.0

    def __call__(self, step: Step, progress: Progress) -> float:
        """The weight."""
        return self.weight


@dataclass(frozen=True)
class LinearAnnealing:
    """β(progress) = cap · min(1, progress / until): linear annealing to a cap (Liang et al. 2018, section 2.2.2).

    Progress is counted in records seen, so the schedule does not depend on the batch size.
    """

    cap: float = 1.0
    until: float = 1.0

    def __call__(self, step: Step, progress: Progress) -> Progress:
        """β at this progress."""
        return self.cap * between(progress / self.until, 0.0, 1.0)


@dataclass(frozen=True)
class HistoryLengthWeight:
    """γ Σ_i x_i for a bag of targets x: the weight of the rate grows with the total, as the log-likelihood does
    (Shenbin et al. 2020)."""

    weight: float

    def __call__(self, step: Step, progress: Progress) -> Float[Tensor, " batch"]:
        """One weight for each row."""
        targets = step.batch.targets
        if not isinstance(targets, Bags):
            raise SettingError(f"rates weighed by the total of {type(targets).__name__}", expected="bags")
        return self.weight * targets.totals()


@dataclass(frozen=True)
class CyclicalAnnealing:
    """Cyclical annealing: in each of ``cycles`` equal parts of the training, β stays at 0, rises linearly to ``cap``
    and stays there (Fu et al., NAACL 2019, with 4 cycles, a ramp of 0.5 and no rest).

    Args:
        cap: the highest rate weight.
        cycles: number of cycles.
        ramp: share of a cycle in which it rises.
        rest: share of a cycle before that in which it is 0.
    """

    cap: float = 1.0
    cycles: int = 4
    ramp: float = 0.5
    rest: float = 0.0

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise SettingError(f"{self.cycles} cycles", expected="at least 1")
        if not (self.ramp > 0 and self.rest >= 0 and self.ramp + self.rest <= 1):
            raise SettingError(f"ramp={self.ramp} after rest={self.rest}", expected="shares of a cycle, 1 at most")

    def __call__(self, step: Step, progress: Progress) -> Progress:
        """β at this progress; the last cycle ends at the cap."""
        place: Progress
        if isinstance(progress, Tensor):
            place = (progress * self.cycles % 1.0).masked_fill(progress >= 1, 1.0)
        else:
            place = 1.0 if progress >= 1 else progress * self.cycles % 1.0
        return self.cap * between((place - self.rest) / self.ramp, 0.0, 1.0)


@brief
@dataclass(frozen=True)
class DelayedSchedule:
    """A schedule for the rest of the training after the share ``start``: ``weight`` sees progress from 0 to 1 there."""

    weight: RateWeight
    start: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise SettingError(f"a schedule that starts at {self.start}", expected="0 <= start < 1")

    def __call__(self, step: Step, progress: Progress) -> float | Tensor:
        """The rate weight; before ``start``, the first one."""
        return self.weight(step, between((progress - self.start) / (1 - self.start), 0.0, 1.0))
