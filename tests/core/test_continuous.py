"""Likelihoods of dense numbers are those of torch.distributions, in every shape, and learn the spread of the data."""

import math

import pytest
import torch
from torch import distributions

from isthmus.batch import Bags, Values
from isthmus.core.likelihoods.continuous import (
    Gaussian,
    Laplace,
    LearnedGaussian,
    LearnedLaplace,
    LearnedScale,
    OptimalGaussian,
)
from isthmus.core.likelihoods.discrete import Bernoulli
from isthmus.errors import SettingError

SHAPES = [(7,), (2, 3, 5)]


class Given:
    """A readout whose logits are the decoded state itself."""

    def logits(self, decoded, columns=None):
        return decoded


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


def with_scale(likelihood, raw):
    with torch.no_grad():
        likelihood.log_scale.raw.copy_(raw)
    return likelihood


@pytest.mark.parametrize("shape", SHAPES)
def test_fixed_likelihoods_are_those_of_torch_in_every_shape(shape):
    logits, values = numbers(4, *shape), numbers(4, *shape, seed=1)
    bits = (values > 0).float()
    cases = [
        (Gaussian(0.3), distributions.Normal(logits, 0.3), values),
        (Laplace(0.3), distributions.Laplace(logits, 0.3), values),
        (Bernoulli(), distributions.Bernoulli(logits=logits), bits),
    ]
    for likelihood, reference, targets in cases:
        expected = reference.log_prob(targets).flatten(1).sum(1)
        torch.testing.assert_close(likelihood(Given(), logits, Values(targets)), expected)
        torch.testing.assert_close(likelihood.mean(Given(), logits), reference.mean)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("per", ["shared", "number", "first axis"])
def test_learned_scales_are_those_of_torch_and_receive_gradients(shape, per):
    sizes = {"shared": (), "number": shape, "first axis": (shape[0], *(1,) * (len(shape) - 1))}[per]
    logits, values = numbers(4, *shape), numbers(4, *shape, seed=1)
    for make, family in ((LearnedGaussian, distributions.Normal), (LearnedLaplace, distributions.Laplace)):
        likelihood = with_scale(make(sizes), 0.5 * numbers(*sizes, seed=2))
        actual = likelihood(Given(), logits, Values(values))
        expected = family(logits, likelihood.log_scale().exp()).log_prob(values).flatten(1).sum(1)
        torch.testing.assert_close(actual, expected)
        actual.sum().backward()
        assert bool((likelihood.log_scale.raw.grad != 0).all())


@pytest.mark.parametrize(
    "likelihood", [Gaussian(0.3), Laplace(0.3), LearnedGaussian((1,)), LearnedLaplace((1,)), OptimalGaussian().eval()]
)
def test_densities_integrate_to_one(likelihood):
    grid = torch.linspace(-40, 40, 200_001)[:, None]
    log_probs = likelihood(Given(), torch.full_like(grid, 0.4), Values(grid))
    assert torch.trapezoid(log_probs.double().exp(), grid[:, 0].double()).item() == pytest.approx(1, abs=1e-4)


def test_a_scale_starts_near_one_and_never_reaches_zero():
    scale = LearnedScale((2,))
    torch.testing.assert_close(scale().exp(), torch.ones(2), atol=0.01, rtol=0)
    with torch.no_grad():
        scale.raw.fill_(-1e3)
    assert bool((scale() >= -6.0).all())


def test_training_finds_the_spread_of_each_column():
    values = Values(torch.tensor([0.1, 1.0, 5.0]) * numbers(2000, 3))
    likelihood = LearnedGaussian((3,))
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-likelihood(Given(), torch.zeros(2000, 3), values).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(likelihood.log_scale().exp(), values.values.square().mean(0).sqrt(), rtol=0.02, atol=0)


def test_one_noisy_column_does_not_drown_the_others():
    """The norm of residuals ranks by the noisy column; a scale for each column sees what is odd in the quiet one."""
    likelihood = with_scale(LearnedGaussian((2,)), torch.tensor([math.log(0.1), math.log(10.0)]))
    rows = Values(torch.tensor([[0.0, 15.0], [1.0, 0.0]]))
    noisy, odd = likelihood(Given(), torch.zeros(2, 2), rows)
    assert odd < noisy


@pytest.mark.parametrize("shape", SHAPES)
def test_the_optimal_scale_is_the_best_one_for_the_batch(shape):
    logits, values = numbers(6, *shape).requires_grad_(), 3 * numbers(6, *shape, seed=1)
    actual = OptimalGaussian()(Given(), logits, Values(values)).sum()
    scale = (values - logits).square().mean().sqrt()
    width, rows = values[0].numel(), len(values)
    closed = -0.5 * rows * width * (torch.log(2 * math.pi * scale.square()) + 1)
    torch.testing.assert_close(actual, closed)
    for ours, theirs in zip(*(torch.autograd.grad(total, logits) for total in (actual, closed)), strict=True):
        torch.testing.assert_close(ours, theirs)
    for factor in (0.9, 1.1):
        other = distributions.Normal(logits, (factor * scale).item()).log_prob(values).sum()
        assert other < actual


def test_afterwards_a_row_does_not_depend_on_the_rows_beside_it():
    likelihood, logits = OptimalGaussian(), torch.zeros(50, 4)
    batches = [Values(2 * numbers(50, 4, seed=seed)) for seed in range(20)]
    for batch in batches:
        likelihood(Given(), logits, batch)
    likelihood.eval()
    average = torch.stack([batch.values.square().mean() for batch in batches]).mean()
    torch.testing.assert_close(likelihood.variance, average)
    whole = likelihood(Given(), logits, batches[0])
    single = torch.cat([likelihood(Given(), logits[:1], Values(row[None])) for row in batches[0].values])
    torch.testing.assert_close(single, whole)
    torch.testing.assert_close(likelihood(Given(), logits, batches[0]), whole)


def test_a_perfect_batch_stays_finite():
    assert bool(OptimalGaussian()(Given(), torch.ones(3, 2), Values(torch.ones(3, 2))).isfinite().all())


@pytest.mark.parametrize(
    ("likelihood", "deviation"),
    [
        (Laplace(0.5), 0.5 * math.sqrt(2)),
        (with_scale(LearnedGaussian(), torch.tensor(math.log(2.0))), 2.0),
        (with_scale(LearnedLaplace(), torch.tensor(math.log(2.0))), 2.0 * math.sqrt(2)),
        (OptimalGaussian(), 1.0),
    ],
    ids=["laplace", "gaussian", "learned laplace", "optimal"],
)
def test_samples_have_the_mean_and_the_spread_they_claim(likelihood, deviation):
    logits = torch.tensor([[-1.0, 0.0, 2.0]]).expand(40_000, -1)
    drawn = likelihood.sample(Given(), logits, generator())
    torch.testing.assert_close(drawn.mean(0), logits[0], atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.full((3,), deviation), atol=0, rtol=0.03)


@pytest.mark.parametrize(
    "likelihood", [Gaussian(), LearnedGaussian(), OptimalGaussian(), Laplace(), LearnedLaplace(), Bernoulli()]
)
def test_twice_the_pixels_are_twice_the_distortion(likelihood):
    """Nats are summed over a record, never averaged: the rate keeps its price."""
    logits, values = numbers(3, 1, 4, 4), (numbers(3, 1, 4, 4, seed=1) > 0).float()
    once = likelihood(Given(), logits, Values(values))
    twice = likelihood(Given(), torch.cat([logits, logits], 3), Values(torch.cat([values, values], 3)))
    torch.testing.assert_close(twice, 2 * once)


def test_what_makes_no_sense_is_refused():
    bags = Bags(torch.zeros(1, dtype=torch.int64), torch.tensor([0, 1]), torch.ones(1))
    for likelihood in (LearnedGaussian(), OptimalGaussian(), Laplace(), LearnedLaplace()):
        with pytest.raises(SettingError, match="Bags"):
            likelihood(Given(), torch.zeros(1, 1), bags)
        with pytest.raises(SettingError, match="one logit"):
            likelihood(Given(), torch.zeros(2, 3), Values(torch.zeros(2, 4)))
    with pytest.raises(SettingError, match="scale"):
        Laplace(0.0)
