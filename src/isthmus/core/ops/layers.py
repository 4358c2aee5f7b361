"""Layers whose initial weights come from a generator and never from the global random state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

from isthmus.capabilities import AffineLayer
from isthmus.core.placement import AllRows, Rows
from isthmus.core.shares import computed
from isthmus.errors import SettingError

Activation = Callable[[Tensor], Tensor]


def _unchanged(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: dict[str, Activation] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "identity": _unchanged,
}

BIAS_DEVIATION = 0.001
"""Standard deviation of the truncated normal distribution of initial biases, as in the code of Liang et al. 2018."""


def xavier(rows: int, columns: int, generator: Generator, placed: Rows | None = None) -> nn.Parameter:
    """A matrix [rows, columns] with Glorot & Bengio's (2010) uniform initialisation.

    Args:
        rows, columns: size of the whole matrix.
        generator: draws the numbers.
        placed: where the rows are; None for here.

    Returns:
        The rows that are here.
    """
    # The sum is a float first, as in torch's own function.
    bound = math.sqrt(3.0) * math.sqrt(2.0 / float(rows + columns))
    placed = placed or AllRows(rows)
    return placed.table(lambda weight: weight.uniform_(-bound, bound, generator=generator), columns)


def small_bias(size: int, generator: Generator, placed: Rows | None = None) -> nn.Parameter:
    """A vector [size] near zero, or the part of it that is here."""
    placed = placed or AllRows(size)
    return placed.table(lambda bias: nn.init.trunc_normal_(bias, std=BIAS_DEVIATION, generator=generator))


def uniform(*shape: int, bound: float, generator: Generator, placed: Rows | None = None) -> nn.Parameter:
    """Numbers from U(−bound, bound).

    Args:
        shape: shape of the whole tensor.
        bound: largest absolute value.
        generator: draws them.
        placed: where the rows are; None for here.

    Returns:
        The rows that are here.
    """
    placed = placed or AllRows(shape[0])
    return placed.table(lambda tensor: tensor.uniform_(-bound, bound, generator=generator), *shape[1:])


def linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    """``nn.Linear`` with weights from ``xavier`` and biases from ``small_bias``.

    Args:
        inputs, outputs: widths.
        generator: draws both.
    """
    layer = nn.Linear(inputs, outputs, device="meta")  # weights of its own would come from the global state
    layer.weight = xavier(outputs, inputs, generator)
    layer.bias = small_bias(outputs, generator)
    return layer


def weight_of(layer: object) -> nn.Parameter:
    """The weight matrix of a layer or readout.

    Raises:
        SettingError: it has no parameter named ``weight``.
    """
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, nn.Parameter):
        raise SettingError(f"the weights of {type(layer).__name__}", expected="a parameter `weight` [outputs, inputs]")
    return weight


def affine(layer: nn.Linear, activation: Activation | None = None) -> AffineLayer:
    """A linear layer with the activation that follows it; by default none."""
    return AffineLayer(layer.weight, layer.bias, ACTIVATIONS["identity"] if activation is None else activation)


class Mlp(nn.Module):
    """Linear layers with an activation between them, and after the last one if ``activate_last``."""

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
            x = self._activation_of(index)(layer(x))
        return x

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The layers with their activations."""
        linear_layers = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        return tuple(affine(layer, self._activation_of(index)) for index, layer in enumerate(linear_layers))

    def _activation_of(self, index: int) -> Activation:
        return self.activation if self.activate_last or index < len(self.layers) - 1 else ACTIVATIONS["identity"]


SEEDS = 1 << 62
"""Seeds are drawn below this limit, so that adding the number of calls never exceeds 64 bits."""


class SeededDropout(nn.Module):
    """Dropout: in training each number becomes 0 with probability ``rate``, and the others are divided by 1 − rate
    (Srivastava et al. 2014, in the form that preserves the mean); otherwise the input is unchanged.

    Which numbers are dropped depends on a seed and on the number of calls, which are both saved with the model. A
    resumed training therefore drops the same numbers, and the global random state is neither read nor changed.

    Args:
        rate: probability of being dropped.
        generator: draws the seed, whatever the rate, so that other weights do not depend on it.

    Raises:
        SettingError: a rate outside 0 <= rate < 1.
    """

    seed: Tensor
    calls: Tensor

    def __init__(self, rate: float, generator: Generator) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise SettingError(f"dropout rate {rate}", expected="0 <= rate < 1")
        self.rate = rate
        self.register_buffer("seed", torch.empty((), dtype=torch.int64).random_(0, SEEDS, generator=generator))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SeededDropout:
        """Keep both numbers on the CPU, where they are read in every step; a model on the meta device gets its own."""
        if self.seed.is_meta:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same one."""
        if not self.training or self.rate == 0:
            return x
        generator = Generator(x.device).manual_seed(int(self.seed + self.calls))
        self.calls += 1
        # A uniform number and a comparison: drawing the coins themselves takes several times longer on CPU.
        kept = computed().drawn(x, lambda numbers: numbers.uniform_(generator=generator)) >= self.rate
        return x * kept * (1 / (1 - self.rate))


def lstm(inputs: int, hidden: int, generator: Generator) -> nn.LSTM:
    """[batch, steps, inputs] to [batch, steps, hidden]; all weights from U(−1/√hidden, 1/√hidden).

    It runs in the surrounding precision. On processors that multiply faster in bf16, LSTMs are faster too: batches of
    64 × 25 steps of 256 numbers train 2.5 times as fast with AMX (37 and 99 ms a step on one core), 1.7 times on Zen 4.
    Where products are slower (AVX512-BF16 without AMX on Intel), an LSTM takes 1.3 times as long in bf16, so that one
    rule applies to both. Packed sequences, which are not on the fast path there, are not used: states after the last
    token are never read.
    """
    layer = nn.LSTM(inputs, hidden, batch_first=True, device="meta")  # as in linear
    layer = layer.to_empty(device=torch.get_default_device())
    bound = 1 / math.sqrt(hidden)
    for weight in layer.parameters():
        nn.init.uniform_(weight, -bound, bound, generator=generator)
    return layer
