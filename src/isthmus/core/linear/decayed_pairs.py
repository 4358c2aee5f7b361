"""Weighted pairs of events of the same row, whose sums are the SᵀS and SᵀT of next-item regression.

Every event except the first of its row is a target. Row j of S holds the events before target j, weighted by their age,

    w_ji = γ^(j − 1 − i) · max(exp(−(t_j − t_i) / τ_t), c)     γ = exp(−1 / τ),  j − i ≤ window

and row j of T is the target alone. S has one row per target and is never built: an entry of SᵀT is a sum over pairs
(i, j) of w_ji, and an entry of SᵀS a sum over pairs (i, l) of Σ_j w_ji w_jl, where j runs over the targets after both.
For pairs at one distance d = l − i these numbers are a few vectors over all events, and without times the inner sum is
a geometric series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.reprs import brief

WINDOW = 200
"""Maximum number of earlier events per target."""

NEGLIGIBLE = 8
"""Events older than this many τ have a weight below exp(−8) and are ignored."""

EVENTS = 1 << 18
"""Events whose pairs are weighted together."""

WEIGHTS = 1 << 22
"""Maximum number of weights in memory if they depend on times."""


@brief
@dataclass(frozen=True)
class Decay:
    """The decay of an event's weight with its age.

    Attributes:
        tau: number of events after which the weight has fallen to 1/e.
        time_tau: seconds after which the second factor has fallen to 1/e; None for no such factor.
        least: c, the minimum of the second factor.
    """

    tau: float
    time_tau: float | None = None
    least: float = 0.0

    @property
    def window(self) -> int:
        """The number of earlier events that count."""
        return int(min(WINDOW, max(1, math.ceil(NEGLIGIBLE * self.tau))))

    @property
    def step(self) -> float:
        """γ, the factor by which the weight falls with each further event."""
        return math.exp(-1 / self.tau)

    def faded(self, seconds: Float64[Tensor, " some"]) -> Float64[Tensor, " some"]:
        """The second factor after these numbers of seconds; 1 if there is none."""
        if self.time_tau is None:
            return torch.ones_like(seconds)
        return torch.exp(-seconds / self.time_tau).clamp(min=self.least)


@brief
@dataclass(frozen=True, eq=False)
class Events:
    """The events of all rows, oldest first.

    Attributes:
        items: column of each event.
        offsets: start of the events of each row and, after the last row, their end.
        times: seconds, ascending in each row; None if unknown.
    """

    items: Int64[Tensor, " events"]
    offsets: Int64[Tensor, " ends"]
    times: Float64[Tensor, " events"] | None = None

    def blocks(self, most: int) -> Iterator[Events]:
        """Blocks of whole rows with at most ``most`` events, or of a single longer row."""
        start, rows = 0, len(self.offsets) - 1
        while start < rows:
            limit = self.offsets[start] + most
            stop = max(start + 1, int(torch.searchsorted(self.offsets, limit, right=True)) - 1)
            first, last = int(self.offsets[start]), int(self.offsets[stop])
            times = None if self.times is None else self.times[first:last]
            yield Events(self.items[first:last], self.offsets[start : stop + 1] - first, times)
            start = stop

    def places(self) -> tuple[Int64[Tensor, " events"], Int64[Tensor, " events"]]:
        """The numbers of events of the same row before and after each event."""
        lengths, own = self.offsets.diff(), torch.arange(len(self.items))
        before = own - self.offsets[:-1].repeat_interleave(lengths)
        return before, self.offsets[1:].repeat_interleave(lengths) - own - 1


@dataclass(frozen=True)
class Pairs:
    """Pairs of columns at one distance.

    Attributes:
        earlier: column of the earlier event.
        later: column of the later one.
        crossed: contribution to SᵀT at (earlier, later); None at distance 0.
        squared: contribution to SᵀS at (earlier, later) and, at distances above 0, at (later, earlier).
    """

    earlier: Int64[Tensor, " pairs"]
    later: Int64[Tensor, " pairs"]
    crossed: Float64[Tensor, " pairs"] | None
    squared: Float64[Tensor, " pairs"]


def pairs(events: Events, decay: Decay) -> Iterator[Pairs]:
    """All pairs within the window, some rows and one distance at a time.

    Args:
        events: the events of all rows.
        decay: the weights.

    Raises:
        SettingError: weights that depend on times, and events without them.
    """
    if decay.time_tau is None:
        for some in events.blocks(EVENTS):
            yield from _by_age(some, decay)
        return
    if events.times is None:
        raise SettingError(
            f"time_tau={decay.time_tau:g} for events without times",
            expected="a column of times",
            remedy="name it, or leave time_tau out",
        )
    for some in events.blocks(max(1, WEIGHTS // decay.window)):
        yield from _by_time(some, decay)


def _by_age(events: Events, decay: Decay) -> Iterator[Pairs]:
    """Σ_j w_ji w_jl is γ^d (1 + γ² + γ⁴ + …), with one term for each later target whose window includes both."""
    before, after = events.places()
    step, window = decay.step, decay.window
    for distance in range(window + 1):
        later = (before >= distance).nonzero()[:, 0]
        if not len(later):
            return
        earlier = later - distance
        terms = after[later].clamp(max=window - distance)
        squared = step**distance * (1 - step ** (2 * terms.double())) / (1 - step**2)
        crossed = torch.full_like(squared, step ** (distance - 1)) if distance else None
        yield Pairs(events.items[earlier], events.items[later], crossed, squared)


def _by_time(events: Events, decay: Decay) -> Iterator[Pairs]:
    before, after = events.places()
    weights = _weights(events, after, decay)
    for distance in range(decay.window + 1):
        later = (before >= distance).nonzero()[:, 0]
        if not len(later):
            return
        earlier = later - distance
        # If the target of one is beyond its row, its weight is 0; otherwise the target of the other is the same event.
        both = weights[distance:, : len(before) - distance] * weights[: len(weights) - distance, distance:]
        squared = both.sum(0)[earlier]
        crossed = weights[distance - 1, earlier] if distance else None
        yield Pairs(events.items[earlier], events.items[later], crossed, squared)


def _weights(events: Events, after: Int64[Tensor, " events"], decay: Decay) -> Float64[Tensor, "window events"]:
    """Weights: at [m − 1, i] that of event i for the target m events later; 0 beyond the end of the row."""
    assert events.times is not None
    weights = torch.zeros(decay.window, len(after), dtype=torch.float64)
    for distance in range(1, decay.window + 1):
        earlier = (after >= distance).nonzero()[:, 0]
        seconds = events.times[earlier + distance] - events.times[earlier]
        weights[distance - 1, earlier] = decay.step ** (distance - 1) * decay.faded(seconds)
    return weights
