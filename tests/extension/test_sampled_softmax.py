"""A likelihood from outside that estimates the softmax."""

from __future__ import annotations

import math

import torch
from extending import ITEMS, bag_batch, bag_model, every_parameter_moves, matrix, tiny_plan

from isthmus.sources import BagSource


class SampledMultinomial:
    """Negatives shared by the batch, logits corrected by −log of their expected count (Bengio & Senécal 2008)."""

    def __init__(self, negatives):
        self.negatives = negatives

    def __call__(self, readout, decoded, targets, *, generator=None):
        chosen = torch.randint(0, ITEMS, (self.negatives,), generator=generator)
        corrected = readout.logits(decoded, chosen) - math.log(self.negatives / ITEMS)
        rows = targets.rows()
        positive = (readout.weight[targets.indices] * decoded[rows]).sum(1) + readout.bias[targets.indices]
        return torch.zeros(targets.size).index_add(0, rows, positive) - targets.totals() * corrected.logsumexp(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded).softmax(1)

    def sample(self, readout, decoded, generator):
        return torch.multinomial(self.mean(readout, decoded), 1, generator=generator)


def test_sampled_softmax_approaches_the_full_one():
    batch = bag_batch()
    full = bag_model().step(batch).log_likelihood
    sampled = bag_model(likelihood=SampledMultinomial(20_000)).step(batch, generator=None).log_likelihood
    torch.testing.assert_close(sampled, full, rtol=0.01, atol=0.1)
    moved = every_parameter_moves(
        bag_model(likelihood=SampledMultinomial(10)), BagSource.from_csr(matrix()), tiny_plan()
    )
    assert "readout.weight" in moved
