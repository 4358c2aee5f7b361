"""Objectives: (step, rate, progress) -> scalar in nats per record, lower is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isthmus.capabilities import detached
from isthmus.core.objectives.schedules import Constant, Progress, RateWeight, between
from isthmus.errors import SettingError
from isthmus.protocols import Step
from isthmus.reprs import brief


@brief
@dataclass(frozen=True)
class Elbo:
    """mean(β · rate − log p): the negative evidence lower bound for β = 1 (Kingma & Welling 2014, equation 3)."""

    rate_weight: RateWeight = Constant()  # noqa: RUF009, it is frozen

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: Progress) -> Float[Tensor, ""]:
        """Nats per record, lower is better."""
        weighted = self.rate_weight(step, progress) * rate
        of_rows = step.log_likelihood.squeeze(1) if step.samples == 1 else step.log_likelihood.mean(1)
        return (weighted - of_rows).mean()


@dataclass(frozen=True)
class Capacity:
    """γ |mean rate − C(progress)| − mean log p: the target rate C rises linearly from ``start`` to ``end`` (Burgess et
    al., "Understanding disentangling in β-VAE", 2018, equation 8).

    Args:
        gamma: γ, the weight of the deviation; the paper uses 1000 for images.
        start, end: target rates in nats per record.
        until: share of the training after which C stays at ``end``.

    Raises:
        SettingError: a negative number, or ``until`` outside 0 < until <= 1.
    """

    gamma: float
    start: float
    end: float
    until: float = 1.0

    def __post_init__(self) -> None:
        if min(self.gamma, self.start, self.end) < 0:
            raise SettingError(f"γ={self.gamma}, {self.start} to {self.end} nats", expected="numbers of 0 or more")
        if not 0 < self.until <= 1:
            raise SettingError(f"a capacity that rises until {self.until}", expected="0 < until <= 1")

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: Progress) -> Float[Tensor, ""]:
        """Nats per record, lower is better."""
        capacity = self.start + (self.end - self.start) * between(progress / self.until, 0.0, 1.0)
        return self.gamma * (rate.mean() - capacity).abs() - step.log_likelihood.mean()


@dataclass(frozen=True)
class ImportanceWeighted:
    """−mean log 1/S Σ_s w_s with w_s = p(x | z_s) p(z_s) / q(z_s | x): a bound on log p(x) that becomes tighter with
    the number of samples S, which ``Phase.samples`` sets (Burda, Grosse & Salakhutdinov, "Importance Weighted
    Autoencoders", ICLR 2016, equation 8). With one sample it is an estimate of the evidence lower bound.

    With many samples the encoder's gradient is dominated by noise. ``doubly`` uses the doubly reparameterised gradient
    instead (Tucker et al., "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives", ICLR 2019, equation
    8), which has the same expectation and no noise if the posterior is exact. Decoder and prior are not affected.

    Args:
        doubly: use the doubly reparameterised gradient; needs a posterior with ``detach``, such as a diagonal Gaussian.
            A penalty on the sample is then weighted like the sample.
    """

    doubly: bool = True

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: Progress) -> Float[Tensor, ""]:
        """Nats per record, lower is better.

        Raises:
            SettingError: a model without a posterior or a prior, or ``doubly`` with a posterior that has no ``detach``.
        """
        posterior = step.code.posterior
        if posterior is None:
            raise SettingError("importance weights without a posterior", expected="a variational bottleneck")
        sample = step.code.sample
        density = (detached(posterior) if self.doubly else posterior).log_prob(sample).view(-1, step.samples)
        log_weights = step.log_likelihood + step.model.prior.log_prob(step) - density
        bound = log_weights.logsumexp(1).mean() - math.log(step.samples)
        if self.doubly and sample.requires_grad:
            # The gradient at the sample contains the normalised weight once; the encoder's gradient has it squared.
            shares = log_weights.detach().softmax(1).flatten()
            sample.register_hook(lambda gradient: gradient * shares.view(-1, *(1,) * (gradient.dim() - 1)))
        return -bound
