"""Maps of codes in the plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64

from isthmus.errors import InputError
from isthmus.plots.drawing import BLUE, INCHES, LABELS, Axes, Figure, blank, finish
from isthmus.sources import even_rows

MOST = 20_000
"""Maximum number of points; of more codes, evenly spaced ones."""

COLOURS = len(LABELS)
"""Number of labels with a distinct colour; rarer labels are grey."""

SHAPES = "o^sD"
"""Markers; neighbouring colours also differ in the marker."""

NAMED = 18
"""Maximum number of letters shown of a label."""


def latent_map(codes: Float[np.ndarray, "rows code"], labels: Sequence[object] | None = None) -> Figure:
    """Codes by their first two principal components, with the explained variance on the axes; codes of two dimensions
    are shown as they are. Coloured by label, for the ten most frequent labels.

    Args:
        codes: at least two.
        labels: one for each code, compared as text.

    Returns:
        A matplotlib figure.

    Raises:
        InputError: fewer than two codes, codes that are not finite, or another number of labels.
        MissingLibraryError: matplotlib is not installed.
    """
    figure = blank(1.8 * INCHES, 1.5 * INCHES)
    draw_map(figure.add_subplot(), codes, labels)
    return figure


def draw_map(
    axes: Axes, codes: Float[np.ndarray, "rows code"], labels: Sequence[object] | None = None, title: str = ""
) -> None:
    """Draw the map of ``latent_map`` on existing axes. Raises the errors of ``latent_map`` about codes and labels.

    Args:
        axes: to draw on.
        codes: at least two.
        labels: one for each code, compared as text.
        title: title of the panel.
    """
    check_map(codes, labels)
    rows = even_rows(len(codes), MOST).numpy()
    points, names = plane(codes)
    size = float(np.clip(12_000 / len(rows), 2, 30))
    every = np.arange(len(rows))
    groups = [("", every, BLUE)] if labels is None else _groups([str(labels[row]) for row in rows.tolist()])
    for place, (name, chosen, colour) in enumerate(groups):
        x, y = points[rows[chosen]].T
        shape = SHAPES[place % len(SHAPES)]
        axes.scatter(x, y, s=size, color=colour, label=name, marker=shape, linewidths=0, alpha=0.7)
    finish(axes, title, *names)
    if labels is not None:
        legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="x-small", frameon=False)
        for handle in legend.legend_handles:
            handle.set_sizes([24])
        for text in legend.get_texts():
            text.set_text(text.get_text()[:NAMED])


def check_map(codes: Float[np.ndarray, "rows code"], labels: Sequence[object] | None) -> None:
    """Check codes and labels before drawing a map.

    Raises:
        InputError: fewer than two codes, codes that are not finite, or another number of labels.
    """
    if len(codes) < 2 or not codes.shape[1] or not bool(np.isfinite(codes).all()):
        raise InputError(f"codes of shape {codes.shape}", expected="at least two codes, of finite numbers")
    if labels is not None and len(labels) != len(codes):
        raise InputError(f"{len(labels):,} labels for {len(codes):,} codes", expected="one for each")


def plane(codes: Float[np.ndarray, "rows code"]) -> tuple[Float[np.ndarray, "rows 2"], tuple[str, str]]:
    """Two coordinates for each code, and their names. The sign of a component is chosen so that its largest weight is
    positive, and the same codes always give the same map; a single dimension gets zeros as second coordinate."""
    wide = codes.astype(np.float64)
    if codes.shape[1] == 2:
        return wide, ("code 1", "code 2")
    centred = wide - wide.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    chosen = axes[:, ::-1][:, :2]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(0), np.arange(chosen.shape[1])])
    shares = variances[::-1][:2] / max(variances.sum(), np.finfo(np.float64).tiny)
    points = np.zeros((len(codes), 2))
    points[:, : chosen.shape[1]] = centred @ chosen
    shares = np.append(shares, 0.0)[:2]
    return points, (
        f"principal component 1 ({shares[0]:.0%} of the variance)",
        f"principal component 2 ({shares[1]:.0%})",
    )


def _groups(labels: list[str]) -> list[tuple[str, Int64[np.ndarray, " chosen"], str]]:
    """Name, rows and colour of each group; rarer labels come first, because later ones are drawn over them."""
    held = np.array(labels)
    frequent = sorted(name for name, _ in Counter(labels).most_common(COLOURS))
    rare = np.flatnonzero(~np.isin(held, frequent))
    groups = [("others", rare, "#D0D0D0")] if len(rare) else []
    return groups + [(name, np.flatnonzero(held == name), LABELS[index]) for index, name in enumerate(frequent)]
