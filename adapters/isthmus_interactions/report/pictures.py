"""The pictures of a report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from isthmus.plots import Panel
from isthmus.plots.drawing import BLUE, GREEN, GREY, VERMILION, Axes, finish
from isthmus_interactions.report.intervals import Estimate
from isthmus_interactions.report.quality import Measured
from isthmus_interactions.report.slices import Slice

COLOURS = (VERMILION, GREY, BLUE, GREEN)


def panels(scores: Measured, people: Sequence[Slice], things: Sequence[Slice]) -> list[Panel]:
    """Scores of everybody, by the length of the history, and by the popularity of items.

    Args:
        scores: of the model and the baselines.
        people: slices of users.
        things: slices of items.
    """
    users = [f"{part.name}\n({part.what})" for part in people]
    items = [part.name for part in things]
    return [
        Panel("scores", partial(_draw, scores, scores.ndcg, [""], ["all users"], "Score of everybody", "")),
        Panel(
            "users",
            partial(_draw, scores, scores.ndcg, [part.name for part in people], users, "Score by users",
                    "items in the history"),
        ),
        Panel(
            "items",
            partial(_draw, scores, scores.recall, items, items, "Recall by items", "items to find, by popularity"),
        ),
    ]  # fmt: skip


def _draw(
    scores: Measured, metric: str, parts: Sequence[str], labels: Sequence[str], title: str, across: str, axes: Axes
) -> None:
    """Points with 95 % intervals, side by side for the model and the baselines."""
    places, count = np.arange(len(parts), dtype=np.float64), len(scores.rankers)
    for number, name in enumerate(scores.rankers):
        found = [scores.of(name, metric, part) for part in parts]
        shift = 0.14 * (number - (count - 1) / 2)
        colour = COLOURS[number % len(COLOURS)]
        means, spread = [one.mean for one in found], _spread(found)
        axes.errorbar(places + shift, means, yerr=spread, fmt="o", color=colour, capsize=3, markersize=5, label=name)
    axes.set_xticks(places, labels)
    axes.set_xlim(-0.6, max(0.0, len(parts) - 1) + 0.6)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="x-small", frameon=False)
    finish(axes, f"{title} (bars: 95 % interval)", across, f"{metric}; higher is better", grid="y")
    axes.tick_params(axis="x", labelsize="x-small")


def _spread(found: Sequence[Estimate]) -> list[list[float]]:
    below = [max(0.0, one.mean - one.low) if one.users else 0.0 for one in found]
    return [below, [max(0.0, one.high - one.mean) if one.users else 0.0 for one in found]]
