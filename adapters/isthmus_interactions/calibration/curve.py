"""Isotonic regression of probabilities on scores, stored as a few points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from isthmus.errors import BundleError
from isthmus.reprs import brief

Numbers = npt.NDArray[np.float64]

LEAST = 20.0
"""Minimum weight of the highest scores whose share of hits bounds the probability: two hits of two do not imply 1."""


@brief
@dataclass(frozen=True, eq=False)
class Curve:
    """A function that never decreases: linear between points, constant beyond the first and the last one.

    Attributes:
        scores: positions of the points, ascending.
        chances: their values, from 0 to 1, non-decreasing.
    """

    scores: Numbers
    chances: Numbers

    @classmethod
    def fit(cls, scores: Numbers, hits: npt.NDArray[np.bool_] | Numbers, weights: Numbers | None = None) -> Curve:
        """Least squares among non-decreasing functions (pool adjacent violators).

        Args:
            scores: at least one score, finite.
            hits: whether each was a hit, or its share of hits.
            weights: weight of each score; 1 by default.

        Returns:
            The curve, with two points for each step of the solution. No value is above the share of hits among the
            highest scores with a weight of ``LEAST``.
        """
        values, place = np.unique(scores, return_inverse=True)
        each = np.ones(len(scores)) if weights is None else weights
        count, found = np.bincount(place, each), np.bincount(place, each * hits)
        edges = isotonic_regression(found / count, weights=count).blocks
        chances = np.add.reduceat(found, edges[:-1]) / np.add.reduceat(count, edges[:-1])
        top = len(count) - 1 - min(int(np.searchsorted(np.cumsum(count[::-1]), LEAST)), len(count) - 1)
        # Blocks whose chances are equal may differ in the last digit, in either direction.
        chances = np.maximum.accumulate(np.clip(chances, 0.0, min(1.0, found[top:].sum() / count[top:].sum())))
        points = np.stack([values[edges[:-1]], values[edges[1:] - 1]], 1).ravel()
        return cls(points, np.repeat(chances, 2))

    def at(self, scores: Numbers) -> Numbers:
        """The probability of each score, in the same shape."""
        found: Numbers = np.interp(scores, self.scores, self.chances)
        return found

    def towards(self, other: Callable[[Numbers], Numbers], share: float, places: Numbers) -> Curve:
        """A mixture of this curve and another function that never decreases.

        Args:
            other: the function, from 0 to 1.
            share: share of this curve, from 0 to 1.
            places: further points at which the mixture is exact, ascending.
        """
        points: Numbers = np.union1d(self.scores, places)
        return Curve(points, share * self.at(points) + (1 - share) * other(points))

    def to_json(self) -> dict[str, list[float]]:
        """The points, as lists of scores and chances."""
        return {"scores": self.scores.tolist(), "chances": self.chances.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Curve:
        """The inverse of ``to_json``.

        Raises:
            BundleError: invalid points.
        """
        scores, chances = (np.array(saved.get(name, []), dtype=np.float64) for name in ("scores", "chances"))
        fit = scores.ndim == 1 and scores.shape == chances.shape and len(scores) > 0
        if not fit or not np.isfinite(scores).all() or (np.diff(scores) < 0).any() or (np.diff(chances) < 0).any():
            raise BundleError("a curve whose points do not ascend", expected="as many scores as chances, ascending")
        if not 0 <= chances[0] <= chances[-1] <= 1:
            raise BundleError(f"chances from {chances[0]} to {chances[-1]}", expected="from 0 to 1")
        return cls(scores, chances)
