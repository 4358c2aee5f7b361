"""An objective from outside: importance weighting with S samples."""

from __future__ import annotations

import math

import numpy as np
import torch
from extending import bag_batch, bag_model, generator


def importance_weighted(step, rate, progress):
    """−log mean_s p(x | z_s) p(z_s) / q(z_s | x) (Burda et al. 2016, equation 8)."""
    log_ratio = step.model.prior.log_prob(step) - step.code.posterior.log_prob(step.code.sample).view(-1, step.samples)
    return -(torch.logsumexp(step.log_likelihood + log_ratio, 1) - math.log(step.samples)).mean()


def test_importance_weighting_tightens_the_bound():
    model, batch = bag_model(objective=importance_weighted), bag_batch()

    def bound(samples, seed):
        step = model.step(batch, generator=generator(seed), samples=samples)
        assert step.log_likelihood.shape == (6, samples)
        return float(model.loss(step).total.detach())

    one = np.mean([bound(1, seed) for seed in range(20)])
    many = np.mean([bound(50, seed) for seed in range(20)])
    assert many < one
