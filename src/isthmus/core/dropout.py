"""Dropout inside a network, with randomness of its own."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from isthmus.errors import SettingError

SEEDS = 1 << 62
"""Seeds are drawn below this, so that counting calls upwards never leaves 64 bits."""


class SeededDropout(nn.Module):
    """In training each number is 0 with probability ``rate``, the others are divided by 1 − rate (Srivastava et al.
    2014, in the form that leaves the mean as it is); otherwise nothing happens.

    Which numbers are dropped follows from a seed and from how often it was called, both saved with the model: training
    that goes on from a checkpoint drops what it would have dropped, and the global random state is neither read nor
    changed.

    Args:
        rate: the probability to be dropped.
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

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same one."""
        if not self.training or self.rate == 0:
            return x
        generator = Generator(x.device).manual_seed(int(self.seed + self.calls))
        self.calls += 1
        # A uniform number and a comparison: drawing the coins themselves takes several times longer on CPU.
        kept = torch.empty(x.shape, device=x.device).uniform_(generator=generator) >= self.rate
        return x * kept * (1 / (1 - self.rate))
