"""Panels of an index: the kinds that were tried, and a map of its vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.index import Index
from isthmus.plots.drawing import BLUE, GREY, VERMILION, Axes, finish
from isthmus.plots.maps import MOST, draw_map
from isthmus.plots.overview import Missing, Panel
from isthmus.sources import even_rows

NEAR, ALIKE = 0.01, 1.25
"""Kinds whose recall and speed differ by less than this would have overlapping names."""


def index_panels(index: Index) -> list[Panel | Missing]:
    """Recall and speed of the kinds that were tried, and a map of the vectors.

    Args:
        index: any index.

    Returns:
        Panels, and in place of those that cannot be drawn the reasons.
    """
    info, ids = index.info(), index.ids
    measured = [trial for trial in info["trials"] if trial["recall"] and trial["queries_per_second"]]
    panels: list[Panel | Missing] = [Panel("what was tried", lambda axes: _draw_trials(axes, info, measured))]
    if len(measured) < 2:
        panels = [Missing("what was tried", f"only {info['kind']} search: {info['reason']}")]
    if len(ids) < 2:
        return [*panels, Missing("vectors", "fewer than two")]
    vectors = index.vectors(np.array([ids[row] for row in even_rows(len(ids), MOST).tolist()]))
    title = f"Map of {len(ids):,} vectors of {index.width}"
    return [*panels, Panel("vectors", lambda axes: draw_map(axes, vectors, None, title))]


def _draw_trials(axes: Axes, info: dict[str, Any], measured: list[dict[str, Any]]) -> None:
    """Recall on the horizontal axis, speed on the vertical one; the chosen kind is highlighted."""
    before = (0.0, 0.0, 0)
    for trial in sorted(measured, key=lambda trial: -trial["queries_per_second"]):
        recall, speed = trial["recall"], trial["queries_per_second"]
        chosen = trial["kind"] == info["kind"] and abs(recall - info["recall"]) < 1e-9
        colour, name = (VERMILION, f"{trial['kind']} (chosen)") if chosen else (BLUE, trial["kind"])
        axes.plot(recall, speed, "o", color=colour, markersize=8 if chosen else 5)
        # Names of kinds that are close together are placed below each other.
        close = abs(recall - before[0]) < NEAR and before[1] < ALIKE * speed
        drop = before[2] + 1 if close else 0
        place = {"xytext": (-6, -10 * drop), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(name, (recall, speed), fontsize="x-small", color=colour, **place)
        before = (recall, speed, drop)
    least = min([trial["recall"] for trial in measured] + [info["target_recall"]])
    axes.set_xlim(least - 0.6 * max(1.0 - least, 0.02), 1.0 + 0.1 * max(1.0 - least, 0.02))
    axes.set_yscale("log")
    axes.axvline(info["target_recall"], color=GREY, linestyle="--", linewidth=1)
    finish(
        axes,
        "Kinds of index that were tried (dashed: target recall)",
        f"recall@{info['k']}: share of the true neighbours found; higher is better",
        "queries per second; higher is faster",
    )
