"""Priors that are mixtures, against torch's own mixture and the model's own posteriors."""

from dataclasses import replace

import pytest
import torch
from linear_gaussian import draws, linear_gaussian
from torch import distributions

from isthmus.batch import Batch, Values
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.encoders import DenseEncoder
from isthmus.core.priors.mixture import MixturePrior, VampPrior
from isthmus.core.priors.normal import StandardNormal
from isthmus.errors import SettingError
from isthmus.protocols import Code

WIDTH, CODE = 6, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(rows=5):
    values = Values(draws(rows))
    return Batch(torch.arange(rows), values, values)


def with_prior(prior):
    model = linear_gaussian()
    model.prior = prior
    return model


def mixture(components=4):
    prior = MixturePrior(CODE, components, generator=generator())
    with torch.no_grad():
        prior.logits.normal_(generator=generator(1))
        prior.log_scales.normal_(std=0.3, generator=generator(2))
    return prior


def vamp(model, count=4):
    prior = VampPrior(model.encoder, model.bottleneck, (WIDTH,), count, generator=generator())
    prior.begin(draws(count, seed=9))
    model.prior = prior
    return prior


def reference(shares, means, scales):
    parts = distributions.Independent(distributions.Normal(means, scales), 1)
    return distributions.MixtureSameFamily(distributions.Categorical(logits=shares), parts)


def test_the_mixture_is_that_of_torch():
    prior = mixture()
    step = with_prior(prior).step(batch(), generator=generator(3), samples=7)
    known = reference(prior.logits, prior.centres, prior.log_scales.exp())
    torch.testing.assert_close(prior.log_prob(step), known.log_prob(step.code.sample).view(5, 7))


def test_pseudo_inputs_mix_the_posteriors_that_the_model_gives_them():
    model = linear_gaussian()
    prior = vamp(model)
    step = model.step(batch(), generator=generator(3), samples=7)
    posterior = model.encode(Values(prior.pseudo)).posterior
    known = reference(torch.zeros(4), posterior.mean, posterior.log_scale.exp())
    torch.testing.assert_close(prior.log_prob(step), known.log_prob(step.code.sample).view(5, 7))


def test_one_component_has_the_rate_of_the_closed_form():
    """A mixture of N(0, 1) alone costs what the standard normal prior costs, as far as samples can tell."""
    prior = MixturePrior(CODE, 1, generator=generator())
    with torch.no_grad():
        prior.centres.zero_()
    model = with_prior(prior)
    step = model.step(batch(), generator=generator(3), samples=20_000)
    torch.testing.assert_close(prior.rate(step), StandardNormal(CODE).rate(step), atol=0.03, rtol=0)


def test_the_aggregated_posterior_is_a_cheaper_prior_than_a_normal():
    """Pseudo-inputs at the records themselves: the rate is the mutual information, never above the other rate."""
    model, rows = linear_gaussian(), batch(400)
    prior = VampPrior(model.encoder, model.bottleneck, (WIDTH,), 400, generator=generator())
    prior.begin(rows.inputs.values + 0.0)
    step = model.step(rows, generator=generator(3), samples=4)
    assert prior.rate(step).mean() < StandardNormal(CODE).rate(step).mean()


@pytest.mark.parametrize("make", [mixture, lambda: vamp(linear_gaussian())])
def test_samples_have_the_mean_of_the_mixture(make):
    prior = make()
    drawn = prior.sample(40_000, generator(5))
    if isinstance(prior, MixturePrior):
        expected = prior.logits.softmax(0) @ prior.centres
    else:
        expected = linear_gaussian().encode(Values(prior.pseudo)).point.mean(0)
    torch.testing.assert_close(drawn.mean(0), expected.detach(), atol=0.03, rtol=0)
    assert torch.equal(drawn, prior.sample(40_000, generator(5)))


def test_everything_in_a_prior_trains_and_is_saved_once():
    model = linear_gaussian()
    names = {name for name, _ in model.named_parameters()}
    vamp(model)
    assert {name for name, _ in model.named_parameters()} - names == {"prior.pseudo"}
    assert set(model.state_dict()) - names == {"prior.pseudo"}
    for prior in (model.prior, mixture()):
        model.prior = prior
        model.zero_grad()
        model.loss(model.step(batch(), generator=generator(3), samples=2)).total.backward()
        for name, parameter in model.named_parameters():
            assert bool((parameter.grad != 0).any()), name


def test_a_code_of_cells_is_so_many_independent_draws():
    prior = mixture()
    model = with_prior(prior)
    flat = torch.randn(6, CODE, generator=generator(4))
    each = replace(model.step(batch(6)), code=Code(flat, flat))
    whole = replace(model.step(batch(3)), code=Code(flat.view(3, 2, CODE), flat.view(3, 2, CODE)))
    torch.testing.assert_close(prior.log_prob(whole)[:, 0], prior.log_prob(each).view(3, 2).sum(1))


def test_fewer_rows_than_pseudo_inputs_fill_the_first_ones():
    model = linear_gaussian()
    prior = VampPrior(model.encoder, model.bottleneck, (WIDTH,), 4, generator=generator())
    before = prior.pseudo.detach().clone()
    prior.begin(torch.ones(3, WIDTH))
    assert torch.equal(prior.pseudo[:3], torch.ones(3, WIDTH))
    assert torch.equal(prior.pseudo[3], before[3])


def test_what_makes_no_sense_is_refused():
    g = generator()
    encoder = DenseEncoder(WIDTH, (4,), generator=g)
    for make in (
        lambda: MixturePrior(CODE, 0, generator=g),
        lambda: VampPrior(encoder, Deterministic(), (WIDTH,), 0, generator=g),
    ):
        with pytest.raises(SettingError, match="at least 1"):
            make()
    with pytest.raises(SettingError, match="pseudo-inputs"):
        vamp(linear_gaussian()).begin(torch.ones(2, WIDTH + 1))
    with pytest.raises(SettingError, match="deterministic"):
        VampPrior(encoder, Deterministic(), (WIDTH,), 2, generator=g).sample(1, g)
    model = linear_gaussian()
    model.bottleneck, model.prior = Deterministic(), mixture()
    model.encoder = DenseEncoder(WIDTH, (CODE,), generator=g)
    with pytest.raises(SettingError, match="deterministic"):
        model.prior.rate(model.step(batch()))
