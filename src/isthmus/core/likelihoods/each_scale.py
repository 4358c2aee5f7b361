"""A normal distribution whose scale is each record's own, so that records count alike however well they are told."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.likelihoods.continuous import LOG_2PI, residuals_of
from isthmus.core.likelihoods.discrete import wide
from isthmus.errors import SettingError
from isthmus.protocols import Readout

ROUNDING = 1 / 255 / math.sqrt(12)
"""Standard deviation of the rounding of a picture's pixels to bytes."""


class EachScaleGaussian(nn.Module):
    """N(logits, σ²) with the maximum likelihood σ² of each record, its mean squared residual (Rybkin, Daniilidis &
    Levine, ICML 2021, section 3.3, with one σ a record instead of one for all).

    The negative log-likelihood of a record of n numbers is n/2 · log(2πe · (mean squared residual + floor²)):
    minimising it maximises the mean over records of the signal-to-noise ratio in decibels.

    Args:
        floor: σ below which nothing is gained; by default that of rounding to bytes, for numbers from 0 to 1.
    """

    def __init__(self, floor: float = ROUNDING) -> None:
        super().__init__()
        if not floor > 0:
            raise SettingError(f"floor={floor}", expected="a positive number")
        self.floor = floor

    def forward(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded).

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            targets: the values to score.
            generator: random generator, for likelihoods that are estimated.

        Returns:
            Nats, shape (batch,); higher is more probable.
        """
        errors = residuals_of(readout, decoded, targets).square().flatten(1)
        return -0.5 * errors.shape[1] * (LOG_2PI + 1 + (errors.mean(1) + self.floor**2).log())

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The expected value, which is the logits themselves."""
        return wide(readout.logits(decoded))

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """The mean with noise of the smallest scale: how wrong a record is told is only known beside its values.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        mean = self.mean(readout, decoded)
        return mean + self.floor * torch.empty_like(mean).normal_(generator=generator)
