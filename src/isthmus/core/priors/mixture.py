"""Trainable mixture priors: with free components, or with posteriors of pseudo-inputs as components."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.core.priors.normal import estimated_rate
from isthmus.errors import SettingError
from isthmus.protocols import Bottleneck, Encoder, Posterior, Step

LOG_2PI = math.log(2 * math.pi)


class MixturePrior(nn.Module):
    """Σ_k π_k N(z; μ_k, σ_k²) with trainable weights, means and scales; the rate is estimated from samples. The cells
    of a code are independent samples.

    Args:
        code: dimensions of the code.
        components: number of components; their means are initialised from N(0, 1), their scales with 1.

    Raises:
        SettingError: no components.
    """

    def __init__(self, code: int, components: int, *, generator: Generator) -> None:
        super().__init__()
        if components < 1:
            raise SettingError(f"{components} components", expected="at least 1")
        self.logits = nn.Parameter(torch.zeros(components))
        self.centres = nn.Parameter(torch.empty(components, code).normal_(generator=generator))
        self.log_scales = nn.Parameter(torch.zeros(components, code))

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """Estimate of the KL divergence of the posterior from the mixture, nats per record."""
        return estimated_rate(step, self.log_prob)

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Log density of the step's samples, nats."""
        sample = step.code.sample
        density = mixture_log_prob(sample.flatten(0, -2), self.centres, self.log_scales, self.logits.log_softmax(0))
        return density.view(len(sample), -1).sum(1).view(-1, step.samples)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n code"]:
        """Independent draws on the generator's device."""
        chosen = torch.multinomial(self.logits.softmax(0), n, replacement=True, generator=generator)
        return DiagonalGaussian(self.centres[chosen], self.log_scales[chosen]).sample(generator)


class VampPrior(nn.Module):
    """1/K Σ_k q(z | u_k), the posteriors of K trainable pseudo-inputs (Tomczak & Welling, "VAE with a VampPrior",
    AISTATS 2018, equation 9). Pseudo-inputs are in the space after ``Encoder.enter``, which is continuous for all
    inputs: pixels, sums of item vectors, token vectors.

    The rate is estimated from samples. Each step costs K additional rows in the encoder, and the density of each sample
    under each of them.

    Args:
        encoder, bottleneck: those of the model, not copies; the bottleneck must give diagonal Gaussian posteriors that
            depend on one row each.
        entered: shape of one entered row, such as (width,) or (channels, height, width).
        count: K; published: 500 for 50,000 images.

    Raises:
        SettingError: no pseudo-inputs.
    """

    def __init__(
        self, encoder: Encoder, bottleneck: Bottleneck, entered: Sequence[int], count: int, *, generator: Generator
    ) -> None:
        super().__init__()
        if count < 1:
            raise SettingError(f"{count} pseudo-inputs", expected="at least 1")
        # In a tuple they are not registered as submodules a second time.
        self._path = (encoder, bottleneck)
        self.pseudo = nn.Parameter(torch.empty(count, *entered).normal_(std=0.1, generator=generator))

    def begin(self, entered: Float[Tensor, "rows ..."]) -> None:
        """Initialise the pseudo-inputs with rows of ``encoder.enter``; if there are fewer rows, only the first ones.

        Raises:
            SettingError: rows of another shape.
        """
        if entered.shape[1:] != self.pseudo.shape[1:]:
            raise SettingError(
                f"rows of {list(entered.shape[1:])} as pseudo-inputs", expected=f"{list(self.pseudo.shape[1:])}"
            )
        with torch.no_grad():
            rows = entered[: len(self.pseudo)]
            self.pseudo[: len(rows)] = rows

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """Estimate of the KL divergence of the posterior from the mixture, nats per record."""
        return estimated_rate(step, self.log_prob)

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Log density of the step's samples, nats."""
        posterior, sample = self._posterior(), step.code.sample.flatten(1)
        means, log_scales = posterior.mean.flatten(1), posterior.log_scale.flatten(1)
        even = means.new_full((len(means),), -math.log(len(means)))
        return mixture_log_prob(sample, means, log_scales, even).view(-1, step.samples)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n *cells code"]:
        """Independent samples on the generator's device: a random pseudo-input, then a sample from its posterior."""
        posterior = self._posterior()
        chosen = torch.randint(len(self.pseudo), (n,), device=generator.device, generator=generator)
        return DiagonalGaussian(posterior.mean[chosen], posterior.log_scale[chosen]).sample(generator)

    def _posterior(self) -> Posterior:
        encoder, bottleneck = self._path
        posterior = bottleneck(encoder.trunk(self.pseudo, None)).posterior
        if posterior is None:
            raise SettingError("pseudo-inputs of a deterministic bottleneck", expected="a bottleneck with a posterior")
        return posterior


def mixture_log_prob(
    z: Float[Tensor, "n code"],
    means: Float[Tensor, "components code"],
    log_scales: Float[Tensor, "components code"],
    log_shares: Float[Tensor, " components"],
) -> Float[Tensor, " n"]:
    """Log density of a mixture of diagonal Gaussians, with n · components · code numbers in memory.

    Args:
        z: points.
        means, log_scales: parameters of the components.
        log_shares: logarithms of the weights of the components; the weights sum to 1.

    Returns:
        [n], nats; higher is more probable.
    """
    standard = (z[:, None] - means) * torch.exp(-log_scales)
    densities = -0.5 * standard.square().sum(2) - (log_scales + 0.5 * LOG_2PI).sum(1)
    return (densities + log_shares).logsumexp(1)
