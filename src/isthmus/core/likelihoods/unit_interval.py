"""Likelihoods of numbers between 0 and 1, such as grey levels, continuous or discrete. In nats per record."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from isthmus.batch import Tensors
from isthmus.core.likelihoods.continuous import dense_values
from isthmus.errors import SettingError
from isthmus.protocols import Readout

NEAR_ZERO = 0.5
"""Logits closer to 0 than this use a power series, which is more exact than the closed form."""

LOWEST_LOG_SCALE = -7.0
"""Minimum log scale of a logistic component, about a hundredth of a level."""


class ContinuousBernoulli:
    """x z − softplus(z) + log C(z) with logits z, for values in [0, 1]. The normaliser C, which a Bernoulli likelihood
    of grey levels lacks, makes it a density (Loaiza-Ganem & Cunningham, "The continuous Bernoulli", NeurIPS 2019).

    log C = log |z| − log tanh(|z| / 2), near 0 its power series. Probabilities are never computed, so none is clamped.
    """

    def __call__(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded)."""
        logits, values = _float(readout.logits(decoded)), dense_values(targets)
        coins = values * logits - F.softplus(logits)
        return (coins + _log_normaliser(logits)).flatten(1).sum(1)

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """1 / (1 − exp(−z)) − 1 / z, between 0 and 1; it is not sigmoid(z)."""
        logits = _float(readout.logits(decoded))
        small = logits.abs() < NEAR_ZERO
        safe = torch.where(small, 1.0, logits)
        series = 0.5 + logits / 12 - logits**3 / 720 + logits**5 / 30240
        return torch.where(small, series, -1 / torch.expm1(-safe) - 1 / safe)

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """Sample by the inverse of the distribution function.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        logits = _float(readout.logits(decoded))
        uniform = torch.empty_like(logits).uniform_(generator=generator)
        # Drawn for −|z|, whose exponential cannot overflow, and mirrored for positive logits.
        safe = -logits.abs().clamp(min=1e-4)
        drawn = torch.log1p(uniform * torch.expm1(safe)) / safe
        return torch.where(logits > 0, 1 - drawn, drawn).clamp(0.0, 1.0)


def _log_normaliser(logits: Tensor) -> Tensor:
    size = logits.abs()
    small = size < NEAR_ZERO
    safe = torch.where(small, 1.0, size)
    squared = logits.square()
    series = math.log(2) + squared / 12 - 7 * squared.square() / 1440 + 31 * squared**3 / 90720
    return torch.where(small, series, safe.log() - torch.tanh(safe / 2).log())


class DiscretisedLogisticMixture:
    """Grey levels 0, 1/(levels − 1), ..., 1. The probability of a level is that of the interval around it under a
    mixture of logistic distributions; the first and last levels include the tails (Salimans et al., "PixelCNN++", ICLR
    2017, section 2.1).

    The readout gives ``numbers`` logits for each value: [batch, numbers · width] for vectors, [batch, numbers ·
    channels, height, width] for images. First come the logits of the mixture weights, then the centres, then the log
    scales, on a scale where black is −1 and white is 1. Centres are initially spaced evenly. Channels are independent
    given the code. Log-probabilities are differences of log-sigmoids, exact in the tails.

    Args:
        components: number of logistic distributions.
        levels: number of grey levels; values are rounded to the nearest one.

    Raises:
        SettingError: no components, or fewer than two levels.
    """

    def __init__(self, components: int = 10, levels: int = 256) -> None:
        if components < 1 or levels < 2:
            raise SettingError(f"{components} components of {levels} levels", expected="at least 1, and at least 2")
        self.components, self.levels = components, levels

    @property
    def numbers(self) -> int:
        """The number of logits for each value."""
        return 3 * self.components

    def __call__(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded).

        Raises:
            SettingError: targets that are not dense, or a readout that gives another number of logits.
        """
        values = dense_values(targets)
        log_shares, centres, log_scales = self._parts(readout, decoded)
        if centres.shape[2:] != values.shape[1:]:
            raise SettingError(
                f"mixtures for {list(centres.shape[2:])} numbers, values of {list(values.shape[1:])}",
                expected=f"{self.numbers} logits for each value",
            )
        level = (values * (self.levels - 1)).round().unsqueeze(1)
        half = 1 / (self.levels - 1)
        distance = level * (2 * half) - 1 - centres
        precision = torch.exp(-log_scales)
        upper, lower = (distance + half) * precision, (distance - half) * precision
        # σ(b) − σ(a) = σ(b) σ(−a) (1 − exp(a − b)); the first and last levels include the tails.
        first, last = level <= 0, level >= self.levels - 1
        between = torch.log(-torch.expm1(-2 * half * precision))
        log_mass = F.logsigmoid(upper).masked_fill(last, 0.0) + F.logsigmoid(-lower).masked_fill(first, 0.0)
        log_mass = log_mass + between.masked_fill(first | last, 0.0)
        return (log_shares + log_mass).logsumexp(1).flatten(1).sum(1)

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """Expected values in [0, 1], exact up to rounding to levels (less than half a level)."""
        log_shares, centres, log_scales = self._parts(readout, decoded)
        scales = log_scales.exp()
        # ∫ P(X > t) dt from black to white, of each component.
        above = scales * (F.softplus((centres + 1) / scales) - F.softplus((centres - 1) / scales))
        return 0.5 * (log_shares.exp() * above).sum(1)

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """One level for each value.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        log_shares, centres, log_scales = self._parts(readout, decoded)
        noise = torch.empty_like(log_shares).exponential_(generator=generator)
        chosen = (log_shares - noise.log()).argmax(1, keepdim=True)
        centre, scale = centres.gather(1, chosen)[:, 0], log_scales.gather(1, chosen)[:, 0].exp()
        uniform = torch.empty_like(centre).uniform_(1e-6, 1 - 1e-6, generator=generator)
        drawn = (0.5 * (centre + scale * torch.logit(uniform) + 1)).clamp(0.0, 1.0)
        return (drawn * (self.levels - 1)).round() / (self.levels - 1)

    def _parts(self, readout: Readout, decoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log shares, centres and log scales, each [batch, components, ...]."""
        logits = _float(readout.logits(decoded))
        if logits.shape[1] % self.numbers:
            raise SettingError(f"a readout of {logits.shape[1]} logits", expected=f"a multiple of {self.numbers}")
        shape = (len(logits), self.numbers, logits.shape[1] // self.numbers, *logits.shape[2:])
        shares, centres, scales = logits.reshape(shape).chunk(3, 1)
        ends = 1 - 1 / self.components
        starts = torch.linspace(-ends, ends, self.components, device=logits.device)
        centres = centres + starts.view(1, -1, *(1,) * (centres.dim() - 2))
        return shares.log_softmax(1), centres, LOWEST_LOG_SCALE + F.softplus(scales - LOWEST_LOG_SCALE)


def _float(logits: Tensor) -> Tensor:
    """fp32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
