"""An average of the weights over epochs, which often ranks better than the weights of any one epoch and whose score
depends less on chance (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

NAME = "average"
"""Where the average of a weight is among the values that the optimiser keeps for it, so that checkpoints contain it."""


@dataclass(frozen=True)
class WeightAverage:
    """Polynomial-decay averaging (Shamir & Zhang 2013, section 4): after epoch t

        average ← average + (η + 1) / (t + η) · (weights − average)

    so that the weights of epoch i count about (i / t)^η, and the average always reaches back over the same share of
    the training, about its last 1 / (η + 1). Weights are averaged from their first update on.

    Attributes:
        optimizer: of the weights.
        power: η; a larger one forgets sooner. None for no average.
    """

    optimizer: torch.optim.Optimizer
    power: float | None

    @torch.no_grad()
    def add(self, epoch: int) -> None:
        """Take in the weights after an epoch, numbered from 1."""
        if self.power is None:
            return
        share = (self.power + 1) / (epoch + self.power)
        for weight, kept in self._trained():
            if NAME in kept:
                kept[NAME].lerp_(weight, share)
            else:
                kept[NAME] = weight.detach().clone()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The model has the averages of its weights, and afterwards the weights again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def use(self) -> None:
        """Replace the weights by their averages, if there are any."""
        for weight, kept in self._trained():
            if NAME in kept:
                weight.copy_(kept[NAME])

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, kept in self._trained():
            if NAME in kept:
                # In place, because CUDA graphs have the addresses of the weights.
                before = weight.detach().clone()
                weight.copy_(kept[NAME])
                kept[NAME].copy_(before)

    def _trained(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """The weights that were updated, with what the optimiser keeps for each."""
        for group in self.optimizer.param_groups:
            for weight in group["params"]:
                if kept := self.optimizer.state.get(weight):
                    yield weight, kept
