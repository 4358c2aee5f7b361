"""The standard normal prior, and models without a prior."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.capabilities import standard_normal_rates
from isthmus.errors import SettingError
from isthmus.protocols import Step


class NoPrior:
    """No prior, for deterministic autoencoders: the rate is 0, and codes cannot be sampled."""

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """Zero nats for every record."""
        return step.log_likelihood.new_zeros(len(step.log_likelihood))

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Raises SettingError: there is no density."""
        raise _no_prior()

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n code"]:
        """Raises SettingError: there is nothing to sample from."""
        raise _no_prior()


class StandardNormal:
    """N(0, 1) in each dimension of a code of ``code`` dimensions.

    For a diagonal Gaussian posterior, or any other with ``standard_normal_rates``, the rate is the closed form
    ½ Σ (μ² + σ² − 1 − 2 log σ) (Kingma & Welling 2014, appendix B), otherwise the mean over samples of log q − log p.
    """

    def __init__(self, code: int) -> None:
        self.code = code

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """KL divergence of the posterior from N(0, 1), nats per record."""
        rates = standard_normal_rates(step.code.posterior)
        return estimated_rate(step, self.log_prob) if rates is None else rates.flatten(1).sum(1)

    def dimension_rates(self, step: Step) -> Float[Tensor, "batch *cells code"]:
        """The same in each dimension, in nats.

        Raises:
            SettingError: no posterior, or one without ``standard_normal_rates``.
        """
        rates = standard_normal_rates(step.code.posterior)
        if rates is None:
            raise SettingError(
                f"the rates of each dimension of {type(step.code.posterior).__name__}",
                expected="a diagonal Gaussian, or another posterior with standard_normal_rates",
            )
        return rates

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Σ log N(z; 0, 1) of the step's samples."""
        density = -0.5 * step.code.sample.square() - 0.5 * math.log(2 * math.pi)
        return density.flatten(1).sum(1).view(-1, step.samples)

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n code"]:
        """Independent draws on the generator's device."""
        return torch.empty(n, self.code, device=generator.device).normal_(generator=generator)


def estimated_rate(step: Step, log_prob: Callable[[Step], Tensor]) -> Float[Tensor, " batch"]:
    """Estimated KL divergence from a prior without a closed form, in nats: the mean of log q(z | x) − log p(z) over the
    step's samples; ``log_prob`` is that of the prior.

    Raises:
        SettingError: a bottleneck without a posterior.
    """
    posterior = step.code.posterior
    if posterior is None:
        raise SettingError("a deterministic bottleneck with a prior", expected="a bottleneck with a posterior")
    return (posterior.log_prob(step.code.sample).view(-1, step.samples) - log_prob(step)).mean(1)


def _no_prior() -> SettingError:
    return SettingError("a model without a prior", expected="a prior", remedy="train a variational model to sample")
