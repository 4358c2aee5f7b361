"""Corruptions of numeric inputs, in training only. The targets of the likelihood stay clean."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from isthmus.batch import Bags, Tensors, Values
from isthmus.errors import SettingError


@dataclass(frozen=True)
class Dropout:
    """Each number is dropped with probability ``rate`` and the others are scaled by 1 / (1 − rate). Zeros of a bag need
    no treatment (Liang et al. 2018, section 2.3; Vincent et al. 2008 without the scaling).
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise SettingError(f"dropout rate {self.rate}", expected="0 <= rate < 1")

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """In bags, dropped entries get the weight 0."""
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
        """Dense values only, because noise on the zeros of a bag would make it dense."""
        if not isinstance(inputs, Values):
            raise SettingError("Gaussian noise on sparse rows", expected="dense values", remedy="use Dropout for bags")
        noise = torch.empty_like(inputs.values).normal_(generator=generator)
        return Values(inputs.values + self.scale * noise)


@dataclass(frozen=True)
class Masking:
    """Each number becomes 0 with probability ``rate`` and the others are unchanged (Vincent et al. 2008, section 2.3).
    ``Dropout`` also scales the remaining numbers to keep the mean of sums; here the encoder sees the true values."""

    rate: float

    def __post_init__(self) -> None:
        _check_rate("masking", self.rate)

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """In bags, masked entries get the weight 0.

        Raises:
            SettingError: token rows.
        """
        if isinstance(inputs, Bags):
            return inputs.reweighted(inputs.weights * ~_chosen(inputs.weights, self.rate, generator))
        values = _values(inputs, "masking")
        return Values(values.masked_fill(_chosen(values, self.rate, generator), 0.0))


@dataclass(frozen=True)
class SaltAndPepper:
    """Each number becomes ``low`` or ``high``, equally often, with probability ``rate`` (Vincent et al. 2010, section
    3.3)."""

    rate: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_rate("salt and pepper", self.rate)

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Dense values of any shape.

        Raises:
            SettingError: bags or token rows.
        """
        values = _values(inputs, "salt and pepper")
        uniform = torch.empty(values.shape, device=values.device).uniform_(generator=generator)
        return Values(values.masked_fill(uniform < self.rate, self.low).masked_fill(uniform < self.rate / 2, self.high))


@dataclass(frozen=True)
class SwapNoise:
    """Each number is replaced with probability ``rate`` by that of another row of the batch in the same column. The
    noise has the distribution of the column, which suits tables with mixed scales.

    A batch of a single row is unchanged.
    """

    rate: float

    def __post_init__(self) -> None:
        _check_rate("swap noise", self.rate)

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Dense values of any shape.

        Raises:
            SettingError: bags or token rows.
        """
        values = _values(inputs, "swap noise")
        rows = len(values)
        if rows < 2:
            return inputs
        steps = torch.randint(1, rows, values.shape, device=values.device, generator=generator)
        own = torch.arange(rows, device=values.device).view(-1, *(1,) * (values.dim() - 1))
        others = values.gather(0, (own + steps) % rows)
        return Values(torch.where(_chosen(values, self.rate, generator), others, values))


@dataclass(frozen=True)
class PatchMasking:
    """Square patches of an image become ``fill`` in all channels: a random share ``rate`` of them (He et al., "Masked
    Autoencoders Are Scalable Vision Learners", CVPR 2022, who mask 75 % of 16 x 16 patches).

    Every image loses the same number of patches: ``rate`` times their number, rounded.

    Args:
        rate: share of the patches that are masked.
        size: edge of a patch in pixels; patches at the right and lower border are cut off if it does not divide the
            image.
        fill: value of masked pixels.
    """

    rate: float
    size: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("patch masking", self.rate)
        if self.size < 1:
            raise SettingError(f"patches of {self.size} pixels", expected="an edge of at least 1 pixel")

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Images [batch, channels, height, width].

        Raises:
            SettingError: anything else.
        """
        values = _values(inputs, "patch masking")
        if values.dim() != 4:
            raise SettingError(
                f"patch masking of {list(values.shape[1:])}", expected="images of channels, height and width"
            )
        height, width = values.shape[2:]
        rows, columns = -(-height // self.size), -(-width // self.size)
        uniform = torch.empty(len(values), rows * columns, device=values.device).uniform_(generator=generator)
        masked = uniform.argsort(1).argsort(1) < round(self.rate * rows * columns)
        pixels = masked.view(-1, 1, rows, columns).repeat_interleave(self.size, 2).repeat_interleave(self.size, 3)
        return Values(values.masked_fill(pixels[:, :, :height, :width], self.fill))


def _chosen(values: Tensor, rate: float, generator: Generator) -> Tensor:
    """A mask of the numbers to corrupt."""
    return torch.empty(values.shape, device=values.device).uniform_(generator=generator) < rate


def _check_rate(noise: str, rate: float) -> None:
    if not 0 <= rate < 1:
        raise SettingError(f"{noise} at rate {rate}", expected="0 <= rate < 1")


def _values(inputs: Tensors, noise: str) -> Tensor:
    if not isinstance(inputs, Values):
        raise SettingError(f"{noise} of {type(inputs).__name__}", expected="dense values")
    return inputs.values
