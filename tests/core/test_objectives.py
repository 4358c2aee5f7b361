"""Importance weights and capacities on a model whose every quantity is known."""

import math
from dataclasses import replace

import pytest
import torch
from linear_gaussian import draws, linear_gaussian, true_log_prob

from isthmus.batch import Batch, Values
from isthmus.core.objectives.elbo import Capacity, Elbo, ImportanceWeighted
from isthmus.core.priors.normal import NoPrior
from isthmus.errors import SettingError
from isthmus.protocols import Code

OFF = {"shift": 0.4, "widen": 1.3}
"""A posterior that is not the true one, so that the bounds are not tight."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(rows=200):
    values = Values(draws(rows))
    return Batch(torch.arange(rows), values, values)


def taken(model, rows, samples, seed=3):
    return model.step(rows, generator=generator(seed), samples=samples)


def bound(objective, model, rows, samples):
    step = taken(model, rows, samples)
    return -float(objective(step, model.prior.rate(step), 1.0).detach())


@pytest.mark.parametrize("doubly", [True, False])
def test_with_the_true_posterior_every_number_of_samples_gives_the_truth(doubly):
    model, rows = linear_gaussian(), batch()
    truth = float(true_log_prob(rows.inputs.values).mean())
    for samples in (1, 5, 50):
        assert bound(ImportanceWeighted(doubly), model, rows, samples) == pytest.approx(truth, abs=1e-4)


@pytest.mark.parametrize("doubly", [True, False])
def test_the_bound_rises_with_the_samples_from_the_elbo_to_the_truth(doubly):
    model, rows = linear_gaussian(**OFF), batch(500)
    truth = float(true_log_prob(rows.inputs.values).mean())
    elbo = bound(Elbo(), model, rows, 50)
    bounds = [bound(ImportanceWeighted(doubly), model, rows, samples) for samples in (1, 5, 50, 200)]
    assert bounds[0] == pytest.approx(elbo, abs=0.3)
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(truth, abs=0.03)
    assert truth - elbo > 1


def test_the_bound_is_the_plain_formula():
    model, rows = linear_gaussian(**OFF), batch(4)
    step = taken(model, rows, 3)
    weights = torch.stack(
        [
            step.log_likelihood[:, s]
            + model.prior.log_prob(step)[:, s]
            - step.code.posterior.log_prob(step.code.sample).view(4, 3)[:, s]
            for s in range(3)
        ]
    ).exp()
    for doubly in (True, False):
        torch.testing.assert_close(
            -ImportanceWeighted(doubly)(step, torch.zeros(len(step.log_likelihood)), 1.0), weights.mean(0).log().mean()
        )


def gradients(model, rows, objective, samples, draws):
    """Gradients of many independent steps: [draws, parameters] of each part."""
    found = {"bottleneck": [], "readout": []}
    for seed in range(draws):
        model.zero_grad()
        step = taken(model, rows, samples, seed)
        objective(step, model.prior.rate(step), 1.0).backward()
        for name, parts in found.items():
            parts.append(torch.cat([p.grad.flatten() for p in model.get_submodule(name).parameters()]))
    return {name: torch.stack(parts) for name, parts in found.items()}


def test_both_gradients_are_the_same_in_expectation_and_one_is_less_noisy():
    model, rows = linear_gaussian(**OFF), batch(20)
    plain = gradients(model, rows, ImportanceWeighted(doubly=False), 8, 80)
    doubly = gradients(model, rows, ImportanceWeighted(doubly=True), 8, 80)
    torch.testing.assert_close(doubly["readout"], plain["readout"])
    error = (plain["bottleneck"].var(0) + doubly["bottleneck"].var(0)).sqrt() / 80**0.5
    assert bool(((plain["bottleneck"].mean(0) - doubly["bottleneck"].mean(0)).abs() < 4.5 * error).all())
    assert doubly["bottleneck"].var(0).sum() < plain["bottleneck"].var(0).sum()


def test_at_the_true_posterior_the_doubly_reparameterised_gradient_has_no_noise():
    model, rows = linear_gaussian(), batch(20)
    found = gradients(model, rows, ImportanceWeighted(doubly=True), 8, 3)["bottleneck"]
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-4, rtol=0)
    noisy = gradients(model, rows, ImportanceWeighted(doubly=False), 8, 3)["bottleneck"]
    assert noisy.abs().max() > 1e-2


def test_importance_weights_need_a_posterior_and_a_prior():
    model, rows = linear_gaussian(), batch(3)
    step = taken(model, rows, 2)
    objective = ImportanceWeighted()
    with pytest.raises(SettingError, match="posterior"):
        objective(replace(step, code=Code(step.code.point, step.code.sample)), torch.zeros(3), 1.0)

    class Other:
        log_prob = step.code.posterior.log_prob
        sample = step.code.posterior.sample
        mean, log_scale = step.code.posterior.mean, step.code.posterior.log_scale

    other = replace(step, code=Code(step.code.point, step.code.sample, Other()))
    with pytest.raises(SettingError, match="Other has no detach"):
        objective(other, torch.zeros(3), 1.0)
    torch.testing.assert_close(
        ImportanceWeighted(False)(other, torch.zeros(3), 1.0),
        objective(step, torch.zeros(len(step.log_likelihood)), 1.0),
    )
    model.prior = NoPrior()
    with pytest.raises(SettingError, match="prior"):
        objective(taken(model, rows, 2), torch.zeros(3), 1.0)


def test_without_a_gradient_there_is_nothing_to_weigh():
    model, rows = linear_gaussian(), batch(3)
    with torch.no_grad():
        assert math.isfinite(float(ImportanceWeighted()(taken(model, rows, 2), torch.zeros(3), 1.0)))


@pytest.mark.parametrize(("progress", "capacity"), [(0.0, 1.0), (0.25, 2.0), (0.5, 3.0), (1.0, 3.0)])
def test_capacity_rises_to_its_end_and_is_paid_for_in_both_directions(progress, capacity):
    model, rows = linear_gaussian(), batch(10)
    step = taken(model, rows, 2)
    for rate in (torch.full((10,), 0.5), torch.full((10,), 7.0)):
        expected = 20.0 * abs(float(rate[0]) - capacity) - step.log_likelihood.mean()
        torch.testing.assert_close(Capacity(20.0, 1.0, 3.0, until=0.5)(step, rate, progress), expected)


def test_training_under_a_capacity_brings_the_rate_there():
    model, rows = linear_gaussian(), batch(500)
    for nats in (1.0, 6.0):
        optimizer, noise = torch.optim.Adam(model.parameters(), lr=0.04), generator(1)
        for _ in range(80):
            loss = model.loss(model.step(rows, generator=noise), objective=Capacity(10.0, nats, nats))
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
        assert float(loss.terms["rate"]) == pytest.approx(nats, abs=0.3)


@pytest.mark.parametrize("settings", [(-1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, 0.0, 1.0, 0.0), (1.0, 0.0, 1.0, 1.5)])
def test_capacities_are_nats(settings):
    with pytest.raises(SettingError, match=r"nats|until"):
        Capacity(*settings)
