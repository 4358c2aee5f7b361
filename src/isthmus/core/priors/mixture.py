"""Priors that are mixtures and train with the model: of free components, or of posteriors of pseudo-inputs."""

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
    """Σ_k π_k N(z; μ_k, σ_k²) with shares, centres and scales that train; the rate is estimated from samples. A code of
    several cells is so many independent draws.

    Args:
        code: dimensions of the code.
        components: how many; their centres start as draws from N(0, 1), their scales at 1.

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
        """Estimate of the KL divergence of the posterior from the mixture, nats a record."""
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
    """1/K Σ_k q(z | u_k), the model's own posteriors of K pseudo-inputs that train (Tomczak & Welling, "VAE with a
    VampPrior", AISTATS 2018, equation 9). Pseudo-inputs live behind ``Encoder.enter``, where every signal has numbers
    that can be learned: pixels, a sum of item vectors, token vectors.

    The rate is estimated from samples. Cost: K rows more for the encoder in each step, and a density of each sample
    under each of them.

    Args:
        encoder, bottleneck: the model's own, not copies; the bottleneck makes diagonal Gaussian posteriors, each from
            its own row alone.
        entered: shape of one row that has entered, such as (width,) or (channels, height, width).
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
        # In a tuple they are not saved, counted or moved a second time.
        self._path = (encoder, bottleneck)
        self.pseudo = nn.Parameter(torch.empty(count, *entered).normal_(std=0.1, generator=generator))

    def begin(self, entered: Float[Tensor, "rows ..."]) -> None:
        """Pseudo-inputs become these rows, as ``encoder.enter`` made them; where there are fewer, only the first ones.

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
        """Estimate of the KL divergence of the posterior from the mixture, nats a record."""
        return estimated_rate(step, self.log_prob)

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Log density of the step's samples, nats."""
        posterior, sample = self._posterior(), step.code.sample.flatten(1)
        means, log_scales = posterior.mean.flatten(1), posterior.log_scale.flatten(1)
        even = means.new_full((len(means),), -math.log(len(means)))
        return mixture_log_prob(sample, means, log_scales, even).view(-1, step.samples)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n *cells code"]:
        """Independent draws on the generator's device: a pseudo-input, then a draw from its posterior."""
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
    """Log density of a mixture of diagonal Gaussians. Memory holds n · components · code numbers.

    Args:
        z: points.
        means, log_scales: of the components.
        log_shares: logarithms of the weights of the components, which sum to 1.

    Returns:
        [n], nats; higher is more probable.
    """
    standard = (z[:, None] - means) * torch.exp(-log_scales)
    densities = -0.5 * standard.square().sum(2) - (log_scales + 0.5 * LOG_2PI).sum(1)
    return (densities + log_shares).logsumexp(1)
