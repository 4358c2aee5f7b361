"""Layers with a seed of their own: initial weights come from a generator, never from the global state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}

BIAS_DEVIATION = 0.001
"""Biases start as truncated normal numbers of this deviation, as in the code of Liang et al. 2018."""


def xavier(rows: int, columns: int, generator: Generator) -> nn.Parameter:
    """A matrix [rows, columns] of Glorot & Bengio's (2010) uniform numbers."""
    weight = torch.empty(rows, columns)
    return nn.Parameter(nn.init.xavier_uniform_(weight, generator=generator))


def small_bias(size: int, generator: Generator) -> nn.Parameter:
    """A vector [size] near zero."""
    bias = torch.empty(size)
    return nn.Parameter(nn.init.trunc_normal_(bias, std=BIAS_DEVIATION, generator=generator))


def uniform(*shape: int, bound: float, generator: Generator) -> nn.Parameter:
    """Numbers from U(−bound, bound)."""
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=generator))


def linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    """``nn.Linear`` with the weights above."""
    layer = nn.Linear(inputs, outputs, device="meta")  # weights of its own would come from the global state
    layer.weight = xavier(outputs, inputs, generator)
    layer.bias = small_bias(outputs, generator)
    return layer


class Mlp(nn.Module):
    """Linear layers with an activation between them, and after the last one where ``activate_last``."""

    def __init__(
        self, sizes: Sequence[int], *, generator: Generator, activation: str = "tanh", activate_last: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear(a, b, generator) for a, b in itertools.pairwise(sizes))
        self.activation = ACTIVATIONS[activation]
        self.activate_last = activate_last

    def forward(self, x: Tensor) -> Tensor:
        """[batch, sizes[0]] to [batch, sizes[-1]]."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if self.activate_last or index < len(self.layers) - 1:
                x = self.activation(x)
        return x
