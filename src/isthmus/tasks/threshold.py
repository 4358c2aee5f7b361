"""Thresholds of anomaly scores, calibrated on normal records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from isthmus.checked.arguments import choice, real
from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError

METHODS = ("quantile", "mad", "extreme")

TAIL = 0.1
"""Share of the scores to which the tail of ``extreme`` is fitted."""

FEWEST = 10
"""Minimum number of scores in that tail."""


@dataclass(frozen=True)
class Threshold:
    """Scores above ``value`` are anomalies; higher scores are more anomalous.

    Attributes:
        value: the largest score that is still normal.
        method: how it was determined, one of ``METHODS``.
        contamination: expected share of normal records above it.
    """

    value: float
    method: str
    contamination: float

    @classmethod
    def fit(cls, scores: Float[Tensor, " rows"], method: str = "quantile", contamination: float = 0.05) -> Threshold:
        """Calibrate on scores of normal records: held-out ones, or training records whose scores do not involve
        themselves.

        Args:
            scores: higher is more anomalous.
            method: ``quantile``: a share ``contamination`` of these scores is above the threshold. ``mad``: as if the
                scores were normally distributed, with median and 1.4826 · median absolute deviation instead of mean and
                standard deviation; robust to anomalies among the scores. ``extreme``: a generalised Pareto tail fitted
                to the largest tenth of the scores, for shares too small to be counted (Siffer et al. 2017, "Anomaly
                detection in streams with extreme value theory", equation 1; fitted by probability-weighted moments,
                Hosking & Wallis 1987, section 3).
            contamination: share of normal records that may be flagged, between 0 and 1.

        Returns:
            The calibrated threshold.

        Raises:
            SettingError: an unknown method or a share outside its range; for ``extreme``, a share above a tenth.
            InputError: too few scores: none, or for ``extreme``, fewer than 10.
            ValueRangeError: a score is NaN or infinite.
        """
        _check(scores, method, contamination)
        exact = scores.detach().cpu().double()
        find = {"quantile": _quantile, "mad": _deviations, "extreme": _extreme}[method]
        return cls(find(exact, contamination), method, float(contamination))

    def flags(self, scores: Float[Tensor, " rows"]) -> Bool[Tensor, " rows"]:
        """Whether each score is above the threshold."""
        return scores.double() > self.value

    def to_json(self) -> dict[str, Any]:
        """The threshold as JSON values."""
        # "share" is the name that bundles of version 0.1 have.
        return {"value": self.value, "method": self.method, "share": self.contamination}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Threshold:
        """The inverse of ``to_json``.

        Raises:
            BundleError: invalid values.
        """
        value, method, share = (saved.get(name) for name in ("value", "method", "share"))
        numbers = all(isinstance(number, int | float) and math.isfinite(number) for number in (value, share))
        if not numbers or method not in METHODS or set(saved) != {"value", "method", "share"}:
            raise BundleError(f"a threshold of {dict(saved)}", expected="value, method and share")
        return cls(float(saved["value"]), str(method), float(saved["share"]))


def _quantile(scores: Float64[Tensor, " rows"], share: float) -> float:
    # torch.quantile accepts at most 2²⁴ numbers.
    return float(np.quantile(scores.numpy(), 1 - share))


def _deviations(scores: Float64[Tensor, " rows"], share: float) -> float:
    middle = _quantile(scores, 0.5)
    deviation = _quantile((scores - middle).abs(), 0.5) / NormalDist().inv_cdf(0.75)
    return middle + NormalDist().inv_cdf(1 - share) * deviation


def _extreme(scores: Float64[Tensor, " rows"], share: float) -> float:
    """u + β / ξ · ((share / tail)^−ξ − 1), the quantile of a generalised Pareto distribution above u."""
    count = min(max(FEWEST, int(TAIL * len(scores))), len(scores) - 1)
    ordered = scores.sort().values
    start = float(ordered[-count - 1])
    excess = ordered[-count:] - start
    tail = count / len(scores)
    if share >= tail:
        return _quantile(scores, share)
    weight = (count - torch.arange(1, count + 1, dtype=torch.float64) + 0.35) / count
    first, second = float(excess.mean()), float((weight * excess).mean())
    if first <= 0:
        return start
    # Below ½ the mean excess exists; for heavier tails the moments are not defined.
    shape = min(max(2 - first / (first - 2 * second), -0.5), 0.5) if first != 2 * second else 0.0
    scale = first * (1 - shape)
    growth = math.log(tail / share)
    return start + scale * (math.expm1(shape * growth) / shape if abs(shape) > 1e-9 else growth)


def check_rule(method: str, share: float) -> None:
    """Check the arguments of ``Threshold.fit`` before any work is done.

    Raises:
        SettingError: an unknown method or a share outside its range; for ``extreme``, a share above a tenth.
    """
    choice("method", method, METHODS)
    share = real("contamination", share, "a share above 0, below 1")
    if not 0 < share < 1 or (method == "extreme" and share > TAIL):
        most = TAIL if method == "extreme" else 1
        raise SettingError(f"contamination={share} by {method}", expected=f"above 0, below {most}")


def _check(scores: Tensor, method: str, share: float) -> None:
    check_rule(method, share)
    fewest = FEWEST if method == "extreme" else 1
    if len(scores) < fewest:
        raise InputError(f"{len(scores)} scores to calibrate on by {method}", expected=f"at least {fewest}")
    if not bool(scores.isfinite().all()):
        raise ValueRangeError("a score is NaN or infinite", expected="finite scores", remedy="check the model")
