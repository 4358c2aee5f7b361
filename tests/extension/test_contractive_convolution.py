"""A contractive convolutional encoder from outside, with a penalty of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from extending import CODE, generator
from torch import nn

from isthmus.batch import Batch, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.readouts import LinearReadout


class ConvEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        g = generator(4)
        self.kernel = nn.Parameter(0.5 * torch.randn(2, 1, 3, 3, generator=g))
        self.out = nn.Parameter(torch.randn(32, CODE, generator=g) / 5)

    def enter(self, inputs):
        return inputs.values

    def trunk(self, entered, inputs):
        return torch.tanh(nn.functional.conv2d(entered, self.kernel, padding=1, stride=2)).flatten(1) @ self.out


def contractive(step):
    """Hutchinson's estimate of ‖∂hidden/∂entered‖²_F: E ‖vᵀJ‖² for v ~ N(0, 1)."""
    encoder, inputs = step.model.encoder, step.batch.inputs
    entered = encoder.enter(inputs).detach().requires_grad_()
    hidden = encoder.trunk(entered, inputs)
    v = torch.empty_like(hidden).normal_(generator=step.generator)
    (grad,) = torch.autograd.grad(hidden, entered, v, create_graph=True)
    return {"contraction": grad.flatten(1).square().sum(1).mean()}


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.readout = LinearReadout(CODE, 64, generator=generator())

    def logits(self, decoded, columns=None):
        return self.readout.logits(decoded, columns).view(-1, 1, 8, 8)


class PixelGaussian:
    def __call__(self, readout, decoded, targets, *, generator=None):
        return -0.5 * (readout.logits(decoded) - targets.values).square().flatten(1).sum(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded)

    def sample(self, readout, decoded, generator):
        return readout.logits(decoded)


def image_batch(rows=3):
    images = Values(torch.randn(rows, 1, 8, 8, generator=generator(9)))
    return Batch(torch.arange(rows), images, images)


def test_contractive_convolutional_encoder():
    model = Autoencoder(
        encoder=ConvEncoder(),
        bottleneck=Deterministic(),
        decoder=lambda sample, given: sample,
        readout=Flat(),
        likelihood=PixelGaussian(),
        penalties=[contractive],
    )
    batch = image_batch()
    loss = model.loss(model.step(batch, generator=generator()))
    loss.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    jacobian = torch.autograd.functional.jacobian(lambda x: model.encoder.trunk(x, None).sum(0), batch.inputs.values)
    exact = jacobian.square().sum() / 3
    estimates = [contractive(model.step(batch, generator=generator(s)))["contraction"].item() for s in range(400)]
    assert np.mean(estimates) == pytest.approx(exact.item(), rel=0.1)
