"""Metrics of images, and distances between sets of images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64

from isthmus.errors import InputError

Shown = Float[np.ndarray, "images *pixels"]
Meant = Float[np.ndarray, "others *numbers"]


def mse(given: Shown, meant: Meant) -> Float64[np.ndarray, " images"]:
    """Mean squared error of each image, per number; lower is better.

    Raises:
        InputError: different shapes, or no images.
    """
    if given.shape != meant.shape or not given.size:
        raise InputError(f"images of shapes {given.shape} and {meant.shape}", expected="equal shapes, at least one")
    difference = (given.astype(np.float64) - meant).reshape(len(given), -1)
    errors: Float64[np.ndarray, " images"] = np.square(difference).mean(1)
    return errors


def psnr(given: Shown, meant: Meant) -> Float64[np.ndarray, " images"]:
    """Peak signal-to-noise ratio of each image, in dB: −10 log₁₀ of the mean squared error of numbers clipped to 0 to
    1; higher is better, infinite for equal images.

    Raises:
        InputError: different shapes, or no images.
    """
    errors = mse(np.clip(given, 0, 1), np.clip(meant, 0, 1))
    with np.errstate(divide="ignore"):
        ratios: Float64[np.ndarray, " images"] = -10 * np.log10(errors)
    return ratios


def frechet_distance(a: Float[np.ndarray, "n features"], b: Float[np.ndarray, "m others"]) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) of two sets of features, as if each were Gaussian (Heusel et al.
    2017, equation 6); 0 for equal means and covariances, lower is nearer. Values are only comparable within one feature
    space.

    The trace of the root is the sum of the roots of the eigenvalues of A B Aᵀ with Σ_a = AᵀA.

    Raises:
        InputError: other widths, or fewer than two rows of either.
    """
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"features of shapes {a.shape} and {b.shape}", expected="one width, at least 2 rows each")
    first, second = (np.atleast_2d(np.cov(some.astype(np.float64), rowvar=False)) for some in (a, b))
    root = _root(first)
    crossed = np.linalg.eigvalsh(root @ second @ root)
    shift = a.mean(0, dtype=np.float64) - b.mean(0, dtype=np.float64)
    spread = np.trace(first) + np.trace(second) - 2 * np.sqrt(np.clip(crossed, 0, None)).sum()
    return float(shift @ shift + spread)


def _root(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    root: npt.NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root
