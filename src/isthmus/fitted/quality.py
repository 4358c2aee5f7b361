"""Checks whether a model learned anything, once at the end of ``fit``, on a limited sample of held-out records.

Each domain collects its findings: sentences with a measured value, the value it is compared with, and what to change.
``warn`` issues them as warnings. The limits are lenient: only models that are no better than a trivial model get a
warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import ModelQualityWarning
from isthmus.machine.devices import double
from isthmus.metrics.codes import active_units

SAME = 1e-4
"""Codes count as equal if none of their numbers varies by more than this share of its size."""

QUANTILES = 512
"""Number of quantiles of anomaly scores that are stored for plots."""

MORE = "train longer (epochs=), with a larger learning_rate, or on more records"


def warn(findings: Sequence[str | None], *, stacklevel: int = 3) -> list[str]:
    """Issue a warning for each finding.

    Args:
        findings: sentences; None for checks that passed.
        stacklevel: frames up to the user's call; by default the caller's caller's caller.

    Returns:
        The sentences, for the facts of a bundle.
    """
    found = [finding for finding in findings if finding is not None]
    for finding in found:
        warnings.warn(finding, ModelQualityWarning, stacklevel=stacklevel + 1)
    return found


def same_codes(codes: Float[Tensor, "rows code"]) -> str | None:
    """Report if all records have the same code, up to rounding.

    Args:
        codes: at least two codes; fewer are not checked.
    """
    if len(codes) < 2 or not codes.shape[1]:
        return None
    size = float(double(codes).square().mean().sqrt())
    spread = float(double(codes).std(0).max())
    if spread > SAME * max(size, 1e-12) and size > 0:
        return None
    return (
        f"all of {len(codes):,} records have the same code (no dimension varies by more than {spread:.1g}), so "
        f"search and reconstruction cannot distinguish them; {MORE}, or, for a variational model, choose a smaller beta"
    )


def collapsed(codes: Float[Tensor, "rows code"]) -> str | None:
    """Report if a variational model uses no dimension of its code.

    Args:
        codes: means of the posterior of at least two records; fewer are not checked.
    """
    if len(codes) < 2 or not codes.shape[1] or active_units(codes):
        return None
    return (
        f"the posterior has collapsed: none of {codes.shape[1]} dimensions of the code varies by 0.01 or more over "
        f"{len(codes):,} held-out records, so the decoder ignores the code; choose a smaller beta, or {MORE}"
    )


def unexplained(error: float, variance: float, of: str, limit: float = 1.0) -> str | None:
    """Report if a reconstruction is no better than the mean.

    Args:
        error: squared error of the reconstruction.
        variance: squared error of the mean of the same records.
        of: name of the records, such as "rows".
        limit: share of unexplained variance from which a problem is reported.
    """
    if not variance > 0 or (error < limit * variance and np.isfinite(error)):
        return None
    explained = 1 - error / variance
    return (
        f"the reconstruction of held-out {of} is no better than their mean: it explains {explained:.1%} of their "
        f"variance; {MORE}, or with a larger code"
    )


def score_quantiles(scores: Float[Tensor, " rows"]) -> list[float]:
    """Evenly spaced quantiles of anomaly scores, ascending, which a bundle stores for plots.

    Args:
        scores: scores of normal records.

    Returns:
        All scores if there are at most ``QUANTILES``, otherwise that many quantiles; six significant digits.
    """
    ordered = scores.detach().cpu().double().sort().values.numpy()
    if len(ordered) > QUANTILES:
        ordered = np.quantile(ordered, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return [float(f"{score:.6g}") for score in ordered.tolist()]
