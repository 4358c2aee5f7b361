"""A residual denoiser from outside: the decoder reads the corrupted input."""

from __future__ import annotations

import torch
from extending import CODE, every_parameter_moves, generator, tiny_plan
from torch import nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.corruptions.numbers import GaussianNoise
from isthmus.core.encoders import DenseEncoder
from isthmus.core.priors.normal import NoPrior
from isthmus.sources import VectorSource


class Residual(nn.Module):
    """Predicts the noise and subtracts it from what came in: x̂ = y − f(z)."""

    def __init__(self, width):
        super().__init__()
        self.noise = nn.Parameter(torch.zeros(CODE, width))

    def forward(self, sample, given):
        return given.inputs.values - sample @ self.noise


class AsIs:
    def logits(self, decoded, columns=None):
        return decoded


class UnitGaussian:
    def __call__(self, readout, decoded, targets, *, generator=None):
        return -0.5 * (decoded - targets.values).square().sum(1)

    def mean(self, readout, decoded):
        return decoded

    def sample(self, readout, decoded, generator):
        return decoded


def test_residual_denoiser_sees_the_corrupted_input():
    values = torch.randn(12, 10, generator=generator())
    model = Autoencoder(
        encoder=DenseEncoder(10, (CODE,), generator=generator()),
        bottleneck=Deterministic(),
        decoder=Residual(10),
        readout=AsIs(),
        likelihood=UnitGaussian(),
        corruption=GaussianNoise(0.5),
    )
    source = VectorSource(values)
    noisy = model.step(source.batch(torch.arange(12)), generator=generator(1))
    clean = model.step(source.batch(torch.arange(12)))
    # The noise is zero at the start, so that the output is the input as the encoder got it.
    assert not torch.allclose(noisy.decoded, values)
    torch.testing.assert_close(clean.decoded, values)
    assert every_parameter_moves(model, source, tiny_plan()) >= {"decoder.noise"}
    assert isinstance(model.prior, NoPrior)
