"""Likelihoods between black and white against their definitions, and against sums and integrals over all there is."""

import pytest
import torch
from torch import distributions

from isthmus.batch import Bags, Values
from isthmus.core.likelihoods.unit_interval import ContinuousBernoulli, DiscretisedLogisticMixture
from isthmus.errors import SettingError

LOGITS = torch.tensor([-40.0, -8.0, -1.0, -0.51, -0.49, -0.1, -1e-4, 0.0, 1e-4, 0.2, 0.49, 0.51, 3.0, 40.0])


class Given:
    """A readout whose logits are the decoded state itself."""

    def logits(self, decoded, columns=None):
        return decoded


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_continuous_bernoulli_is_a_density():
    """The plain Bernoulli is none: at logit 0 it integrates to one half."""
    grid = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:, None]
    for logit in LOGITS.double():
        log_probs = ContinuousBernoulli()(Given(), logit.expand(len(grid), 1), Values(grid))
        assert torch.trapezoid(log_probs.exp(), grid[:, 0]).item() == pytest.approx(1, rel=1e-5)


def test_the_continuous_bernoulli_is_that_of_torch():
    """In double precision, which torch's clamped probabilities need."""
    values = torch.rand(5, len(LOGITS), generator=generator(), dtype=torch.float64)
    logits = LOGITS.double().expand(5, -1)[:, 1:-1]
    reference = distributions.ContinuousBernoulli(logits=logits)
    actual = ContinuousBernoulli()(Given(), logits, Values(values[:, 1:-1]))
    torch.testing.assert_close(actual, reference.log_prob(values[:, 1:-1]).sum(1), rtol=0, atol=1e-4)
    torch.testing.assert_close(ContinuousBernoulli().mean(Given(), logits), reference.mean, rtol=1e-4, atol=0)


def test_its_gradient_is_finite_everywhere_and_moves_the_mean_to_the_value():
    logits = LOGITS[None].clone().requires_grad_()
    values = torch.full_like(logits, 0.3)
    ContinuousBernoulli()(Given(), logits, Values(values)).sum().backward()
    # d log p / dz = x − E x, as in every exponential family.
    torch.testing.assert_close(
        logits.grad, 0.3 - ContinuousBernoulli().mean(Given(), logits.detach()), atol=2e-5, rtol=0
    )


def test_samples_of_the_continuous_bernoulli_have_its_mean_and_stay_inside():
    logits = LOGITS.expand(40_000, -1)
    drawn = ContinuousBernoulli().sample(Given(), logits, generator())
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    expected = ContinuousBernoulli().mean(Given(), LOGITS[None])[0]
    torch.testing.assert_close(drawn.mean(0), expected, atol=0.006, rtol=0)


def mixture_logits(likelihood, rows=1, width=1, seed=0, spread=1.0):
    logits = torch.randn(rows, likelihood.numbers * width, generator=generator(seed))
    return spread * logits


@pytest.mark.parametrize(("levels", "components"), [(2, 1), (4, 3), (256, 1), (256, 10)])
@pytest.mark.parametrize("spread", [1.0, 6.0])
def test_the_chances_of_all_levels_add_up_to_one(levels, components, spread):
    likelihood = DiscretisedLogisticMixture(components, levels)
    logits = mixture_logits(likelihood, spread=spread).expand(levels, -1)
    every = torch.linspace(0, 1, levels)[:, None]
    log_probs = likelihood(Given(), logits, Values(every))
    assert log_probs.double().exp().sum().item() == pytest.approx(1, abs=1e-4)


def plain(logits, values, components, levels):
    """One number at a time, from the distribution function, in double precision."""
    shares, centres, scales = logits.double().view(len(logits), 3, components, -1).unbind(1)
    ends = 1 - 1 / components
    centres = centres + torch.linspace(-ends, ends, components, dtype=torch.float64)[:, None]
    scales = (-7 + torch.nn.functional.softplus(scales + 7)).exp()
    x = 2 * values.double()[:, None] - 1
    half = 1 / (levels - 1)
    above = torch.where(x > 1 - half, 1.0, torch.sigmoid((x + half - centres) / scales))
    below = torch.where(x < -1 + half, 0.0, torch.sigmoid((x - half - centres) / scales))
    return ((above - below) * shares.softmax(1)).sum(1).log().sum(1)


def test_the_mixture_is_a_difference_of_distribution_functions():
    likelihood = DiscretisedLogisticMixture(4, 16)
    logits = mixture_logits(likelihood, rows=6, width=5)
    values = torch.randint(0, 16, (6, 5), generator=generator(1)) / 15
    actual = likelihood(Given(), logits, Values(values))
    torch.testing.assert_close(actual.double(), plain(logits, values, 4, 16), rtol=1e-4, atol=1e-4)


def test_far_from_every_centre_the_nats_go_on():
    """A difference of two rounded sigmoids is 0 there, and its log is cut off at some constant."""
    likelihood = DiscretisedLogisticMixture(1)
    logits = torch.tensor([[0.0, 0.9, -6.0]]).requires_grad_()
    log_prob = likelihood(Given(), logits, Values(torch.tensor([[0.1]])))
    assert log_prob.item() < -400
    log_prob.backward()
    assert bool((logits.grad[0, 1:] != 0).all())


def test_images_have_the_likelihood_of_their_pixels():
    likelihood = DiscretisedLogisticMixture(2)
    logits = torch.randn(3, likelihood.numbers * 2, 4, 5, generator=generator())
    values = torch.randint(0, 256, (3, 2, 4, 5), generator=generator(1)) / 255
    whole = likelihood(Given(), logits, Values(values))
    numbers = logits.view(3, likelihood.numbers, 2 * 4 * 5).flatten(1)
    torch.testing.assert_close(whole, likelihood(Given(), numbers, Values(values.flatten(1))))
    assert likelihood.mean(Given(), logits).shape == values.shape
    assert likelihood.sample(Given(), logits, generator()).shape == values.shape


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_the_mean_of_a_mixture_is_that_of_its_levels(spread):
    likelihood = DiscretisedLogisticMixture(3, 64)
    logits = mixture_logits(likelihood, seed=3, spread=spread)
    every = torch.linspace(0, 1, 64)[:, None]
    chances = likelihood(Given(), logits.expand(64, -1), Values(every)).exp()
    expected = (chances * every[:, 0]).sum()
    assert likelihood.mean(Given(), logits).item() == pytest.approx(expected.item(), abs=0.5 / 63)
    drawn = likelihood.sample(Given(), logits.expand(20_000, -1), generator())
    assert drawn.mean().item() == pytest.approx(expected.item(), abs=0.01)
    torch.testing.assert_close(drawn * 63, (drawn * 63).round())


def test_twice_the_pixels_are_twice_the_distortion():
    likelihood = DiscretisedLogisticMixture(2)
    logits = torch.randn(2, likelihood.numbers, 3, 3, generator=generator())
    values = torch.randint(0, 256, (2, 1, 3, 3), generator=generator(1)) / 255
    for part in (likelihood, ContinuousBernoulli()):
        given = logits if part is likelihood else logits[:, :1]
        once = part(Given(), given, Values(values))
        twice = part(Given(), torch.cat([given, given], 2), Values(torch.cat([values, values], 2)))
        torch.testing.assert_close(twice, 2 * once)


def test_what_makes_no_sense_is_refused():
    bags = Bags(torch.zeros(1, dtype=torch.int64), torch.tensor([0, 1]), torch.ones(1))
    for likelihood in (ContinuousBernoulli(), DiscretisedLogisticMixture(2)):
        with pytest.raises(SettingError, match="Bags"):
            likelihood(Given(), torch.zeros(1, 6), bags)
    with pytest.raises(SettingError, match="multiple of 6"):
        DiscretisedLogisticMixture(2)(Given(), torch.zeros(1, 7), Values(torch.zeros(1, 1)))
    with pytest.raises(SettingError, match="6 logits for each"):
        DiscretisedLogisticMixture(2)(Given(), torch.zeros(1, 12), Values(torch.zeros(1, 1)))
    for components, levels in ((0, 256), (1, 1)):
        with pytest.raises(SettingError, match="components"):
            DiscretisedLogisticMixture(components, levels)
