"""A bottleneck from outside whose posterior is a Laplace distribution, against the closed form of its rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from bridges import batch, generator, values, vector_bridge
from torch import Tensor, nn

from isthmus.core.objectives.elbo import Elbo, ImportanceWeighted
from isthmus.core.objectives.posterior_collapse import FreeBits
from isthmus.core.objectives.schedules import Constant
from isthmus.core.ops.layers import linear
from isthmus.core.priors.normal import StandardNormal
from isthmus.errors import SettingError
from isthmus.protocols import Code, Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled, TokenBudget
from isthmus.training.calibration import calibrate
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

HIDDEN, CODE = 6, 3


@dataclass(frozen=True)
class LaplacePosterior:
    """Laplace(mean, exp(log_scale)) in each dimension."""

    mean: Tensor
    log_scale: Tensor

    def log_prob(self, z):
        mean, log_scale = (t.repeat_interleave(len(z) // len(self.mean), 0) for t in (self.mean, self.log_scale))
        return (-(z - mean).abs() / log_scale.exp() - log_scale - math.log(2)).sum(1)

    def sample(self, generator, samples=1):
        mean, log_scale = (t.repeat_interleave(samples, 0) for t in (self.mean, self.log_scale))
        uniform = torch.rand(mean.shape, generator=generator) - 0.5
        return mean - log_scale.exp() * uniform.sign() * torch.log1p(-2 * uniform.abs().clamp(max=0.4999999))


class Telling(LaplacePosterior):
    """The same, with all that a posterior may offer."""

    def detach(self):
        return Telling(self.mean.detach(), self.log_scale.detach())

    def standard_normal_rates(self):
        """−log 2b − 1 + ½ log 2π + (μ² + 2 b²) / 2."""
        square = self.mean.square() + 2 * (2 * self.log_scale).exp()
        return -self.log_scale - math.log(2) - 1 + 0.5 * math.log(2 * math.pi) + square / 2


class LaplaceBottleneck(nn.Module):
    def __init__(self, posterior: type[LaplacePosterior] = Telling) -> None:
        super().__init__()
        self.point = linear(HIDDEN, CODE, generator(2))
        self.log_scale = nn.Parameter(torch.full((CODE,), -1.0))
        self.posterior = posterior

    def forward(self, hidden, *, generator=None, samples=1):
        mean = self.point(hidden)
        posterior = self.posterior(mean, self.log_scale.expand_as(mean))
        drawn = mean.repeat_interleave(samples, 0) if generator is None else posterior.sample(generator, samples)
        return Code(mean, drawn, posterior)


class Centred(LaplaceBottleneck):
    """Its codes have mean 0 over the rows that it was calibrated on."""

    def calibrate(self, hidden):
        self.point.bias -= torch.cat([self.point(some) for some in hidden]).mean(0)


def model(bottleneck=None, **changes):
    return vector_bridge(bottleneck or LaplaceBottleneck(), prior=StandardNormal(CODE), **changes)


def test_the_estimated_rate_approaches_the_closed_form() -> None:
    rows = batch(values())
    made = model(LaplaceBottleneck(LaplacePosterior))
    step = made.step(rows, generator=generator(1), samples=20_000)
    exact = Telling(step.code.posterior.mean, step.code.posterior.log_scale).standard_normal_rates().sum(1)
    torch.testing.assert_close(made.prior.rate(step), exact, rtol=0.05, atol=0.02)
    closed = model()
    torch.testing.assert_close(closed.prior.rate(closed.step(rows)), exact)


def test_free_bits_and_the_doubly_reparameterised_bound_ask_for_what_they_need() -> None:
    rows = batch(values())
    whole = model(objective=FreeBits(0.25, Constant()))
    step = whole.step(rows, generator=generator())
    floored = step.code.posterior.standard_normal_rates().mean(0).clamp(min=0.25).sum()
    torch.testing.assert_close(whole.loss(step).total, floored - step.log_likelihood.mean())
    for objective, lacking in ((FreeBits(0.25, Constant()), "standard_normal_rates"), (ImportanceWeighted(), "detach")):
        bare = model(LaplaceBottleneck(LaplacePosterior), objective=objective)
        with pytest.raises(SettingError, match=lacking):
            bare.loss(bare.step(rows, generator=generator(), samples=2))


@pytest.mark.parametrize("objective", [Elbo(), ImportanceWeighted()])
def test_it_trains(objective) -> None:
    made = model(objective=objective)
    plan = Plan((Phase(20, samples=2),), Shuffled(16), learning_rate=0.02)
    history = train(made, VectorSource(values(64).values), plan, Run(device="cpu"))
    assert history.records[-1]["loss"] < history.records[0]["loss"] - 0.5


def test_its_statistics_are_measured_after_training() -> None:
    made, source = model(Centred()), VectorSource(values(50).values)
    assert float(made.encode(values(50)).point.mean(0).abs().max()) > 0.01
    calibrate(made, source, TokenBudget(100))
    torch.testing.assert_close(made.encode(values(50)).point.mean(0), torch.zeros(CODE), atol=1e-5, rtol=0)
    with pytest.raises(SettingError, match="LaplaceBottleneck has no calibrate"):
        calibrate(model(), source, TokenBudget(100))
