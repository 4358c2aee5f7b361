"""The narrow place: from a hidden state to a code."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.layers import linear, xavier
from isthmus.errors import InputError, SettingError
from isthmus.protocols import Code

LOG_SCALE_LIMITS = (-10.0, 10.0)
"""exp of anything beyond is no use in fp32; the published settings never come near."""


class Deterministic(nn.Module):
    """The code is the hidden state, with an optional activation. Vanilla, denoising and contractive autoencoders."""

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` is ``point``, repeated."""
        return Code(hidden, hidden.repeat_interleave(samples, 0) if samples > 1 else hidden)


class Projected(nn.Module):
    """A deterministic code of its own width: one linear layer.

    Args:
        hidden: width of the hidden state.
        code: dimensions of the code.
    """

    def __init__(self, hidden: int, code: int, *, generator: Generator) -> None:
        super().__init__()
        self.point = linear(hidden, code, generator)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` is ``point``, repeated; fp32 under autocast too."""
        point = self.point(hidden)
        point = point.to(torch.promote_types(point.dtype, torch.float32))
        return Code(point, point.repeat_interleave(samples, 0) if samples > 1 else point)


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
        return _code(self.mean(hidden), self.log_scale(hidden), generator, samples)


class NormalisedGaussian(nn.Module):
    """A diagonal Gaussian posterior whose means have a fixed spread: BN-VAE (Zhu et al., "A Batch
    Normalized Inference Network Keeps the KL Vanishing Away", ACL 2020).

    Each dimension of the mean is batch-normalised, μ = γ (m − E m) / √(Var m + ε) + β, with γ fixed and β learnt. The
    mean square of μ over a batch is then γ² + β², so that the rate (KL divergence from N(0, 1)) is at least d γ² / 2
    nats on average over the batch, for d dimensions: the posterior cannot collapse.

    In training the statistics are those of the batch. Running estimates of them for all data serve otherwise, and for a
    batch of a single row, which has no spread; ``settle`` replaces them by those of the finished network.

    Args:
        hidden: width of the hidden state.
        code: dimensions of the code.
        scale: γ, the standard deviation of the mean over the data; published: 0.6 to 0.7 for 32 dimensions.

    Raises:
        SettingError: a scale that is not above 0.
    """

    momentum = 0.1
    # Small, or the encoder would learn to make its variance as small as this and so escape the bound.
    floor = 1e-10

    def __init__(self, hidden: int, code: int, *, generator: Generator, scale: float = 0.6) -> None:
        super().__init__()
        if not scale > 0:
            raise SettingError(f"scale={scale} of the normalised means", expected="a number above 0")
        # No bias: whatever it was, subtracting the average would take it out again.
        self.mean = nn.Linear(hidden, code, bias=False, device="meta")
        self.mean.weight = xavier(code, hidden, generator)
        self.log_scale = linear(hidden, code, generator)
        self.shift = nn.Parameter(torch.zeros(code))
        self.scale = scale
        self.running_mean: Tensor
        self.running_variance: Tensor
        self.register_buffer("running_mean", torch.zeros(code))
        self.register_buffer("running_variance", torch.ones(code))
        self.batches: Tensor
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """A sample is drawn only with a generator; statistics are fp32 under autocast too."""
        raw = self.mean(hidden)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        average, variance = self._statistics(raw)
        mean = self.scale * (raw - average) * torch.rsqrt(variance + self.floor) + self.shift
        return _code(mean, self.log_scale(hidden), generator, samples)

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """The statistics of these hidden states, all together, take the place of the running estimates.

        Running estimates come from many networks, none of them the last one, and from states with dropout, which spread
        wider than those that are asked for later.

        Raises:
            InputError: fewer than 2 rows, which have no spread.
        """
        rows, sums, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for hidden in batches:
            # From where the estimates are, so that squares of large averages take no digits away.
            raw = self.mean(hidden).flatten(0, -2).double() - self.running_mean.double()
            rows, sums, squares = rows + len(raw), sums + raw.sum(0).cpu(), squares + raw.square().sum(0).cpu()
        if rows < 2:
            raise InputError(f"statistics of {rows} rows", expected="at least 2")
        offset = sums / rows
        self.running_variance.copy_(squares / rows - offset.square())
        self.running_mean.add_(offset.to(self.running_mean))

    def _statistics(self, raw: Float[Tensor, "batch *cells code"]) -> tuple[Tensor, Tensor]:
        rows = raw.flatten(0, -2)
        if not self.training or len(rows) < 2:
            return self.running_mean, self.running_variance
        variance, average = torch.var_mean(rows, 0, correction=0)
        with torch.no_grad():
            self.batches += 1
            # The plain average of the first ten batches, so that a short training has estimates of its own data.
            weight = (1 / self.batches).clamp(min=self.momentum).to(self.running_mean)
            centre = torch.where(self.batches > 1, self.running_mean, average.to(self.running_mean))
            # Within batches and between them: where a batch holds rows of one length, it shows less than all spread.
            beside = (average - centre).square()
            self.running_variance.lerp_((variance + beside).to(self.running_variance), weight)
            self.running_mean.lerp_(average.to(self.running_mean), weight)
        return average, variance


def _code(mean: Tensor, log_scale: Tensor, generator: Generator | None, samples: int) -> Code:
    """The point is the mean; a sample is drawn only with a generator; fp32 at least."""
    wide = torch.promote_types(mean.dtype, torch.float32)
    posterior = DiagonalGaussian(mean.to(wide), log_scale.to(wide).clamp(*LOG_SCALE_LIMITS))
    if generator is None:
        return Code(posterior.mean, posterior.mean.repeat_interleave(samples, 0), posterior)
    return Code(posterior.mean, posterior.sample(generator, samples), posterior)
