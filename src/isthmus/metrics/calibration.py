"""Calibration of probabilities: of all events with a probability of 0.3, three in ten should happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError

BINS = 10
"""Number of groups of about equal size."""


@dataclass(frozen=True)
class Group:
    """Events with similar probabilities, or lists with similar sums of probabilities.

    Attributes:
        count: number of events or lists.
        promised: mean of their probabilities, or of the sums.
        found: share of the events that happened, or mean number of hits per list.
        standard_error: standard error of ``found``; NaN for a single event or list.
    """

    count: int
    promised: float
    found: float
    standard_error: float


def reliability(chances: Any, happened: Any, *, bins: int = BINS) -> list[Group]:
    """Predicted and observed frequencies in groups of about equal size: the points of a calibration curve.

    Args:
        chances: predicted probability of each event, from 0 to 1.
        happened: whether each event happened.
        bins: number of groups.

    Returns:
        The groups, ascending by probability. Empty groups are left out.

    Raises:
        InputError: no events, or not as many chances as outcomes.
    """
    told, was = np.asarray(chances, np.float64).ravel(), np.asarray(happened, np.float64).ravel()
    if not told.size or told.shape != was.shape:
        raise InputError(f"{told.size} chances and {was.size} outcomes", expected="as many of both, at least one")
    return _groups(told, was, bins)


def reliability_of_lists(chances: Any, happened: Any, *, bins: int = 4) -> list[Group]:
    """Predicted and observed numbers of hits of lists, in groups by the predicted number.

    Args:
        chances: predicted probabilities, shape (lists, positions), from 0 to 1.
        happened: whether each was a hit, same shape.
        bins: number of groups; 4 for quartiles.

    Returns:
        The groups, ascending by the predicted number of hits.

    Raises:
        InputError: no lists, or other shapes.
    """
    told, was = np.asarray(chances, np.float64), np.asarray(happened, np.float64)
    if told.ndim != 2 or not told.size or told.shape != was.shape:
        raise InputError(f"chances of shape {told.shape} and outcomes of {was.shape}", expected="one row for each list")
    return _groups(told.sum(1), was.sum(1), bins)


def calibration_error(chances: Any, happened: Any, *, bins: int = BINS) -> float:
    """Expected calibration error: the mean difference between predicted and observed frequencies over groups of about
    equal size, weighted by their sizes.

    Args:
        chances: predicted probability of each event, from 0 to 1.
        happened: whether each event happened.
        bins: number of groups.

    Returns:
        From 0 (perfect) to 1; lower is better. Even perfect probabilities have a random error of about the standard
        error of a group, see ``error_of_true_chances``.

    Raises:
        InputError: no events, or not as many chances as outcomes.
    """
    groups = reliability(chances, happened, bins=bins)
    total = sum(group.count for group in groups)
    return sum(group.count * abs(group.promised - group.found) for group in groups) / total


@dataclass(frozen=True)
class TrueChances:
    """The calibration error that these probabilities would have if they were true.

    Attributes:
        mean: mean of the error over simulated outcomes.
        high: 95 % quantile; a larger error shows that the probabilities are not true.
    """

    mean: float
    high: float


def error_of_true_chances(chances: Any, *, bins: int = BINS, draws: int = 500, seed: int = 0) -> TrueChances:
    """The calibration error that is due to chance alone, by simulation: outcomes are drawn from the probabilities.

    With few events the error of perfect probabilities is not 0, so that a measured error only counts above this one.
    Bröcker & Smith 2007, "Increasing the reliability of reliability diagrams", draw outcomes in the same way.

    Args:
        chances: predicted probability of each event, from 0 to 1.
        bins: number of groups, as for ``calibration_error``.
        draws: number of simulations.
        seed: seed of the simulations.

    Returns:
        Mean and 95 % quantile. Outcomes are drawn independently of each other.

    Raises:
        InputError: no events.
    """
    told = np.sort(np.asarray(chances, np.float64).ravel(), kind="stable")
    if not told.size:
        raise InputError("no chances", expected="at least one")
    starts = np.unique([part[0] for part in np.array_split(np.arange(told.size), bins) if part.size])
    promised = np.add.reduceat(told, starts)
    generator = np.random.default_rng(seed)
    errors = [
        np.abs(promised - np.add.reduceat(generator.random(told.size) < told, starts, dtype=np.float64)).sum()
        for _ in range(draws)
    ]
    return TrueChances(float(np.mean(errors) / told.size), float(np.quantile(errors, 0.95) / told.size))


def _groups(promised: npt.NDArray[np.float64], found: npt.NDArray[np.float64], bins: int) -> list[Group]:
    parts = np.array_split(np.argsort(promised, kind="stable"), bins)
    groups = []
    for rows in parts:
        if len(rows):
            spread = float(found[rows].std(ddof=1)) if len(rows) > 1 else float("nan")
            about = float(promised[rows].mean()), float(found[rows].mean()), spread / len(rows) ** 0.5
            groups.append(Group(len(rows), *about))
    return groups
