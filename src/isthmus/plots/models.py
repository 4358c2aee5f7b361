"""Chooses the panels for a fitted model."""

from __future__ import annotations

from typing import Any

from isthmus.errors import InputError
from isthmus.fitted.face import AutoencoderFace
from isthmus.index import Index
from isthmus.plots.autoencoders import autoencoder_panels
from isthmus.plots.drawing import Figure
from isthmus.plots.indexes import index_panels
from isthmus.plots.overview import Drawable, Missing, Panel, drawn
from isthmus.plots.training import training_panels
from isthmus.training.history import History


def panels_of(model: Any) -> list[Panel | Missing]:
    """The panels of a fitted model.

    Args:
        model: an object returned by ``isthmus.load``. Objects with a method ``panels`` define their own panels; objects
            with a history show their training curves.

    Returns:
        Panels, and those that are missing with the reason.

    Raises:
        InputError: an object without known panels.
    """
    if hasattr(model, "panels"):
        drawable: Drawable = model
        return list(drawable.panels())
    if isinstance(model, AutoencoderFace):
        return autoencoder_panels(model)
    if isinstance(model, Index):
        return index_panels(model)
    history = getattr(model, "history", None)
    if isinstance(history, History):
        return training_panels(history)
    raise InputError(f"a {type(model).__name__}", expected="a fitted model, or one with a method panels()")


def overview(model: Any, *, title: str = "") -> Figure:
    """One picture of a fitted model: the panels of ``panels_of``.

        isthmus.plots.save(isthmus.plots.overview(isthmus.load("books.bundle")), "books.png")

    Args:
        model: an object returned by ``isthmus.load``.
        title: title above the panels.

    Returns:
        A matplotlib figure.

    Raises:
        InputError: nothing can be drawn; the message gives the reason.
        MissingLibraryError: matplotlib is not installed.
    """
    return drawn(panels_of(model), title)
