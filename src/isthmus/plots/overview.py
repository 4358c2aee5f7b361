"""One picture of a fitted model: panels side by side, each with its own axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from isthmus.errors import InputError
from isthmus.plots.drawing import Axes, Figure, blank
from isthmus.reprs import brief

WIDTH, HEIGHT = 4.8, 3.6
"""Size of one panel in inches."""


@brief
@dataclass(frozen=True)
class Panel:
    """One part of a picture.

    Attributes:
        name: what it shows, in a word or two.
        draw: draws it on axes of matplotlib.
    """

    name: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Missing:
    """A panel that cannot be drawn for this model, with the reason."""

    name: str
    why: str


@runtime_checkable
class Drawable(Protocol):
    """A fitted model that defines its own panels."""

    def panels(self) -> Sequence[Panel | Missing]:
        """The panels of its picture, and those that are missing."""
        ...


def drawn(panels: Sequence[Panel | Missing], title: str = "") -> Figure:
    """The panels as one figure, at most three in a row.

    Args:
        panels: panels; missing ones are left out.
        title: title above all of them.

    Returns:
        A matplotlib figure; ``isthmus.plots.save`` writes it.

    Raises:
        InputError: all panels are missing; the message gives the reasons.
        MissingLibraryError: matplotlib is not installed.
    """
    shown = [panel for panel in panels if isinstance(panel, Panel)]
    if not shown:
        why = "; ".join(f"{panel.name}: {panel.why}" for panel in panels if isinstance(panel, Missing))
        raise InputError(f"nothing to draw{f' ({why})' if why else ''}", remedy="pass codes to map with --codes")
    columns = len(shown) if len(shown) < 4 else 2 if len(shown) == 4 else 3
    rows = -(-len(shown) // columns)
    figure = blank(WIDTH * columns, HEIGHT * rows + (0.4 if title else 0.0))
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    for place, panel in enumerate(shown, start=1):
        panel.draw(figure.add_subplot(rows, columns, place))
    if title:
        figure.suptitle(title, fontsize="large", x=0.01, ha="left", fontweight="bold")
    return figure
