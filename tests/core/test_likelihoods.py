"""Each likelihood over bags equals itself over the dense row, and torch's own distributions."""

import pytest
import torch
from torch import distributions

from isthmus.batch import Bags, TokenRows, Values
from isthmus.core.likelihoods import discrete
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.likelihoods.discrete import Bernoulli, Multinomial
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError

ITEMS, HIDDEN = 23, 4
TARGETS = Bags(torch.tensor([1, 5, 9, 22, 0]), torch.tensor([0, 3, 3, 5]), torch.ones(5))


def setup():
    g = torch.Generator().manual_seed(0)
    readout = LinearReadout(HIDDEN, ITEMS, generator=g)
    return readout, torch.randn(3, HIDDEN, generator=g)


def dense():
    return torch.zeros(3, ITEMS).index_put_((TARGETS.rows(), TARGETS.indices), TARGETS.weights)


def reference(likelihood, logits):
    if isinstance(likelihood, Multinomial):
        return (dense() * logits.log_softmax(1)).sum(1)
    if isinstance(likelihood, Bernoulli):
        return distributions.Bernoulli(logits=logits).log_prob(dense()).sum(1)
    return distributions.Normal(logits, likelihood.scale).log_prob(dense()).sum(1)


@pytest.mark.parametrize("likelihood", [Multinomial(), Bernoulli(), Gaussian(), Gaussian(0.3)])
def test_over_bags_equals_the_distribution_over_dense_rows(likelihood, monkeypatch):
    monkeypatch.setattr(discrete, "COLUMNS", 7)
    readout, decoded = setup()
    expected = reference(likelihood, readout.logits(decoded))
    actual = likelihood(readout, decoded, TARGETS)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-4)
    ours = torch.autograd.grad(actual.sum(), tuple(readout.parameters()))
    theirs = torch.autograd.grad(expected.sum(), tuple(readout.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_over_values_equals_the_distribution(likelihood):
    readout, decoded = setup()
    actual = likelihood(readout, decoded, Values(dense()))
    torch.testing.assert_close(actual, reference(likelihood, readout.logits(decoded)))


@pytest.mark.parametrize("likelihood", [Multinomial(), Bernoulli(), Gaussian(0.5)])
def test_samples_have_the_mean_they_claim(likelihood):
    readout, decoded = setup()
    repeated = decoded[:1].expand(20_000, -1)
    drawn = likelihood.sample(readout, repeated, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), likelihood.mean(readout, decoded[:1])[0], atol=0.02, rtol=0)


def test_signals_that_make_no_sense_are_refused():
    readout, decoded = setup()
    tokens = TokenRows(torch.zeros(3, 2, dtype=torch.int64), torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(SettingError, match="TokenRows"):
        Multinomial()(readout, decoded, tokens)
    with pytest.raises(SettingError, match="TokenRows"):
        Bernoulli()(readout, decoded, tokens)
    with pytest.raises(SettingError, match="scale"):
        Gaussian(0.0)
