"""Anomaly scores of normal records, and the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.plots.drawing import BLUE, VERMILION, Axes, finish

BINS = 32


def draw_scores(axes: Axes, scores: Sequence[float], threshold: float, contamination: float, of: str) -> None:
    """Draw a histogram of the scores of normal records, with the threshold.

    Args:
        axes: to draw on.
        scores: scores of normal records, or evenly spaced quantiles of them; nats, higher is more anomalous.
        threshold: scores above it count as anomalies.
        contamination: expected share of normal records above it.
        of: name of the records, such as "training rows".
    """
    held = np.asarray(scores, dtype=np.float64)
    # One extreme score would compress all others into a single bar.
    low, high = float(held.min()), float(max(np.quantile(held, 0.995), threshold))
    shown = np.clip(held, low, high + 1e-9)
    edges = np.linspace(low, high + max(1e-9, 0.03 * (high - low)), BINS + 1)
    counts = np.histogram(shown, edges)[0] / len(held)
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=BLUE, edgecolor="white", linewidth=0.4)
    axes.axvline(threshold, color=VERMILION, linestyle="--", linewidth=1.3)
    axes.annotate(
        f"threshold {_short(threshold)}\n{contamination:.0%} of normal\nones lie above",
        (threshold, axes.get_ylim()[1]),
        xytext=(-5, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=VERMILION,
        fontsize="small",
    )
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    finish(axes, f"Anomaly scores of {of}", "score, nats; higher is more anomalous", "share of them", grid="y")


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
