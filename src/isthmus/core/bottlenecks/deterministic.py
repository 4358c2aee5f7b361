"""Deterministic bottlenecks: the code is the hidden state itself, or a linear layer of it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from isthmus.capabilities import AffineLayer
from isthmus.core.ops.layers import affine, linear
from isthmus.protocols import Code


class Deterministic(nn.Module):
    """The code is the hidden state with an optional activation, as in vanilla, denoising and contractive
    autoencoders."""

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` repeats ``point``.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        return Code(hidden, hidden.repeat_interleave(samples, 0) if samples > 1 else hidden)

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """No layers: the encoder's output is the code."""
        return ()


class Projected(nn.Module):
    """A deterministic code of any width: one linear layer.

    Args:
        hidden: width of the hidden state.
        code: dimensions of the code.
    """

    def __init__(self, hidden: int, code: int, *, generator: Generator) -> None:
        super().__init__()
        self.point = linear(hidden, code, generator)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` repeats ``point``; fp32 under autocast too.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        point = self.point(hidden)
        point = point.to(torch.promote_types(point.dtype, torch.float32))
        return Code(point, point.repeat_interleave(samples, 0) if samples > 1 else point)

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The linear layer from the hidden vector to the code."""
        return (affine(self.point),)
