"""Promises time to networks: estimates the duration of an epoch from a few steps, and plans what fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.batch import Batch
from isthmus.protocols import Recipe, Source
from isthmus.training.run import Run

WARM, ROWS = 64, (512, 2048)
"""Numbers of rows for measuring the speed of a network: first some that do not count, as memory is taken and kernels
are chosen, then more, as with few rows what a fit takes once looks like the time of its steps."""

SLOW = 10
"""First steps that take so many times what an estimate is worth are the estimate."""

EPOCHS = 3
"""A network is only started if there is time for this many epochs."""

TRAINING = 0.85
"""Share of a network's time that its epochs are planned for; the rest is for scoring them."""


def share(left: float, waiting: Sequence[float]) -> float:
    """Seconds for the next network: an equal part for each of those that can use it. A network that has no time for its
    first epochs then takes none from the others.

    Args:
        left: seconds for all of them.
        waiting: estimated seconds of an epoch of the next network and of each one after it.
    """
    fastest = enumerate(sorted(waiting), 1)
    return left / max((count for count, epoch in fastest if EPOCHS * epoch <= left / count), default=1)


def planned(settings: Mapping[str, Any], whole: Mapping[str, Any], epoch: float, seconds: float) -> Mapping[str, Any]:
    """The settings of a network, with fewer epochs if its learning rate falls until the last one and not all of them
    fit: a training that ends while its steps are large scores less than a short one that ends with small steps.

    Args:
        settings: those that were chosen for the data.
        whole: all settings of the builder.
        epoch: estimated seconds of an epoch.
        seconds: time limit of the training.
    """
    if whole.get("decay") != "cosine" or epoch * whole["epochs"] <= TRAINING * seconds:
        return settings
    return {**settings, "epochs": max(EPOCHS, int(TRAINING * seconds / epoch))}


def epoch_seconds(recipe: Recipe, source: Source, run: Run, clock: Callable[[], float], worth: float) -> float:
    """Estimated seconds of an epoch, without its evaluation.

    Args:
        recipe: a recipe of a network that is not used afterwards.
        source: the training data.
        run: device, seed and precision.
        clock: returns the time in seconds.
        worth: seconds that may be spent on a better estimate than that of a few rows.

    Returns:
        An estimate from some evenly spaced rows.
    """

    def fit(most: int) -> float:
        rows = torch.linspace(0, max(0, len(source) - 1), min(len(source), most)).round().long()
        started = clock()
        recipe.fit(_Some(source, rows), replace(run, until=1, time_limit=None))
        return (clock() - started) / max(1, len(rows))

    seconds, (few, many) = fit(WARM), ROWS
    if seconds * WARM <= SLOW * worth:
        seconds = fit(few)
        if few < len(source) and seconds * many <= worth:
            seconds = fit(many)
    return seconds * len(source)


@dataclass(frozen=True, eq=False)
class _Some:
    """Some rows of a source."""

    source: Source
    chosen: Int64[Tensor, " chosen"]

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def lengths(self) -> Int64[Tensor, " chosen"]:
        return self.source.lengths[self.chosen.to(self.source.lengths.device)]

    def to(self, device: Any) -> _Some:
        return _Some(self.source.to(device), self.chosen.to(device))

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        return self.source.batch(self.chosen.to(rows.device)[rows])
