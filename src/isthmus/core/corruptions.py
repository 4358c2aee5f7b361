"""Noise on the inputs, in training only. What the likelihood scores stays clean."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from isthmus.batch import Bags, Tensors, Values
from isthmus.errors import SettingError


@dataclass(frozen=True)
class Dropout:
    """Each number is dropped with probability ``rate``, the others are scaled by 1 / (1 − rate); zeros of a bag are no
    concern, for dropping them changes nothing (Liang et al. 2018, section 2.3; Vincent et al. 2008 without the scale).
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise SettingError(f"dropout rate {self.rate}", expected="0 <= rate < 1")

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Bags keep their entries with weight 0 where dropped."""
        if isinstance(inputs, Bags):
            return inputs.reweighted(self._dropped(inputs.weights, generator))
        if isinstance(inputs, Values):
            return Values(self._dropped(inputs.values, generator))
        raise SettingError("dropout on token ids", expected="bags or values", remedy="use a corruption of tokens")

    def _dropped(self, values: Tensor, generator: Generator) -> Tensor:
        kept = torch.empty(values.shape, device=values.device).uniform_(generator=generator) >= self.rate
        return values * kept / (1 - self.rate)


@dataclass(frozen=True)
class GaussianNoise:
    """Adds N(0, scale²) to every number (Vincent et al. 2010, section 3.4)."""

    scale: float

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Dense values only: noise on the zeros of a bag would make it dense."""
        if not isinstance(inputs, Values):
            raise SettingError("Gaussian noise on sparse rows", expected="dense values", remedy="use Dropout for bags")
        noise = torch.empty_like(inputs.values).normal_(generator=generator)
        return Values(inputs.values + self.scale * noise)
