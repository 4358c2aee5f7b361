"""Information in codes, and likelihoods of latent variable models. Everything except counts is in nats.

The protocol is that of He et al. 2019 ("Lagging inference networks and posterior collapse") with the aggregated
posterior of Li et al. 2019 ("A surprisingly effective fix for deep latent variable modeling of text"), taken over the
whole set. Mutual information cannot exceed ln N, so values for sets of different sizes N cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.errors import InputError, SettingError
from isthmus.machine.devices import double

Density = Callable[[Tensor], Tensor]
"""The log density of codes [n, code], in nats."""

CELLS = 1 << 22
"""Number of pairs of records whose densities are computed at a time."""


def active_units(means: Float[Tensor, "n code"], threshold: float = 0.01) -> int:
    """Number of active dimensions of the code: the variance (n − 1) of the posterior mean over the set is at least
    ``threshold`` (Burda et al. 2016, section 5.2). The published threshold is 0.01; strong models reach it in every
    dimension, and 0.2 is then more informative.

    Raises:
        InputError: fewer than two records.
    """
    if len(means) < 2:
        raise InputError(f"{len(means)} records", expected="at least two, for a variance")
    return int((double(means).var(0) >= threshold).sum())


def rate(means: Float[Tensor, "n code"], log_scales: Float[Tensor, "n code"]) -> float:
    """Mean KL divergence of diagonal Gaussian posteriors from N(0, 1), in closed form, nats per record."""
    return float(DiagonalGaussian(double(means), double(log_scales)).standard_normal_rates().sum(1).mean())


@dataclass(frozen=True)
class MutualInformation:
    """Estimated mutual information of record and code.

    Attributes:
        nats: 0 if codes are uninformative; can be below 0 for small sets of nearly equal posteriors.
        records: N; the value cannot exceed ln N, which is reached if no two posteriors overlap.
    """

    nats: float
    records: int

    @property
    def most(self) -> float:
        """The largest possible value for N records: ln N nats."""
        return math.log(self.records)


@torch.no_grad()
def mutual_information(
    means: Float[Tensor, "n code"], log_scales: Float[Tensor, "n code"], *, generator: Generator
) -> MutualInformation:
    """E_x E_q(z|x) [log q(z|x) − log q(z)] with q(z) = 1/N Σ_j q(z|x_j) over the whole set, one draw z per record
    (Hoffman & Johnson 2016, "ELBO surgery"; Li et al. 2019 evaluate the same over the whole test set).

    Both densities are evaluated at the draw: a closed-form entropy with a sampled log q(z), as in published code, has
    the same expectation and more noise. The cost is N² · code, in fp64, in blocks.

    Args:
        means, log_scales: diagonal Gaussian posteriors, one for each record.
        generator: random generator.

    Raises:
        InputError: no records.
    """
    n = len(means)
    if n == 0:
        raise InputError("no records", expected="at least one")
    posterior = DiagonalGaussian(double(means), double(log_scales))
    if generator.device.type != posterior.mean.device.type:
        # The device of the codes does not support double precision.
        generator = Generator().manual_seed(generator.initial_seed())
    draws = posterior.sample(generator)
    own = posterior.log_prob(draws)
    blocks = zip(draws.split(max(1, CELLS // n)), own.split(max(1, CELLS // n)), strict=True)
    total = 0.0
    start = 0
    for z, density in blocks:
        pairs = _pairs(z, posterior)
        # The expanded square has rounding errors; the record's own density is computed directly, so that the bound ln N
        # is exact.
        place = torch.arange(len(z), device=z.device)
        pairs[place, start + place] = density
        total += float((density - pairs.logsumexp(1) + math.log(n)).sum())
        start += len(z)
    return MutualInformation(total / n, n)


def _pairs(z: Float64[Tensor, "block code"], posterior: DiagonalGaussian) -> Float64[Tensor, "block n"]:
    """log q(z_i | x_j), with (z − μ)² / σ² expanded to three matrix products."""
    precision = torch.exp(-2 * posterior.log_scale)
    weighted = posterior.mean * precision
    constant = (posterior.mean * weighted).sum(1) + (2 * posterior.log_scale + math.log(2 * math.pi)).sum(1)
    return -0.5 * (z.square() @ precision.T - 2 * z @ weighted.T + constant)


def importance_weighted(
    model: Autoencoder, batch: Batch, *, generator: Generator, samples: int = 500, chunk: int = 100
) -> Float64[Tensor, " batch"]:
    """log p(x) of each record, nats: log 1/S Σ_s p(x|z_s) p(z_s) / q(z_s|x) with z_s ~ q(z|x) (Burda et al. 2016,
    equation 8). In expectation this is a lower bound that becomes tight as S grows; S = 1 gives the ELBO.

    Inputs are not corrupted. The mode of the model does not change: call ``eval()`` first.

    Args:
        model: a model with a posterior and a prior that has a density.
        batch: some records, on the model's device.
        generator: random generator, on the same device.
        samples: S; 500 is usual for text.
        chunk: number of draws per record at a time; memory holds batch · chunk rows.

    Raises:
        SettingError: samples or chunk below 1, or a model without posterior or prior.
    """
    return weighted_under(model, batch, (None,), generator=generator, samples=samples, chunk=chunk)[0]


@torch.no_grad()
def weighted_under(
    model: Autoencoder,
    batch: Batch,
    priors: Sequence[Density | None],
    *,
    generator: Generator,
    samples: int = 500,
    chunk: int = 100,
) -> Float64[Tensor, "priors batch"]:
    """``importance_weighted`` under several priors, from the same draws, which are decoded once.

    Args:
        model, batch, generator, samples, chunk: as in ``importance_weighted``.
        priors: log densities of codes [n, code], in nats, such as ``FittedMixture.log_prob``; None for that of the
            model's own prior.

    Raises:
        SettingError: samples or chunk below 1, or a model without posterior or prior.
    """
    if samples < 1 or chunk < 1:
        raise SettingError(f"samples {samples} and chunk {chunk}", expected="at least 1 of each")
    parts = []
    for start in range(0, samples, chunk):
        some = min(chunk, samples - start)
        step = model.step(batch, generator=generator, samples=some, corrupt=False)
        if step.code.posterior is None:
            raise SettingError("a model without a posterior", expected="a variational model")
        posterior = step.code.posterior.log_prob(step.code.sample).view(-1, some)
        densities = [
            model.prior.log_prob(step) if prior is None else prior(step.code.sample).view(-1, some) for prior in priors
        ]
        fixed = double(step.log_likelihood) - double(posterior)
        parts.append(torch.stack([(fixed + double(density).to(fixed.device)).logsumexp(1) for density in densities]))
    return torch.stack(parts).logsumexp(0) - math.log(samples)
