"""Mean and variance over the rows of a batch or of all data, and batch normalisation (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.ops.layers import xavier
from isthmus.errors import InputError
from isthmus.machine.devices import double


class BatchStatistics(nn.Module):
    """In training the moments are those of the batch. Outside training, and for batches of a single row, running
    estimates for all data are used; ``calibrate`` replaces them by the moments under the trained network.

    Args:
        width: number of values per row.
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
        """Replace the running estimates by the moments of all these rows.

        Running estimates come from earlier states of the network, and from states with dropout, which have a larger
        variance than those used later.

        Raises:
            InputError: fewer than 2 rows.
        """
        rows, sums, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for raw in batches:
            # Relative to the current estimates, so that squares of large means do not lose digits.
            beside = double(raw.flatten(0, -2)) - double(self.running_mean)
            rows, sums, squares = rows + len(beside), sums + beside.sum(0).cpu(), squares + beside.square().sum(0).cpu()
        if rows < 2:
            raise InputError(f"statistics of {rows} rows", expected="at least 2")
        offset = sums / rows
        self.running_variance.copy_(squares / rows - offset.square())
        self.running_mean.add_(offset.to(self.running_mean))

    def _learn(self, average: Tensor, variance: Tensor) -> None:
        self.batches += 1
        # The first ten batches have equal weights, so that a short training has good estimates.
        weight = (1 / self.batches).clamp(min=self.momentum).to(self.running_mean)
        centre = torch.where(self.batches > 1, self.running_mean, average.to(self.running_mean))
        # Variance within and between batches, since batches of rows of equal length underestimate the variance.
        beside = (average - centre).square()
        self.running_variance.lerp_((variance + beside).to(self.running_variance), weight)
        self.running_mean.lerp_(average.to(self.running_mean), weight)


class BatchNormLinear(nn.Module):
    """A linear layer and batch norm without scale or shift: over the rows, every unit has mean 0 and variance 1, so
    that each is among the largest in some rows. Otherwise, if hidden states have a large common part, a few units would
    be the largest in every row, and all others would never be used.

    Args:
        hidden: width of the hidden state.
        code: number of units.
    """

    # Avoids a division by 0 if all rows are equal.
    floor = 1e-5

    def __init__(self, hidden: int, code: int, generator: Generator) -> None:
        super().__init__()
        # No bias, because subtracting the mean would cancel it.
        self.weight = xavier(code, hidden, generator)
        self.moments = BatchStatistics(code)

    def forward(self, hidden: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows code"]:
        """Apply the layer in float32, or in float64 for float64 input."""
        raw = nn.functional.linear(hidden, self.weight)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        average, variance = self.moments(raw)
        fair: Tensor = (raw - average) * torch.rsqrt(variance + self.floor)
        return fair
