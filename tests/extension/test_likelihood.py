"""A likelihood from outside: counts from a Poisson distribution, log λ = logit."""

from __future__ import annotations

import torch
from bridges import generator, vector_bridge

from isthmus.batch import Values
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.tasks.coding import log_likelihoods, reconstructions
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

WIDTH, HIDDEN = 12, 6


class Poisson:
    """x z − exp z − log x!, summed over a row."""

    def __call__(self, readout, decoded, targets, *, generator=None):
        logits, counts = readout.logits(decoded), targets.values
        return (counts * logits - logits.exp() - torch.lgamma(counts + 1)).sum(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded).exp()

    def sample(self, readout, decoded, generator):
        return torch.poisson(self.mean(readout, decoded), generator=generator)


def model():
    return vector_bridge(Projected(HIDDEN, 2, generator=generator(3)), likelihood=Poisson())


def counts(rows: int) -> torch.Tensor:
    """Two sorts of rows, each with a mean of its own for every column."""
    means = torch.rand(2, WIDTH, generator=generator(4)) * 6 + 0.5
    sorts = torch.arange(rows) % 2
    return torch.poisson(means[sorts], generator=generator(5))


def test_it_is_that_of_torch() -> None:
    made, rows = model(), counts(10)
    decoded = made.decode(made.encode(Values(rows)).point)
    wanted = torch.distributions.Poisson(made.readout.logits(decoded).exp()).log_prob(rows).sum(1)
    torch.testing.assert_close(log_likelihoods(made, VectorSource(rows)), wanted.detach())


def test_it_learns_the_mean_of_each_sort() -> None:
    """The most probable λ is the mean of the counts, which a code of two dimensions can tell for two sorts."""
    made, rows = model(), counts(400)
    train(made, VectorSource(rows), Plan((Phase(60),), Shuffled(32), learning_rate=0.02), Run(device="cpu"))
    found = reconstructions(made, VectorSource(rows))
    for sort in (0, 1):
        own, wanted = found[sort::2].mean(0), rows[sort::2].mean(0)
        assert float((own - wanted).abs().max()) < 0.35
    decoded = made.decode(made.encode(Values(rows[:1])).point.expand(4000, -1))
    drawn = made.likelihood.sample(made.readout, decoded, generator(7))
    torch.testing.assert_close(drawn.mean(0), found[0], atol=0.2, rtol=0.05)
