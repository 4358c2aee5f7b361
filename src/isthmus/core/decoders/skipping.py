"""A linear decoder with a correction: the readout sees the code itself and what an MLP makes of it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.core.ops.layers import Mlp


class SkipConnectionDecoder(nn.Module):
    """[batch_samples code] to [batch_samples code + hidden]: the code, then an activated layer of it. A linear readout
    over both is a linear decoder (principal components, say) plus a correction that is learned.

    Args:
        code: dimensions of the code.
        hidden: width of the layer.
    """

    def __init__(self, code: int, hidden: int, *, generator: Generator, activation: str = "gelu") -> None:
        super().__init__()
        self.mlp = Mlp((code, hidden), generator=generator, activation=activation, activate_last=True)

    def forward(
        self, sample: Float[Tensor, "batch_samples code"], given: Batch | None = None
    ) -> Float[Tensor, "batch_samples hidden"]:
        """What the readout reads; fp32, so that the code keeps its precision under autocast."""
        return torch.cat([sample, self.mlp(sample).to(sample.dtype)], 1)
