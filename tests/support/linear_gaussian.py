"""A model whose every quantity is known: probabilistic PCA (Tipping & Bishop 1999) from the library's parts.

z ~ N(0, 1), x | z ~ N(W z + b, s²). Columns of W are orthogonal, so that the true posterior N(M⁻¹ Wᵀ (x − b), s² M⁻¹),
M = WᵀW + s², is diagonal and a Gaussian bottleneck can hold it.
"""

from __future__ import annotations

import math

import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout

WIDTH = 6
NOISE = 0.5
LOADS = (2.0, 1.0, 0.5)
"""Norms of the columns of W."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def loadings():
    orthogonal = torch.linalg.qr(torch.randn(WIDTH, len(LOADS), generator=generator(1)))[0]
    return orthogonal * torch.tensor(LOADS), torch.linspace(-1, 1, WIDTH)


def linear_gaussian(shift=0.0, widen=1.0):
    """The model; its posterior is the true one, but for a shift of its means and a factor on its scales."""
    g, code = generator(), len(LOADS)
    W, b = loadings()
    model = Autoencoder(
        encoder=DenseEncoder(WIDTH, (), generator=g),
        bottleneck=Gaussian(WIDTH, code, generator=g),
        prior=StandardNormal(code),
        decoder=DenseDecoder(code, generator=g),
        readout=LinearReadout(code, WIDTH, generator=g),
        likelihood=GaussianLikelihood(NOISE),
    )
    precision = W.square().sum(0) + NOISE**2
    with torch.no_grad():
        model.readout.weight.copy_(W)
        model.readout.bias.copy_(b)
        model.bottleneck.mean.weight.copy_(W.T / precision[:, None])
        model.bottleneck.mean.bias.copy_(shift - (W.T / precision[:, None]) @ b)
        model.bottleneck.log_scale.weight.zero_()
        model.bottleneck.log_scale.bias.copy_((NOISE / precision.sqrt() * widen).log())
    return model.eval()


def draws(n, seed=5):
    """Records of the model itself."""
    g = generator(seed)
    W, b = loadings()
    return torch.randn(n, len(LOADS), generator=g) @ W.T + b + NOISE * torch.randn(n, WIDTH, generator=g)


def true_log_prob(x):
    """x ~ N(b, W Wᵀ + s²)."""
    W, b = (part.double() for part in loadings())
    spread = W @ W.T + NOISE**2 * torch.eye(WIDTH, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(b, spread).log_prob(x.double())


def true_information():
    """½ Σ log(1 + |W_i|² / s²): of x and z, and the mean rate of the true posterior over the model's own records."""
    return 0.5 * sum(math.log(1 + load**2 / NOISE**2) for load in LOADS)
