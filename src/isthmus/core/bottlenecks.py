"""The narrow place: from a hidden state to a code."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.layers import linear
from isthmus.protocols import Code

LOG_SCALE_LIMITS = (-10.0, 10.0)
"""exp of anything beyond is no use in fp32; the published settings never come near."""


class Deterministic(nn.Module):
    """The code is the hidden state, with an optional activation. Vanilla, denoising and contractive autoencoders."""

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` is ``point``, repeated."""
        return Code(hidden, hidden.repeat_interleave(samples, 0) if samples > 1 else hidden)


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, exp(log_scale)²) in each dimension of the code."""

    mean: Float[Tensor, "batch *cells code"]
    log_scale: Float[Tensor, "batch *cells code"]

    def log_prob(self, z: Float[Tensor, "batch_samples *cells code"]) -> Float[Tensor, " batch_samples"]:
        """Log density, nats, summed over the code."""
        samples = len(z) // len(self.mean)
        mean, log_scale = (t.repeat_interleave(samples, 0) for t in (self.mean, self.log_scale))
        standard = (z - mean) * torch.exp(-log_scale)
        return (-0.5 * standard.square() - log_scale - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def sample(self, generator: Generator, samples: int = 1) -> Float[Tensor, "batch_samples *cells code"]:
        """mean + scale · ε with ε ~ N(0, 1): the reparameterisation of Kingma & Welling 2014, section 2.4."""
        mean, log_scale = (t.repeat_interleave(samples, 0) for t in (self.mean, self.log_scale))
        noise = torch.empty(mean.shape, dtype=mean.dtype, device=mean.device).normal_(generator=generator)
        return mean + torch.exp(log_scale) * noise


class Gaussian(nn.Module):
    """A diagonal Gaussian posterior: one linear layer to mean and log scale; the point is the mean.

    Args:
        hidden: width of the hidden state.
        code: dimensions of the code.
    """

    def __init__(self, hidden: int, code: int, *, generator: Generator) -> None:
        super().__init__()
        self.mean = linear(hidden, code, generator)
        self.log_scale = linear(hidden, code, generator)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """A sample is drawn only with a generator; statistics are fp32 under autocast too."""
        mean, log_scale = (layer(hidden) for layer in (self.mean, self.log_scale))
        wide = torch.promote_types(mean.dtype, torch.float32)
        posterior = DiagonalGaussian(mean.to(wide), log_scale.to(wide).clamp(*LOG_SCALE_LIMITS))
        if generator is None:
            return Code(posterior.mean, posterior.mean.repeat_interleave(samples, 0), posterior)
        return Code(posterior.mean, posterior.sample(generator, samples), posterior)
