"""Predicted and observed probabilities of a hit, for a recommender with a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from isthmus.metrics.calibration import Group, calibration_error, reliability
from isthmus.metrics.means import mean_with_error
from isthmus.plots import Panel
from isthmus.plots.drawing import GREY, VERMILION, Axes, finish
from isthmus_interactions.calibration.outcomes import outcomes
from isthmus_interactions.calibration.told import calibrated_items
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.report import checks
from isthmus_interactions.report.checks import Check
from isthmus_interactions.splits import FoldIn


@dataclass(frozen=True)
class Promised:
    """Predicted and observed hits.

    Attributes:
        groups: recommended items in groups by the predicted probability.
        check: the result of the check.
    """

    groups: list[Group]
    check: Check

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The groups as rows of a table."""
        return [
            {"items": one.count, "promised": one.promised, "found": one.found, "standard_error": _error(one)}
            for one in self.groups
        ]

    @property
    def panel(self) -> Panel:
        """The calibration curve, as a picture."""
        return Panel("calibration", partial(_draw, self.groups))


def promised(fitted: FittedRecommender, fold: FoldIn, k: int) -> Promised | None:
    """Compare the predicted hit probabilities of the best items with the observed hits.

    Args:
        fitted: the recommender.
        fold: histories and items to find.
        k: length of the rankings.

    Returns:
        The groups and the check; None without a calibration, or without users who get probabilities.
    """
    calibration = fitted.calibration
    if calibration is None or calibrated_items(fitted.model) is not None:
        return None
    found = outcomes(fitted.model, fold, fitted.device)
    if found is None:
        return None
    chances = calibration.chances(found.scores[:, :k], found.scores, found.lengths)
    sure = [not calibration.doubts(int(own), 0, best) for own, best in zip(found.lengths, found.scores, strict=True)]
    told = np.isfinite(found.scores[:, :k]) & np.array(sure)[:, None]
    if not told.any():
        return None
    hits = found.hits[:, :k]
    users = told.any(1)
    difference, error = mean_with_error((np.where(told, chances - hits, 0.0)).sum(1)[users])
    sums = (np.where(told, chances, 0.0).sum(1)[users].mean(), (told & hits).sum(1)[users].mean())
    ece = calibration_error(chances[told], hits[told])
    check = checks.kept_promises(float(sums[0]), float(sums[1]), difference, error, ece, calibration.seen.hit)
    return Promised(reliability(chances[told], hits[told]), check)


def _error(group: Group) -> float | None:
    return None if np.isnan(group.standard_error) else group.standard_error


def _draw(groups: list[Group], axes: Axes) -> None:
    places, found = [one.promised for one in groups], [one.found for one in groups]
    most = 1.1 * max(*places, *found, 0.01)
    axes.plot([0, most], [0, most], color=GREY, linewidth=1, linestyle="--")
    spread = [1.96 * (_error(one) or 0.0) for one in groups]
    axes.errorbar(places, found, yerr=spread, fmt="o-", color=VERMILION, capsize=3, markersize=5)
    axes.set_xlim(0, most)
    axes.set_ylim(0, most)
    title = "Promised and real chances of a hit (bars: 95 % interval)"
    finish(axes, title, "promised chance", "share of items that were hits")
