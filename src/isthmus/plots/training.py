"""The course of a training."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.errors import InputError
from isthmus.plots.drawing import INCHES, Figure, blank
from isthmus.training.history import History
from isthmus.training.progress import Record

BESIDE = ("epoch", "phase", "seconds", "learning_rate")
"""What a record holds beside its curves."""

TOGETHER = ("loss", "nll")
"""Share one panel: both are nats a record."""

MOST = 3
"""Panels in a row."""


def training_curves(history: History) -> Figure:
    """One panel for loss and negative log-likelihood, nats a record, and one for each further number of the history:
    rate, penalties, the validation score, whatever was watched. A dashed line marks the epoch that was kept.

    Raises:
        InputError: a history without epochs.
        MissingLibraryError: matplotlib is not installed.
    """
    if not history.records:
        raise InputError("a history without epochs", expected="at least one")
    panels = _panels(history.records)
    columns = min(MOST, len(panels))
    figure = blank(INCHES * columns, 0.8 * INCHES * -(-len(panels) // columns))
    for place, names in enumerate(panels, start=1):
        axes = figure.add_subplot(-(-len(panels) // columns), columns, place)
        for name in names:
            known = [(record["epoch"], record[name]) for record in history.records if name in record]
            axes.plot(*zip(*known, strict=True), label=name, marker="." if len(known) < 30 else None)
        if history.best_epoch is not None:
            axes.axvline(history.best_epoch, color="grey", linestyle="--", linewidth=1)
        axes.set_xlabel("epoch")
        axes.set_title(_title(names, history.metric), fontsize="medium")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(names) > 1:
            axes.legend(fontsize="small")
    return figure


def _panels(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Names in the order in which they first appear; a rate that is 0 throughout is not a rate."""
    names: dict[str, None] = {}
    for record in records:
        names |= {name: None for name, value in record.items() if name not in BESIDE and isinstance(value, int | float)}
    if all(record.get("rate", 0) == 0 for record in records):
        names.pop("rate", None)
    together = tuple(name for name in TOGETHER if name in names)
    return ([together] if together else []) + [(name,) for name in names if name not in together]


def _title(names: tuple[str, ...], metric: str | None) -> str:
    if set(names) & set(TOGETHER):
        return "nats a record"
    return f"validation {names[0]}" if names[0] == metric else names[0]
