"""A figure to draw on, and the file it ends in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.errors import InputError, MissingLibraryError

INCHES = 3.6
"""Of one panel, on either side."""

Figure = Any
"""``matplotlib.figure.Figure``: the library is loaded when something is drawn, not when this is imported."""


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


def save(figure: Figure, path: str | Path, *, dpi: int = 120) -> Path:
    """Write the figure; the ending of the name says how: png, svg or pdf.

    Raises:
        InputError: another ending.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"a picture named {path.name!r}", expected="a name that ends in .png, .svg or .pdf")
    figure.savefig(path, dpi=dpi)
    return path
