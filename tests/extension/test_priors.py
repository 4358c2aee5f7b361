"""Priors from outside: a mixture with the old posterior in alternating phases, and pseudo-inputs behind ``enter``."""

from __future__ import annotations

import copy
import math

import torch
from extending import CODE, HIDDEN, ITEMS, bag_model, every_parameter_moves, generator, matrix, tiny_plan
from torch import nn

from isthmus.core.bottlenecks.gaussian import DiagonalGaussian, Gaussian
from isthmus.core.corruptions.numbers import Dropout
from isthmus.core.encoders import BagEncoder
from isthmus.core.objectives.elbo import Elbo
from isthmus.protocols import Hook, Phase
from isthmus.sources import BagSource
from isthmus.training.run import Run
from isthmus.training.trainer import train


class CompositePrior(nn.Module):
    """A mixture of N(0, 1), the old posterior, and a wide Gaussian (Shenbin et al. 2020, equation 4)."""

    def __init__(self, encoder, bottleneck, weights=(0.15, 0.75, 0.1)):
        super().__init__()
        self.old = nn.ModuleList([copy.deepcopy(encoder), copy.deepcopy(bottleneck)]).requires_grad_(False)
        self.weights = weights

    def remember(self, model):
        for old, new in zip(self.old, (model.encoder, model.bottleneck), strict=True):
            old.load_state_dict(new.state_dict())

    def log_prob(self, step):
        encoder, bottleneck = self.old
        hidden = encoder.trunk(encoder.enter(step.batch.inputs), step.batch.inputs)
        z, old = step.code.sample, bottleneck(hidden).posterior
        plain = DiagonalGaussian(torch.zeros_like(old.mean), torch.zeros_like(old.log_scale))
        wide = DiagonalGaussian(torch.zeros_like(old.mean), torch.full_like(old.log_scale, 5.0))
        parts = [math.log(w) + d.log_prob(z) for w, d in zip(self.weights, (plain, old, wide), strict=True)]
        return torch.stack(parts).logsumexp(0).view(-1, step.samples)

    def rate(self, step):
        return (step.code.posterior.log_prob(step.code.sample).view(-1, step.samples) - self.log_prob(step)).mean(1)

    def sample(self, n, generator):
        raise NotImplementedError


def test_recvae_composite_prior_and_alternating_phases():
    g = generator()
    encoder, bottleneck = (
        BagEncoder(ITEMS, (HIDDEN,), generator=g, activate_last=True),
        Gaussian(HIDDEN, CODE, generator=g),
    )
    prior = CompositePrior(encoder, bottleneck)
    model = bag_model(
        encoder=encoder,
        bottleneck=bottleneck,
        prior=prior,
        corruption=Dropout(0.5),
        objective=Elbo(lambda step, progress: 0.005 * step.batch.targets.totals()),
    )
    encoding = Phase(2, trainable=("encoder", "bottleneck"), hooks=(Hook("epoch", lambda m: m.prior.remember(m)),))
    decoding = Phase(1, trainable=("decoder", "readout"), corrupt=False)
    fixed = {n: p.clone() for n, p in model.named_parameters() if n.startswith(("decoder", "readout"))}
    source = BagSource.from_csr(matrix())
    train(model, source, tiny_plan(encoding), Run(device="cpu", precision="fp32"))
    assert all(torch.equal(fixed[n], p) for n, p in model.named_parameters() if n in fixed)
    assert torch.equal(prior.old[0].table, model.encoder.table)
    moved = every_parameter_moves(model, source, tiny_plan(encoding, decoding, encoding, decoding))
    assert {n for n, _ in model.named_parameters()} == moved


class VampPrior(nn.Module):
    """A mixture of the posteriors of trained pseudo-inputs (Tomczak & Welling 2018, equation 9)."""

    def __init__(self, count, entered):
        super().__init__()
        self.pseudo = nn.Parameter(torch.randn(count, entered, generator=generator(3)))

    def log_prob(self, step):
        model = step.model
        posterior = model.bottleneck(model.encoder.trunk(self.pseudo, None)).posterior
        z = step.code.sample
        repeated = [
            DiagonalGaussian(m.expand_as(z), s.expand_as(z)).log_prob(z)
            for m, s in zip(posterior.mean, posterior.log_scale, strict=True)
        ]
        return (torch.stack(repeated).logsumexp(0) - math.log(len(repeated))).view(-1, step.samples)

    def rate(self, step):
        return (step.code.posterior.log_prob(step.code.sample).view(-1, step.samples) - self.log_prob(step)).mean(1)

    def sample(self, n, generator):
        raise NotImplementedError


def test_vamp_prior_trains_its_pseudo_inputs():
    model = bag_model(prior=VampPrior(5, HIDDEN))
    moved = every_parameter_moves(model, BagSource.from_csr(matrix()), tiny_plan())
    assert "prior.pseudo" in moved
