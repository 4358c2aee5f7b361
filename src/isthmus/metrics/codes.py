"""What codes carry, and how probable records are under a model with a code. All in nats but for counts.

The protocol is that of He et al. 2019 ("Lagging inference networks and posterior collapse") with the aggregated
posterior of Li et al. 2019 ("A surprisingly effective fix for deep latent variable modeling of text"): taken over the
whole set. Mutual information cannot exceed ln N, so figures over sets of different sizes N do not compare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.errors import InputError, SettingError

CELLS = 1 << 22
"""Pairs of records whose densities are computed at a time."""


def active_units(means: Float[Tensor, "n code"], threshold: float = 0.01) -> int:
    """Dimensions of the code that tell records apart: the variance (n − 1) of the posterior's mean over the set is
    ``threshold`` or more (Burda et al. 2016, section 5.2). 0.01 is the published one; strong models reach it in
    every dimension, then 0.2 tells more.

    Raises:
        InputError: fewer than two records.
    """
    if len(means) < 2:
        raise InputError(f"{len(means)} records", expected="at least two, for a variance")
    return int((means.double().var(0) >= threshold).sum())


def rate(means: Float[Tensor, "n code"], log_scales: Float[Tensor, "n code"]) -> float:
    """Mean KL divergence of diagonal Gaussian posteriors from N(0, 1), in closed form, nats a record."""
    return float(DiagonalGaussian(means.double(), log_scales.double()).standard_normal_rates().sum(1).mean())


@dataclass(frozen=True)
class MutualInformation:
    """Between record and code, estimated.

    Attributes:
        nats: 0 where codes say nothing of the record; small sets of nearly equal posteriors may come out below 0.
        records: N; it cannot exceed ln N, which is reached where no two posteriors overlap.
    """

    nats: float
    records: int

    @property
    def most(self) -> float:
        """The largest value that N records can show: ln N nats."""
        return math.log(self.records)


@torch.no_grad()
def mutual_information(
    means: Float[Tensor, "n code"], log_scales: Float[Tensor, "n code"], *, generator: Generator
) -> MutualInformation:
    """E_x E_q(z|x) [log q(z|x) − log q(z)] with q(z) = 1/N Σ_j q(z|x_j) over the whole set, one draw z a record
    (Hoffman & Johnson 2016, "ELBO surgery"; Li et al. 2019 evaluate the same over the whole test set).

    Both densities are taken at the draw: a closed-form entropy beside a drawn log q(z), as in published code, has the
    same expectation and more noise. Time is N² · code, in fp64, block by block.

    Args:
        means, log_scales: diagonal Gaussian posteriors, one for each record.
        generator: where the draws come from.

    Raises:
        InputError: no records.
    """
    n = len(means)
    if n == 0:
        raise InputError("no records", expected="at least one")
    posterior = DiagonalGaussian(means.double(), log_scales.double())
    draws = posterior.sample(generator)
    own = posterior.log_prob(draws)
    blocks = zip(draws.split(max(1, CELLS // n)), own.split(max(1, CELLS // n)), strict=True)
    total = 0.0
    start = 0
    for z, density in blocks:
        pairs = _pairs(z, posterior)
        # The expanded square rounds; a record's own density is known better, and keeps the bound ln N exact.
        place = torch.arange(len(z), device=z.device)
        pairs[place, start + place] = density
        total += float((density - pairs.logsumexp(1) + math.log(n)).sum())
        start += len(z)
    return MutualInformation(total / n, n)


def _pairs(z: Float64[Tensor, "block code"], posterior: DiagonalGaussian) -> Float64[Tensor, "block n"]:
    """log q(z_i | x_j), with (z − μ)² / σ² multiplied out: three products of matrices."""
    precision = torch.exp(-2 * posterior.log_scale)
    weighted = posterior.mean * precision
    constant = (posterior.mean * weighted).sum(1) + (2 * posterior.log_scale + math.log(2 * math.pi)).sum(1)
    return -0.5 * (z.square() @ precision.T - 2 * z @ weighted.T + constant)


@torch.no_grad()
def importance_weighted(
    model: Autoencoder, batch: Batch, *, generator: Generator, samples: int = 500, chunk: int = 100
) -> Float64[Tensor, " batch"]:
    """log p(x) of each record, nats: log 1/S Σ_s p(x|z_s) p(z_s) / q(z_s|x) with z_s ~ q(z|x) (Burda et al. 2016,
    equation 8). A lower bound in expectation that rises with S to the truth; −ELBO is its S = 1.

    Inputs are not corrupted. The model stays in the mode it is in: call ``eval()`` first.

    Args:
        model: with a posterior and a prior that has a density.
        batch: some records, on the model's device.
        generator: where the draws come from, on the same device.
        samples: S; 500 is what is published for text.
        chunk: draws of each record at a time; memory holds batch · chunk rows.

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
        weights = step.log_likelihood.double() + model.prior.log_prob(step).double() - posterior.double()
        parts.append(weights.logsumexp(1))
    return torch.stack(parts).logsumexp(0) - math.log(samples)
