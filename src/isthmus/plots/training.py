"""Training curves: values on training records and on held-out ones share a panel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from isthmus.errors import InputError
from isthmus.plots.drawing import BLUE, GREEN, GREY, VERMILION, Axes, Figure, finish
from isthmus.plots.overview import Missing, Panel, drawn
from isthmus.training.history import ERROR, History

BESIDE = ("epoch", "epochs", "phase", "seconds", "learning_rate")
"""Entries of a record that have no curve."""

TITLES = {
    "loss": "training",
    "nll": "reconstruction (negative log-likelihood)",
    "rate": "rate (information in the code)",
    "revival": "revival of unused units (AuxK)",
    "active_units": "dimensions of the code in use",
    "mutual_information": "mutual information of code and record",
}
UNITS = {
    "loss": "loss, nats per record; lower is better",
    "nll": "nats per record; lower is better",
    "rate": "rate, nats per record",
    "revival": "auxiliary loss; lower is better",
    "active_units": "active units",
    "mutual_information": "mutual information, nats; higher is more",
}
"""Descriptions and units of the entries of a history."""

WATCHED = ("active_units", "mutual_information")
"""Entries that are measured on held-out records although their names do not say so."""

OBJECTIVE = "objective"
"""The negative loss on held-out records."""

STYLES = ("-", ":", "-.")
"""Line styles of phases."""

COMPARABLE = 4.0
"""A part of the loss that is this many times as large has a panel of its own."""

MARKED = 30
"""With fewer epochs than this, each epoch has a marker."""


@dataclass(frozen=True)
class Curve:
    """One entry of a history, in the epochs that have it."""

    epochs: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def varies(self) -> bool:
        """Whether the curve has more than one value."""
        return len(set(self.values)) > 1


Pair = tuple[Curve | None, Curve | None]
"""Colours of training records and of held-out ones."""


def training_curves(history: History) -> Figure:
    """The panels of ``training_panels`` as a figure.

    Args:
        history: history of a training.

    Returns:
        A matplotlib figure with one panel for each quantity, in nats per record unless stated otherwise.

    Raises:
        InputError: a history without epochs.
        MissingLibraryError: matplotlib is not installed.
    """
    if not history.records:
        raise InputError("a history without epochs", expected="at least one")
    return drawn(training_panels(history))


def training_panels(history: History) -> list[Panel | Missing]:
    """One panel for each quantity of the history: training records in blue, held-out ones in vermilion.

    A validation score that is not a loss has its own axis on the right of the loss. A dashed line marks the epoch whose
    weights were kept. Constant curves, and curves that equal another one, are left out.

    Args:
        history: history of a training.

    Returns:
        Panels, or what is missing if the model was not trained in epochs.
    """
    curves = _distinct(_curves(history))
    if not curves or len(history.records) < 2:
        return [Missing("training", _why_no_curve(history))]
    own_axis = history.metric if history.metric in curves and history.metric != OBJECTIVE else None
    error = _curves(history).get(f"{own_axis}{ERROR}")
    panels: list[Panel | Missing] = []
    beside = "nll" if len(_phases(history)) < 2 and _is_part(curves.get("nll"), curves.get("loss")) else ""
    elsewhere = (OBJECTIVE, own_axis, beside)
    for name in [name for name in curves if not name.startswith("held_out_") and name not in elsewhere]:
        held_out = _held_out(curves, name)
        score = (own_axis, curves[own_axis], error) if own_axis and not panels else None
        whole = (None, curves[name]) if name in WATCHED else (curves[name], held_out)
        part = (curves[beside], _held_out(curves, beside)) if name == "loss" and beside else (None, None)
        panels.append(Panel(_key(name), partial(_draw, history, name, whole, part, score)))
    rest = [name for name in curves if name.startswith("held_out_") and name.removeprefix("held_out_") not in curves]
    if not panels and own_axis:
        rest = [own_axis, *rest]
    none = (None, None)
    return panels + [
        Panel(_key(name), partial(_draw, history, name, (None, curves[name]), none, None)) for name in rest
    ]


def _why_no_curve(history: History) -> str:
    if any("loss" in record for record in history.records):
        return "one epoch makes no curve" if len(history.records) == 1 else "no figure changed from epoch to epoch"
    return "the model was computed in one step"


def _is_part(part: Curve | None, whole: Curve | None) -> bool:
    """Whether one curve can share the scale of another: some objectives weigh the likelihood by next to nothing."""
    if part is None or whole is None:
        return False
    return max(map(abs, part.values)) < COMPARABLE * max(map(abs, whole.values))


def _curves(history: History) -> dict[str, Curve]:
    """Curves by name in order of appearance, without those that are constant."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for record in history.records:
        for name, value in record.items():
            if name not in BESIDE and isinstance(value, int | float):
                epochs, values = found.setdefault(name, ([], []))
                epochs.append(int(record["epoch"]))
                values.append(float(value))
    curves = {name: Curve(tuple(epochs), tuple(values)) for name, (epochs, values) in found.items()}
    return {name: curve for name, curve in curves.items() if curve.varies}


def _distinct(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Curves without standard errors, and without a reconstruction loss that equals the whole loss."""
    kept = {name: curve for name, curve in curves.items() if not name.endswith(ERROR)}
    if "nll" in kept and "loss" in kept and _same(kept["nll"], kept["loss"]):
        del kept["nll"]
    loss = kept.get(OBJECTIVE)
    if loss is not None and "held_out_nll" in kept and _same(kept["held_out_nll"], _negated(loss)):
        del kept["held_out_nll"]
    return kept


def _same(one: Curve, other: Curve) -> bool:
    size = max(map(abs, one.values))
    close = all(abs(a - b) <= 1e-5 * size for a, b in zip(one.values, other.values, strict=False))
    return one.epochs == other.epochs and close


def _negated(curve: Curve) -> Curve:
    return Curve(curve.epochs, tuple(-value for value in curve.values))


def _held_out(curves: dict[str, Curve], name: str) -> Curve | None:
    if name == "loss" and OBJECTIVE in curves:
        return _negated(curves[OBJECTIVE])
    return curves.get(f"held_out_{name}")


def _key(name: str) -> str:
    return "training" if name == "loss" else name.removeprefix("held_out_").replace("_", " ")


def _draw(
    history: History,
    name: str,
    whole: Pair,
    part: Pair,
    score: tuple[str, Curve, Curve | None] | None,
    axes: Axes,
) -> None:
    few = len(history.records) < MARKED
    marker = "." if few else None
    lines = [] if whole[0] is None else _draw_own(axes, history, whole[0], marker)
    if whole[1] is not None:
        lines += axes.plot(whole[1].epochs, whole[1].values, color=VERMILION, marker=marker, label="held-out")
    for curve, colour, label in zip(part, (BLUE, VERMILION), ("training", "held-out"), strict=True):
        if curve is not None:
            label = f"{label}, reconstruction alone"
            lines += axes.plot(curve.epochs, curve.values, color=colour, linestyle=":", label=label)
    plain = name.removeprefix("held_out_")
    words = TITLES.get(plain, plain.replace("_", " "))
    up = f"{plain}; higher is better" if name == history.metric else UNITS.get(plain, plain.replace("_", " "))
    finish(axes, words[:1].upper() + words[1:], "epoch", up)
    if score is not None:
        lines += _draw_score(axes, *score, marker)
    if history.best_epoch is not None:
        label = f"kept: epoch {history.best_epoch}"
        lines.append(axes.axvline(history.best_epoch, color=GREY, linestyle="--", linewidth=1, label=label))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(y=0.1)
    if len(lines) > 1:
        columns = 2 if len(lines) == 4 or any(part) else 3
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": columns}
        axes.legend(handles=lines, fontsize="x-small", frameon=False, **place)


def _draw_own(axes: Axes, history: History, curve: Curve, marker: str | None) -> list[Any]:
    """The curve of the training records; one line per phase if phases alternate, as for encoder and decoder."""
    phase_of = _phases_of(history)
    phases = _phases(history)
    if not 1 < len(phases) <= len(STYLES):
        return list(axes.plot(curve.epochs, curve.values, color=BLUE, marker=marker, label="training"))
    lines: list[Any] = []
    for phase, style in zip(phases, STYLES, strict=False):
        points = [pair for pair in zip(curve.epochs, curve.values, strict=True) if phase_of[pair[0]] == phase]
        x, y = zip(*points, strict=True) if points else ((), ())
        lines += axes.plot(x, y, color=BLUE, linestyle=style, marker=marker, label=f"training ({phase})")
    return lines


def _phases_of(history: History) -> dict[int, str]:
    return {int(record["epoch"]): str(record.get("phase", "")) for record in history.records}


def _phases(history: History) -> list[str]:
    """The phases in order of appearance."""
    return list(dict.fromkeys(_phases_of(history).values()))


def _draw_score(axes: Axes, name: str, curve: Curve, error: Curve | None, marker: str | None) -> list[Any]:
    """The score that chose the epoch, on an axis on the right, with a band of two standard errors if known."""
    other = axes.twinx()
    other.spines["top"].set_visible(False)
    other.tick_params(labelsize="small")
    other.set_ylabel(f"held-out {name}; higher is better", fontsize="small", color=GREEN)
    other.margins(y=0.1)
    if error is not None and error.epochs == curve.epochs:
        pairs = list(zip(curve.values, error.values, strict=True))
        low, high = [mean - 2 * one for mean, one in pairs], [mean + 2 * one for mean, one in pairs]
        other.fill_between(curve.epochs, low, high, color=GREEN, alpha=0.15, linewidth=0)
    lines: list[Any] = other.plot(curve.epochs, curve.values, color=GREEN, marker=marker, label=f"held-out {name}")
    return lines
