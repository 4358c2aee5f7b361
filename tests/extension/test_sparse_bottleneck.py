"""A sparse bottleneck from outside, with a loss that revives its dead units, for every likelihood."""

from __future__ import annotations

import pytest
import torch
from extending import HIDDEN, ITEMS, bag_batch, bag_model, every_parameter_moves, generator, matrix, tiny_plan
from torch import nn

from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder
from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood
from isthmus.core.likelihoods.discrete import Bernoulli, Multinomial
from isthmus.protocols import Code
from isthmus.sources import BagSource


class TopK(nn.Module):
    """Keeps the k largest pre-activations (Makhzani & Frey 2013; Gao et al. 2024)."""

    def __init__(self, k):
        super().__init__()
        self.k = k
        self.register_buffer("idle", torch.zeros(HIDDEN))

    def forward(self, hidden, *, generator=None, samples=1):
        values, places = hidden.topk(self.k, 1)
        code = torch.zeros_like(hidden).scatter(1, places, values.relu())
        if generator is not None:
            self.idle = torch.where((code > 0).any(0), 0.0, self.idle + 1)
        return Code(code, code.repeat_interleave(samples, 0), None, {"before": hidden})


def revive(step):
    """−log p(x | decoder(stop_gradient(z) + z_dead)), for every likelihood alike."""
    dead = (step.model.bottleneck.idle > 0) * step.code.notes["before"].relu()
    decoded = step.model.decode(step.code.sample.detach() + dead, step.batch)
    return {"dead": -0.03 * step.model.likelihood(step.model.readout, decoded, step.batch.targets).mean()}


@pytest.mark.parametrize("likelihood", [Multinomial(), Bernoulli(), GaussianLikelihood()])
def test_topk_auxiliary_loss_works_for_every_likelihood(likelihood):
    g = generator()
    model = bag_model(
        encoder=BagEncoder(ITEMS, (HIDDEN,), generator=g),
        bottleneck=TopK(2),
        prior=None,
        decoder=DenseDecoder(HIDDEN, generator=g),
        likelihood=likelihood,
        penalties=[revive],
    )
    step = model.step(bag_batch(), generator=generator())
    assert (step.code.point > 0).sum(1).max() <= 2
    loss = model.loss(step)
    assert "dead" in loss.terms
    assert torch.isfinite(loss.total)
    assert every_parameter_moves(model, BagSource.from_csr(matrix()), tiny_plan()) >= {
        "encoder.table",
        "readout.weight",
    }
