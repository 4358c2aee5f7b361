"""Estimators against closed forms: probabilistic PCA, and posteriors that are equal or far apart."""

from __future__ import annotations

import math

import pytest
import torch
from linear_gaussian import LOADS, draws, generator, linear_gaussian, true_information, true_log_prob

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.errors import InputError, SettingError
from isthmus.metrics import codes as module
from isthmus.metrics.codes import active_units, importance_weighted, mutual_information, rate, weighted_under
from isthmus.sources import VectorSource


def batch_of(n):
    return VectorSource(draws(n)).batch(torch.arange(n))


def posterior_of(n, **changes):
    posterior = linear_gaussian(**changes).encode(batch_of(n).inputs).posterior
    return posterior.mean.detach(), posterior.log_scale.detach()


# --- importance-weighted likelihood -----------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 7])
def test_with_the_true_posterior_any_sample_gives_the_truth(samples):
    batch = batch_of(50)
    found = importance_weighted(linear_gaussian(), batch, generator=generator(), samples=samples, chunk=3)
    torch.testing.assert_close(found, true_log_prob(batch.inputs.values), atol=2e-4, rtol=1e-5)


def test_with_another_posterior_it_rises_to_the_truth_from_below():
    batch, model = batch_of(200), linear_gaussian(shift=0.2, widen=1.3)
    truth = true_log_prob(batch.inputs.values).mean()
    gaps = [
        (truth - importance_weighted(model, batch, generator=generator(1), samples=n, chunk=50).mean()).item()
        for n in (1, 10, 100, 1000)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > 0, "a lower bound that rises with the samples"
    assert abs(gaps[3]) < 0.01
    # One sample is the ELBO: below the truth by the KL divergence of the two posteriors, here in closed form.
    mean, log_scale = posterior_of(1)
    wrong = torch.distributions.Normal((mean + 0.2).double(), (log_scale.exp() * 1.3).double())
    true = torch.distributions.Normal(mean.double(), log_scale.exp().double())
    assert gaps[0] == pytest.approx(torch.distributions.kl_divergence(wrong, true).sum().item(), abs=0.25)


def test_samples_are_all_counted_whatever_the_chunk():
    batch, model, seen = batch_of(4), linear_gaussian(widen=1.3), []
    step = model.step
    model.step = lambda *args, **settings: seen.append(settings["samples"]) or step(*args, **settings)
    found = importance_weighted(model, batch, generator=generator(), samples=25, chunk=10)
    assert seen == [10, 10, 5]
    assert not found.requires_grad
    # The same draws, joined by hand.
    g = generator()
    weights = []
    for some in seen[:3]:
        one = step(batch, generator=g, samples=some)
        density = one.code.posterior.log_prob(one.code.sample).view(-1, some)
        weights.append((one.log_likelihood + model.prior.log_prob(one) - density).double())
    torch.testing.assert_close(found, torch.cat(weights, 1).exp().mean(1).log(), atol=1e-5, rtol=1e-5)


def test_several_priors_are_asked_about_the_same_draws():
    """The model's own prior, the same given as a density, and one that is twice as high."""
    batch, model = batch_of(5), linear_gaussian(widen=1.3)

    def own(z):
        return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)

    priors = (None, own, lambda z: own(z) + math.log(2))
    found = weighted_under(model, batch, priors, generator=generator(), samples=25, chunk=10)
    alone = importance_weighted(model, batch, generator=generator(), samples=25, chunk=10)
    torch.testing.assert_close(found[0], alone)
    torch.testing.assert_close(found[1], alone)
    torch.testing.assert_close(found[2], alone + math.log(2))


def test_models_that_have_no_estimate():
    model, batch = linear_gaussian(), batch_of(3)
    with pytest.raises(SettingError, match="at least 1"):
        importance_weighted(model, batch, generator=generator(), samples=0)
    with pytest.raises(SettingError, match="at least 1"):
        importance_weighted(model, batch, generator=generator(), chunk=0)
    plain = Autoencoder(
        encoder=model.encoder,
        bottleneck=Deterministic(),
        decoder=lambda sample, given: sample[:, : len(LOADS)],
        readout=model.readout,
        likelihood=model.likelihood,
    )
    with pytest.raises(SettingError, match="without a posterior"):
        importance_weighted(plain, batch, generator=generator())


# --- mutual information -----------------------------------------------------------------------------------------------


def test_posteriors_far_apart_share_all_that_can_be_shared():
    n = 200
    means = 100 * torch.arange(n, dtype=torch.float32)[:, None].expand(n, 2)
    found = mutual_information(means, torch.zeros(n, 2), generator=generator())
    assert found.records == n
    assert found.nats == pytest.approx(math.log(n), abs=1e-9)
    assert found.nats == pytest.approx(found.most)


def test_equal_posteriors_share_nothing():
    means, log_scales = torch.full((300, 4), 3.0), torch.full((300, 4), -2.0)
    assert mutual_information(means, log_scales, generator=generator()).nats == pytest.approx(0, abs=1e-9)


def test_groups_of_equal_posteriors_share_the_group():
    """Five groups of equal size: the code says which group, ln 5 nats."""
    means = 100 * (torch.arange(60) % 5).float()[:, None]
    found = mutual_information(means, torch.zeros(60, 1), generator=generator())
    assert found.nats == pytest.approx(math.log(5))


def test_information_of_the_linear_gaussian_model(monkeypatch):
    means, log_scales = posterior_of(3000)
    whole = mutual_information(means, log_scales, generator=generator()).nats
    assert whole == pytest.approx(true_information(), abs=0.08)
    monkeypatch.setattr(module, "CELLS", 3000 * 7)
    blocks = mutual_information(means, log_scales, generator=generator()).nats
    assert blocks == pytest.approx(whole, abs=1e-9), "blocks change nothing"


def test_narrow_posteriors_far_from_zero():
    """Products of large numbers: what is left after subtracting them is still right."""
    means = 1000 + torch.randn(100, 3, generator=generator())
    narrow = mutual_information(means, torch.full((100, 3), -8.0), generator=generator())
    assert narrow.nats == pytest.approx(narrow.most, abs=1e-6)
    wide = mutual_information(means, torch.full((100, 3), 4.0), generator=generator())
    assert wide.nats == pytest.approx(0, abs=0.02)


def test_no_records():
    with pytest.raises(InputError, match="no records"):
        mutual_information(torch.zeros(0, 2), torch.zeros(0, 2), generator=generator())


# --- units and rate ---------------------------------------------------------------------------------------------------


def test_active_units_by_hand():
    # Variances with n − 1: 0.02, 0.0098, 0.5.
    means = torch.tensor([[0.1, 0.07, 0.5], [-0.1, -0.07, -0.5]])
    assert active_units(means) == 2
    assert active_units(means + 100) == 2
    assert active_units(means, 0.2) == 1
    # With n the variance would be 0.0075, with n − 1 it is 0.01 or a hair above.
    assert active_units(torch.tensor([[0.0], [0.0], [0.0], [0.2001]])) == 1
    with pytest.raises(InputError, match="at least two"):
        active_units(means[:1])


def test_rate_is_the_divergence():
    means, log_scales = torch.randn(20, 3, generator=generator()), 0.3 * torch.randn(20, 3, generator=generator(1))
    exact = torch.distributions.kl_divergence(
        torch.distributions.Normal(means, log_scales.exp()), torch.distributions.Normal(0.0, 1.0)
    )
    assert rate(means, log_scales) == pytest.approx(exact.sum(1).mean().item(), rel=1e-5)
    # The true posterior over the model's own records: its mean rate is the mutual information.
    assert rate(*posterior_of(20_000)) == pytest.approx(true_information(), abs=0.03)
