"""A prior that remembers: codes are expected to stay near to where the encoder of some time ago put them."""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.normal import estimated_rate
from isthmus.errors import SettingError
from isthmus.protocols import Bottleneck, Encoder, Step

WIDE_LOG_SCALE = 5.0
"""Half of the log variance of 10 that the authors' code gives the wide part."""

LOG_2PI = math.log(2 * math.pi)


class CompositePrior(nn.Module):
    """Three densities mixed in each dimension of the code (Shenbin et al. 2020):

        p(z | x) = Π_d [ a_1 N(z_d; 0, 1) + a_2 q_old(z_d | x) + a_3 N(z_d; 0, e¹⁰) ]

    Dimension by dimension, as in the authors' code, and not one mixture of densities of whole codes. q_old is the
    posterior of clean inputs, from frozen copies of the encoder and the bottleneck, which are saved with the model and
    change only in ``remember``. The divergence from a mixture has no closed form: the rate is log q(z) − log p(z) of
    the samples that were drawn.

    Args:
        encoder, bottleneck: the model's own, to be copied.
        shares: a_1, a_2 and a_3: of the standard normal, the old posterior and the wide normal.

    Raises:
        SettingError: shares that are not three positive numbers of sum 1.
    """

    def __init__(
        self, encoder: Encoder, bottleneck: Bottleneck, shares: tuple[float, float, float] = (3 / 20, 3 / 4, 1 / 10)
    ) -> None:
        super().__init__()
        if min(shares) <= 0 or not math.isclose(sum(shares), 1):
            raise SettingError(f"shares {shares}", expected="three positive numbers of sum 1")
        self.encoder, self.bottleneck = copy.deepcopy(encoder), copy.deepcopy(bottleneck)
        self.requires_grad_(False)
        self.shares = shares

    def remember(self, model: Autoencoder) -> None:
        """The old posterior becomes that of the model as it is now."""
        with torch.no_grad():
            for old, new in ((self.encoder, model.encoder), (self.bottleneck, model.bottleneck)):
                assert isinstance(old, nn.Module)
                assert isinstance(new, nn.Module)
                old.load_state_dict(new.state_dict())

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """Estimate of the divergence of the posterior from the prior, nats a record: the mean over samples."""
        return estimated_rate(step, self.log_prob)

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """log p(z | x) of the step's samples."""
        z, scaling = step.code.sample, step.model.scaling
        mean, log_scale = self._old(step.batch.inputs if scaling is None else scaling(step.batch.inputs))
        mean, log_scale = (t.repeat_interleave(step.samples, 0) for t in (mean, log_scale))
        zero = torch.zeros_like(z)
        normals = ((zero, zero), (mean, log_scale), (zero, torch.full_like(z, WIDE_LOG_SCALE)))
        parts = [math.log(share) + _log_density(z, *normal) for share, normal in zip(self.shares, normals, strict=True)]
        return torch.stack(parts).logsumexp(0).flatten(1).sum(1).view(-1, step.samples)

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n code"]:
        """Raises SettingError: this prior is one of codes of given inputs."""
        raise SettingError(
            "codes from a composite prior without inputs", expected="inputs", remedy="sample from a mult-vae instead"
        )

    def _old(self, inputs: Tensors) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            posterior = self.bottleneck(self.encoder.trunk(self.encoder.enter(inputs), inputs)).posterior
        assert posterior is not None
        return posterior.mean, posterior.log_scale


def _log_density(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z; mean, exp(log_scale)²), number by number."""
    return -0.5 * ((z - mean) * torch.exp(-log_scale)).square() - log_scale - 0.5 * LOG_2PI
