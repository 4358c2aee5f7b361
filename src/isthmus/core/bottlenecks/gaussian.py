"""Variational bottlenecks, which map a hidden state to a diagonal Gaussian posterior."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.capabilities import AffineLayer
from isthmus.core.ops.batch_norm import BatchStatistics
from isthmus.core.ops.layers import affine, linear, xavier
from isthmus.errors import SettingError
from isthmus.protocols import Code
from isthmus.reprs import brief

LOG_SCALE_LIMITS = (-10.0, 10.0)
"""Bound of the log scale, beyond which exp is useless in fp32; published models stay far below it."""


@brief
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
        mean, log_scale = self.mean, self.log_scale
        if samples > 1:
            mean, log_scale = (t.repeat_interleave(samples, 0) for t in (mean, log_scale))
        noise = torch.empty(mean.shape, dtype=mean.dtype, device=mean.device).normal_(generator=generator)
        return mean + torch.exp(log_scale) * noise

    def detach(self) -> DiagonalGaussian:
        """The same density with detached parameters."""
        return DiagonalGaussian(self.mean.detach(), self.log_scale.detach())

    def standard_normal_rates(self) -> Float[Tensor, "batch *cells code"]:
        """KL divergence from N(0, 1) in each dimension, nats: ½ (μ² + σ² − 1 − 2 log σ)."""
        log_variance = 2 * self.log_scale
        return 0.5 * (self.mean.square() + torch.exp(log_variance) - 1 - log_variance)


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
        """A sample is drawn only with a generator; statistics are fp32 under autocast too.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        return _code(self.mean(hidden), self.log_scale(hidden), generator, samples)

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The layer of the mean, which is the point."""
        return (affine(self.mean),)


class BatchNormGaussian(nn.Module):
    """A diagonal Gaussian posterior with batch-normalised means: BN-VAE (Zhu et al., "A Batch Normalized Inference
    Network Keeps the KL Vanishing Away", ACL 2020).

    Each dimension of the mean is batch-normalised, μ = γ (m − E m) / √(Var m + ε) + β, with γ fixed and β learnt. The
    mean square of μ over a batch is then γ² + β², so that the rate (KL divergence from N(0, 1)) is at least d γ² / 2
    nats on average over the batch, for d dimensions: the posterior cannot collapse.

    E and Var are those of ``BatchStatistics``: of the batch in training, of all data otherwise.

    Args:
        hidden: width of the hidden state.
        code: dimensions of the code.
        scale: γ, the standard deviation of the mean over the data; published: 0.6 to 0.7 for 32 dimensions.

    Raises:
        SettingError: a scale that is not above 0.
    """

    # Must be small: otherwise the encoder could learn a variance of this size and evade the bound.
    floor = 1e-10

    def __init__(self, hidden: int, code: int, *, generator: Generator, scale: float = 0.6) -> None:
        super().__init__()
        if not scale > 0:
            raise SettingError(f"scale={scale} of the normalised means", expected="a number above 0")
        # No bias, because subtracting the mean would cancel it.
        self.mean = nn.Linear(hidden, code, bias=False, device="meta")
        self.mean.weight = xavier(code, hidden, generator)
        self.log_scale = linear(hidden, code, generator)
        self.shift = nn.Parameter(torch.zeros(code))
        self.scale = scale
        self.moments = BatchStatistics(code)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """A sample is drawn only with a generator; statistics are fp32 under autocast too.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        raw = self.mean(hidden)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        average, variance = self.moments(raw)
        mean = self.scale * (raw - average) * torch.rsqrt(variance + self.floor) + self.shift
        return _code(mean, self.log_scale(hidden), generator, samples)

    @torch.no_grad()
    def calibrate(self, hidden: Iterable[Tensor]) -> None:
        """Set the moments to those of the means of all these hidden states, see ``BatchStatistics.calibrate``.

        Raises:
            InputError: fewer than 2 rows.
        """
        self.moments.calibrate(self.mean(batch) for batch in hidden)


def _code(mean: Tensor, log_scale: Tensor, generator: Generator | None, samples: int) -> Code:
    """The point is the mean; a sample is drawn only with a generator; fp32 at least."""
    wide = torch.promote_types(mean.dtype, torch.float32)
    # Equal to ``clamp``, whose gradient takes five operations instead of one.
    limited = nn.functional.hardtanh(log_scale.to(wide), *LOG_SCALE_LIMITS)
    posterior = DiagonalGaussian(mean.to(wide), limited)
    if generator is None:
        return Code(posterior.mean, posterior.mean.repeat_interleave(samples, 0), posterior)
    return Code(posterior.mean, posterior.sample(generator, samples), posterior)
