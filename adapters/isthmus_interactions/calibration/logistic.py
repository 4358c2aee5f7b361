"""Logistic regression with a few features and optional sign constraints on their coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, minimize
from scipy.special import expit

from isthmus_interactions.calibration.curve import Numbers

PENALTY = 1.0
"""Weight of the squared coefficients of standardised features, equal to about one observation."""


def logistic_regression(features: Numbers, hits: npt.NDArray[np.bool_], signs: Sequence[int]) -> tuple[float, ...]:
    """Maximise the likelihood of the hits, with a small penalty.

    Args:
        features: one row for each observation.
        hits: whether each was a hit.
        signs: for each feature 1 or -1 for a coefficient that must not have the other sign; 0 for any.

    Returns:
        The constant, and a coefficient for each feature.
    """
    mean, scale = features.mean(0), features.std(0)
    # A constant feature carries no information.
    scale = np.where(scale > 1e-9, scale, np.inf)
    design = np.concatenate([np.ones((len(features), 1)), (features - mean) / scale], 1)
    penalties = np.array([0.0, *(PENALTY for _ in signs)])

    def loss(values: Numbers) -> tuple[float, Numbers]:
        linear = design @ values
        chances = expit(linear)
        # −log of the likelihood: log(1 + exp(linear)) without the hits' part.
        value = np.logaddexp(0.0, linear).sum() - linear[hits].sum() + (penalties * values**2).sum() / 2
        return float(value), design.T @ (chances - hits) + penalties * values

    low = [-np.inf, *(0.0 if sign > 0 else -np.inf for sign in signs)]
    high = [np.inf, *(0.0 if sign < 0 else np.inf for sign in signs)]
    found = minimize(loss, np.zeros(len(low)), jac=True, method="L-BFGS-B", bounds=Bounds(low, high)).x
    slopes = found[1:] / scale
    return (float(found[0] - slopes @ mean), *map(float, slopes))
