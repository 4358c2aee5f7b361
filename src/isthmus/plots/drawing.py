"""Figures, colours and styles of all plots, and saving of figures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isthmus.disk import written
from isthmus.errors import InputError, MissingLibraryError

INCHES = 3.6
"""Width and height of a panel in inches."""

ENDINGS = (".png", ".svg", ".pdf")

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F"
"""Colours that colour-blind readers can distinguish (Okabe & Ito 2008)."""

LABELS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Colours of ten groups that colour-blind readers can distinguish (Petroff 2021)."""

Figure = Any
"""``matplotlib.figure.Figure``; the library is imported when something is drawn, not when this module is imported."""

Axes = Any
"""``matplotlib.axes.Axes``, likewise."""


def blank(width: float, height: float) -> Figure:
    """An empty figure.

    Raises:
        MissingLibraryError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Drawn
    except ImportError as error:
        raise MissingLibraryError("plots need matplotlib", remedy='pip install "isthmus[plot]"') from error
    return Drawn(figsize=(width, height), layout="constrained")


def finish(axes: Axes, title: str, across: str, up: str, *, grid: str | None = "both") -> None:
    """Label the axes, and remove everything that does not show data.

    Args:
        axes: the axes that were drawn on.
        title: title of the panel.
        across: label of the horizontal axis, with its unit and which direction is better.
        up: the same for the vertical axis.
        grid: which grid lines to draw: ``x``, ``y``, ``both``, or None.
    """
    axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel(across, fontsize="small")
    axes.set_ylabel(up, fontsize="small")
    axes.tick_params(labelsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color="#E3E3E3", linewidth=0.7)


def bars(axes: Axes, names: Sequence[str], values: Sequence[float], texts: Sequence[str], colour: str = BLUE) -> None:
    """Horizontal bars from top to bottom, each with a text at its end."""
    places = list(range(len(names)))
    axes.barh(places, values, color=colour, height=0.65)
    for place, value, text in zip(places, values, texts, strict=True):
        axes.annotate(text, (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize="small")
    axes.set_yticks(places, names)
    # A single bar does not fill the panel.
    axes.set_ylim(max(len(names), 5) - 0.5, -0.5)
    axes.set_xlim(0, 1.2 * max(*values, 1e-12))


def save(figure: Figure, path: str | Path, *, dpi: int = 120) -> Path:
    """Write the figure, completely or not at all; the ending of the name says how: png, svg or pdf.

    Args:
        figure: what to write.
        path: path of the file; an older one is replaced.
        dpi: pixels an inch.

    Returns:
        The path.

    Raises:
        InputError: another ending, or no file can be written there.
        OSError: for example a full disk; an older file is still there.
    """
    path = Path(path)
    check_ending(path)
    with written(path) as file:
        figure.savefig(file, dpi=dpi, format=path.suffix.lower().removeprefix("."))
    return path


def svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element, to be placed in a page; the same figure gives the same text."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "isthmus"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def check_ending(path: Path) -> None:
    """Check the suffix of the name of a figure.

    Raises:
        InputError: the suffix is not one of ``ENDINGS``.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"a picture named {path.name!r}", expected="a name that ends in .png, .svg or .pdf")
