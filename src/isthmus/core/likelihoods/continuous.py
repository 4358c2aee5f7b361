"""Likelihoods of dense numbers with a fixed or learned scale, in nats per record.

Values have any shape [batch, ...]; ``readout.logits`` gives one number for each of them, in the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from isthmus.batch import Bags, Tensors, Values
from isthmus.core.likelihoods.discrete import values_of, weighted_logits, wide
from isthmus.errors import SettingError
from isthmus.protocols import RankingReadout, Readout

LOG_2PI = math.log(2 * math.pi)

LOWEST_LOG_SCALE = -6.0
"""Soft lower bound of learned log scales, so that perfectly predicted parts of the data do not make the density
infinite (Rybkin, Daniilidis & Levine, "Simple and Effective VAE Training with Calibrated Decoders", ICML 2021)."""


class LearnedScale(nn.Module):
    """Trainable standard deviations or scales: one for all numbers, or one for each index along some axes.

    Args:
        shape: a shape that broadcasts against a record: () is one scale for all, (width,) one for each dimension of a
            vector, (channels, 1, 1) one for each channel of an image.
    """

    def __init__(self, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(tuple(shape)))

    def forward(self) -> Float[Tensor, "*shape"]:
        """log of the scale; it starts near 0 and stays above ``LOWEST_LOG_SCALE``."""
        return LOWEST_LOG_SCALE + F.softplus(self.raw - LOWEST_LOG_SCALE)


class LearnedGaussian(nn.Module):
    """N(logits, σ²) with a learned σ, which balances distortion and rate, so that no β has to be tuned (Rybkin et al.,
    ICML 2021). One σ for each dimension keeps noisy columns from dominating the others.

    Args:
        shape: shape of σ, as in ``LearnedScale``.
    """

    def __init__(self, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.log_scale = LearnedScale(shape)

    def forward(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded).

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            targets: the values to score.
            generator: random generator, for likelihoods that are estimated.

        Returns:
            Nats, shape (batch,); higher is more probable.
        """
        return _normal(residuals_of(readout, decoded, targets), self.log_scale())

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The expected value, which is the logits themselves."""
        return wide(readout.logits(decoded))

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """The mean with noise of the learned scale.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        mean = self.mean(readout, decoded)
        scale: Tensor = self.log_scale().exp()
        return mean + scale * torch.empty_like(mean).normal_(generator=generator)


class OptimalGaussian(nn.Module):
    """N(logits, σ²) with the maximum likelihood σ² of the batch, its mean squared residual (Rybkin et al., ICML 2021,
    section 3.3: the optimal σ-VAE). Nothing has to be learned or tuned.

    Outside training a running average of σ² is used, so that the likelihood of a row does not depend on the other rows;
    before any training it is 1.
    """

    momentum = 0.01
    # Perfectly predicted parts of the data would make the density infinite.
    floor = math.exp(2 * LOWEST_LOG_SCALE)

    def __init__(self) -> None:
        super().__init__()
        self.variance: Tensor
        self.batches: Tensor
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded).

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            targets: the values to score.
            generator: random generator, for likelihoods that are estimated.

        Returns:
            Nats, shape (batch,); higher is more probable.
        """
        residuals = residuals_of(readout, decoded, targets)
        variance = self._followed(residuals.detach()) if self.training else self.variance
        # At the optimal σ² the derivative of the likelihood with respect to it is 0.
        return _normal(residuals, 0.5 * variance.log())

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The expected value, which is the logits themselves."""
        return wide(readout.logits(decoded))

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """The mean with noise of the running scale.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        mean = self.mean(readout, decoded)
        return mean + self.variance.sqrt() * torch.empty_like(mean).normal_(generator=generator)

    def _followed(self, residuals: Tensor) -> Tensor:
        """The σ² of the batch; also updates the running average."""
        variance = residuals.square().mean().clamp(min=self.floor)
        self.batches += 1
        # The first batches are averaged with equal weights, so that a short training has a good estimate.
        self.variance.lerp_(variance, (1 / self.batches).clamp(min=self.momentum).to(variance))
        return variance


class Laplace(nn.Module):
    """Laplace(logits, scale): −|x − z| / s − log 2s. Its heavy tails make it robust to outliers; the optimal prediction
    is the median.

    Args:
        scale: mean absolute deviation, fixed.

    Raises:
        SettingError: a scale that is not positive.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:
            raise SettingError(f"scale {scale}", expected="a positive mean absolute deviation")
        self.log_scale = math.log(scale)

    def forward(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded).

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            targets: the values to score.
            generator: random generator, for likelihoods that are estimated.

        Returns:
            Nats, shape (batch,); higher is more probable.
        """
        residuals = residuals_of(readout, decoded, targets)
        return _laplace(residuals, residuals.new_tensor(self.log_scale))

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The expected value, which is the logits themselves."""
        return wide(readout.logits(decoded))

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """The mean with two-sided exponential noise.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        mean = self.mean(readout, decoded)
        return mean + math.exp(self.log_scale) * _two_sided(mean, generator)


class LearnedLaplace(nn.Module):
    """Laplace(logits, s) with a learned s of a shape as in ``LearnedScale``."""

    def __init__(self, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.log_scale = LearnedScale(shape)

    def forward(
        self, readout: Readout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded).

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            targets: the values to score.
            generator: random generator, for likelihoods that are estimated.

        Returns:
            Nats, shape (batch,); higher is more probable.
        """
        return _laplace(residuals_of(readout, decoded, targets), self.log_scale())

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The expected value, which is the logits themselves."""
        return wide(readout.logits(decoded))

    @torch.no_grad()
    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """The mean with two-sided exponential noise of the learned scale.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        mean = self.mean(readout, decoded)
        scale: Tensor = self.log_scale().exp()
        return mean + scale * _two_sided(mean, generator)


def _normal(residuals: Tensor, log_scale: Tensor) -> Float[Tensor, " batch"]:
    return (-0.5 * (residuals * torch.exp(-log_scale)).square() - log_scale - 0.5 * LOG_2PI).flatten(1).sum(1)


def _laplace(residuals: Tensor, log_scale: Tensor) -> Float[Tensor, " batch"]:
    return (-residuals.abs() * torch.exp(-log_scale) - log_scale - math.log(2)).flatten(1).sum(1)


def _two_sided(like: Tensor, generator: Generator) -> Tensor:
    """Samples of Laplace(0, 1), the difference of two exponential variables."""
    one, other = (torch.empty_like(like).exponential_(generator=generator) for _ in range(2))
    return one - other


def residuals_of(readout: Readout, decoded: Tensor, targets: Tensors) -> Tensor:
    """Values minus logits, in fp32 at least."""
    values, logits = dense_values(targets), readout.logits(decoded)
    if logits.shape != values.shape:
        raise SettingError(
            f"a readout of {list(logits.shape[1:])} for values of {list(values.shape[1:])}",
            expected="one logit for each value",
        )
    return values - wide(logits)


def dense_values(targets: Tensors) -> Float[Tensor, "batch ..."]:
    """The numbers of dense targets.

    Raises:
        SettingError: bags or token rows.
    """
    if not isinstance(targets, Values):
        raise SettingError(f"this likelihood of {type(targets).__name__}", expected="dense values")
    return targets.values


class Gaussian:
    """N(logits, scale²) in each dimension, for values of any shape. For bags, the sum of squares of all logits is
    computed from the Gram matrix of the readout, Σ_i z_i² = dᵀ WᵀW d + 2 dᵀ Wᵀb + bᵀb, so that zeros cost nothing.

    Args:
        scale: the standard deviation, fixed.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise SettingError(f"scale {scale}", expected="a positive standard deviation")
        self.scale = scale

    def __call__(
        self, readout: Any, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded)."""
        if isinstance(targets, Bags):
            own = targets.reweighted(targets.weights.square()).totals()
            squares: Tensor = _square_sum(readout, decoded) - 2 * weighted_logits(readout, decoded, targets) + own
            width: int = len(readout.weight)
        else:
            logits = wide(readout.logits(decoded))
            # One operation forward and one backward: small networks spend their time on the number of operations.
            each = F.mse_loss(logits, values_of(targets).to(logits.dtype), reduction="none").flatten(1)
            squares, width = each.sum(1), each.shape[1]
        constant = width * (math.log(self.scale) + 0.5 * LOG_2PI)
        log_likelihood: Tensor = squares * (-0.5 / self.scale**2) - constant
        return log_likelihood

    @torch.no_grad()
    def descent(
        self, logits: Float[Tensor, "batch width"], targets: Tensors
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch width"]]:
        """The mean of −log p over the rows in nats, and its gradient at the logits.

        Args:
            logits: of all numbers.
            targets: the values to score.
        """
        residuals = logits - dense_values(targets)
        rows, width = residuals.shape
        flat = residuals.view(-1)
        constant = width * (math.log(self.scale) + 0.5 * LOG_2PI)
        nats = torch.dot(flat, flat) * (0.5 / (rows * self.scale**2)) + constant
        return nats, residuals.mul_(1 / (rows * self.scale**2))

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The expected value, which is the logits themselves."""
        return wide(readout.logits(decoded))

    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """The mean with noise of the fixed scale.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        mean = self.mean(readout, decoded)
        return mean + self.scale * torch.empty_like(mean).normal_(generator=generator)


def _square_sum(readout: RankingReadout, decoded: Tensor) -> Float[Tensor, " batch"]:
    """Σ_i z_i² over all columns."""
    weight, bias = readout.weight, readout.bias
    return ((decoded @ (weight.T @ weight)) * decoded).sum(1) + 2 * decoded @ (weight.T @ bias) + bias.square().sum()
