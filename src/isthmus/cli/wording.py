"""Numbers in words: durations, sizes, shares, metrics with their units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from isthmus.reprs import counted

FIGURES: Mapping[str, tuple[str, str]] = {
    "objective": ("objective (higher is better)", "nats"),
    "nll": ("−log-likelihood given the code", "nats"),
    "held_out_nll": ("−log-likelihood given the code, held out", "nats"),
    "rate": ("rate of the code", "nats"),
    "held_out_rate": ("rate of the code, held out", "nats"),
    "weighted_nll": ("−log-likelihood by importance sampling", "nats"),
    "mutual_information": ("mutual information of records and codes", "nats"),
    "of_texts": ("measured on held-out", "texts"),
    "active_units": ("active dimensions of the code", ""),
    "weighted_perplexity": ("perplexity by importance sampling", ""),
    "bleu": ("BLEU of reconstructions", "of 100"),
    "exact": ("exact reconstructions", "%"),
    "mse": ("mean squared error", ""),
    "squared_error": ("mean squared error", ""),
    "psnr": ("PSNR of reconstructions", "dB"),
    "noisy_psnr": ("PSNR with noise", "dB"),
    "denoised_psnr": ("PSNR after denoising", "dB"),
    "noise": ("standard deviation of the noise", ""),
    "unexplained_variance": ("unexplained variance", "%"),
    "pca_unexplained_variance": ("unexplained variance of PCA", "%"),
    "mean_nonzero": ("nonzero numbers per code", ""),
    "unused": ("unused dimensions", "%"),
    "flagged": ("above the anomaly threshold", "%"),
    "threshold": ("anomaly threshold", "nats"),
}
"""Names and units of metrics; % for shares."""


def duration(seconds: float | int) -> str:
    """A duration with about two digits: ``0.4 s``, ``43 s``, ``33 min``, ``2.5 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(number: int) -> str:
    """A size in bytes: ``900 bytes``, ``384 kB``, ``1.2 GB``."""
    if number < 1000:
        return counted(number, "byte")
    power = min(4, max(1, int(math.log10(number * 1.0005)) // 3))
    value, unit = number / 1000**power, ("kB", "MB", "GB", "TB")[power - 1]
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def number(value: float | int) -> str:
    """A number with four significant digits, and commas in large numbers."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def share(value: float) -> str:
    """A share in words, such as ``1 in 20`` for 0.05."""
    part = Fraction(value).limit_denominator(1000)
    return f"{part.numerator:,} in {part.denominator:,}" if part else "none"


def decimals(values: Iterable[float]) -> int:
    """Number of decimals with which all numbers of a column have four significant digits, at most four."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 4 if largest < 10 else max(0, 3 - int(math.log10(largest)))


def flagged(number_above: int, of: int, noun: str, threshold: float, contamination: float) -> str:
    """The number of anomalies, and how many would be expected among normal records.

    Args:
        number_above: number of scores above the threshold.
        of: number of all scores.
        noun: name of the records, in the plural.
        threshold: scores above it count as anomalies.
        contamination: expected share of normal records above it.

    Returns:
        A sentence without a full stop.
    """
    expected = share(contamination)
    return f"{number_above:,} of {of:,} {noun} score above {number(threshold)}, as {expected} normal ones would"


def figures(
    document: Mapping[str, Any], leave_out: Iterable[str] = (), errors: Mapping[str, float] | None = None
) -> list[tuple[str, str]]:
    """Metrics by name as rows of a table.

    Args:
        document: metrics by name; None values are left out.
        leave_out: names of further metrics to leave out.
        errors: standard errors of some metrics.

    Returns:
        The label of each metric, and its value with the unit.
    """
    hidden = set(leave_out)
    return [
        (FIGURES.get(name, (name.replace("_", " "), ""))[0], _with_unit(name, value, (errors or {}).get(name)))
        for name, value in document.items()
        if value is not None and name not in hidden
    ]


def _with_unit(name: str, value: Any, error: float | None) -> str:
    unit = FIGURES.get(name, ("", ""))[1]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if unit == "%":
        return f"{value:.1%} ± {error:.1%}" if error else f"{value:.1%}"
    around = f" ± {error:.2g}" if error else ""
    return f"{number(value)}{around} {unit}".rstrip()


def percent(value: float | None) -> str:
    """A percentile with two decimals, which distinguish 99.99 from 100; empty for None."""
    return "" if value is None else f"{value:.2f}"
