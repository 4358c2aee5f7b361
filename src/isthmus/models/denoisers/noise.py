"""Noise of a level that is drawn for each image, which denoisers are trained to remove."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.batch import Tensors, Values
from isthmus.errors import SettingError


class UniformNoiseLevel:
    """Adds N(0, σ²) to every pixel; σ is drawn for each image, uniformly from ``low`` to ``high``.

    Raises:
        SettingError: a level below 0, or ``low`` above ``high``.
    """

    def __init__(self, low: float, high: float) -> None:
        if not 0 <= low <= high or not high > 0:
            raise SettingError(f"noise from {low} to {high}", expected="0 <= low <= high, and some noise")
        self.low, self.high = low, high

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Noisy images.

        Raises:
            SettingError: inputs that are not dense values.
        """
        return Values(self.drawn(inputs, generator)[0])

    def drawn(self, inputs: Tensors, generator: Generator) -> tuple[Tensor, Tensor]:
        """Noisy images, and the level of each.

        Raises:
            SettingError: inputs that are not dense values.
        """
        if not isinstance(inputs, Values):
            raise SettingError(f"noise on {type(inputs).__name__}", expected="dense values")
        pixels = inputs.values
        level = torch.empty(len(pixels), dtype=pixels.dtype, device=pixels.device)
        level.uniform_(self.low, self.high, generator=generator)
        noise = torch.empty_like(pixels).normal_(generator=generator)
        return pixels + level.view(-1, *(1,) * (pixels.dim() - 1)) * noise, level


class ToldNoiseLevel(UniformNoiseLevel):
    """The same, with σ as a further channel of each image."""

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Noisy images with one channel more.

        Raises:
            SettingError: inputs that are not dense values.
        """
        return Values(with_level(*self.drawn(inputs, generator)))


def with_level(
    images: Float[Tensor, "batch channels height width"], level: Float[Tensor, " batch"]
) -> Float[Tensor, "batch given height width"]:
    """The images with one channel more that has the level everywhere."""
    height, width = images.shape[2:]
    return torch.cat([images, level[:, None, None, None].expand(-1, 1, height, width)], 1)
