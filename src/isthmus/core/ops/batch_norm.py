"""Mean and variance over rows, of a batch or of all data, and what they are for: batch norm (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.ops.layers import xavier
from isthmus.errors import InputError
from isthmus.machine.devices import double


class BatchStatistics(nn.Module):
    """In training the moments are those of the batch. Running estimates of them for all data serve otherwise, and for a
    batch of a single row, which has no spread; ``calibrate`` replaces them by those of the finished network.

    Args:
        width: how many numbers a row has.
    """

    momentum = 0.1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.running_mean: Tensor
        self.running_variance: Tensor
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))
        self.batches: Tensor
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, raw: Float[Tensor, "*rows width"]) -> tuple[Float[Tensor, " width"], Float[Tensor, " width"]]:
        """Mean and variance of each number."""
        rows = raw.flatten(0, -2)
        if not self.training or len(rows) < 2:
            return self.running_mean, self.running_variance
        variance, average = torch.var_mean(rows, 0, correction=0)
        self._learn(average.detach(), variance.detach())
        return average, variance

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Float[Tensor, "*rows width"]]) -> None:
        """The moments of these rows, all together, take the place of the running estimates.

        Running estimates come from many networks, none of them the last one, and from states with dropout, which spread
        wider than those that are asked for later.

        Raises:
            InputError: fewer than 2 rows, which have no spread.
        """
        rows, sums, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for raw in batches:
            # From where the estimates are, so that squares of large averages take no digits away.
            beside = double(raw.flatten(0, -2)) - double(self.running_mean)
            rows, sums, squares = rows + len(beside), sums + beside.sum(0).cpu(), squares + beside.square().sum(0).cpu()
        if rows < 2:
            raise InputError(f"statistics of {rows} rows", expected="at least 2")
        offset = sums / rows
        self.running_variance.copy_(squares / rows - offset.square())
        self.running_mean.add_(offset.to(self.running_mean))

    def _learn(self, average: Tensor, variance: Tensor) -> None:
        self.batches += 1
        # The plain average of the first ten batches, so that a short training has estimates of its own data.
        weight = (1 / self.batches).clamp(min=self.momentum).to(self.running_mean)
        centre = torch.where(self.batches > 1, self.running_mean, average.to(self.running_mean))
        # Within batches and between them: where a batch holds rows of one length, it shows less than all spread.
        beside = (average - centre).square()
        self.running_variance.lerp_((variance + beside).to(self.running_variance), weight)
        self.running_mean.lerp_(average.to(self.running_mean), weight)


class BatchNormLinear(nn.Module):
    """A linear layer and batch norm without scale or shift: over the rows every unit has mean 0 and variance 1, so that
    each is among the largest of some row. Hidden states that share a large part would else give a few units the lead in
    every row, and all others would never be used.

    Args:
        hidden: width of the hidden state.
        code: how many units.
    """

    # Against a division by 0 where all rows are the same.
    floor = 1e-5

    def __init__(self, hidden: int, code: int, generator: Generator) -> None:
        super().__init__()
        # No bias: whatever it was, subtracting the average would take it out again.
        self.weight = xavier(code, hidden, generator)
        self.moments = BatchStatistics(code)

    def forward(self, hidden: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows code"]:
        """Apply the layer in float32, or in float64 where the input is."""
        raw = nn.functional.linear(hidden, self.weight)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        average, variance = self.moments(raw)
        fair: Tensor = (raw - average) * torch.rsqrt(variance + self.floor)
        return fair
