"""Means over users with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

LEVEL = 0.95
"""The confidence level of the intervals."""

AT_A_TIME = 50
MOST_DRAWN = 20_000_000
"""Maximum total number of drawn users; with many users, fewer samples are enough."""

FEWEST_SAMPLES = 200


@dataclass(frozen=True)
class Estimate:
    """A mean over users.

    Attributes:
        mean: NaN if no user counts.
        low, high: the 95 % interval.
        users: number of users who count.
    """

    mean: float
    low: float
    high: float
    users: int

    def __str__(self) -> str:
        return "" if not self.users else f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def document(self) -> dict[str, float | int | None]:
        """JSON values; null without users."""
        numbers = {"mean": self.mean, "low": self.low, "high": self.high}
        return {**{name: None if np.isnan(one) else one for name, one in numbers.items()}, "users": self.users}


def estimates(values: Mapping[str, Values], samples: int, generator: np.random.Generator) -> dict[str, Estimate]:
    """Means with percentile intervals of the bootstrap (Efron 1979); the same users are drawn for all of them.

    Args:
        values: for each name a value for each user, NaN for users who do not count.
        samples: number of samples.
        generator: draws the users.

    Returns:
        An estimate for each name.
    """
    columns = np.stack(list(values.values()), 1)
    counts = ~np.isnan(columns)
    filled, users = np.where(counts, columns, 0.0), len(columns)
    samples = max(min(samples, FEWEST_SAMPLES), min(samples, MOST_DRAWN // max(1, users)))
    drawn = []
    for start in range(0, samples, AT_A_TIME):
        shape = (min(AT_A_TIME, samples - start), users)
        picked = generator.integers(0, max(1, users), shape)
        weights = np.stack([np.bincount(row, minlength=users) for row in picked]).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn.append((weights @ filled) / (weights @ counts.astype(np.float64)))
    return {
        name: _estimate(columns[counts[:, place], place], np.concatenate(drawn)[:, place])
        for place, name in enumerate(values)
    }


def _estimate(values: Values, drawn: Values) -> Estimate:
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan, 0)
    # With few users, a sample may contain no user who counts.
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(drawn) else (np.nan, np.nan)
    return Estimate(float(values.mean()), float(low), float(high), len(values))
