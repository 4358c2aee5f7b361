"""The composite prior against torch's mixtures, and what it remembers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor, distributions

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.corruptions.numbers import Dropout
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.ops.bags import unit_norm
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models.rec_vae import CompositePrior
from isthmus.sources import BagSource

WIDTH, HIDDEN, CODE, ROWS = 12, 6, 3, 5
SHARES = (0.2, 0.5, 0.3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model_of(**changes: Any) -> Autoencoder:
    g = generator()
    encoder = BagEncoder(WIDTH, (HIDDEN,), generator=g, activate_last=True)
    bottleneck = Gaussian(HIDDEN, CODE, generator=g)
    with torch.no_grad():
        encoder.table.mul_(5)
        bottleneck.mean.weight.mul_(3)
    parts = {
        "encoder": encoder,
        "bottleneck": bottleneck,
        "prior": CompositePrior(encoder, bottleneck, SHARES),
        "decoder": DenseDecoder(CODE, generator=g),
        "readout": LinearReadout(CODE, WIDTH, generator=g),
        "likelihood": Multinomial(),
        "scaling": unit_norm,
        "corruption": Dropout(0.5),
    }
    return Autoencoder(**(parts | changes))


@pytest.fixture(scope="module")
def dense() -> Tensor:
    return torch.from_numpy((np.random.default_rng(2).random((ROWS, WIDTH)) < 0.5).astype(np.float32))


@pytest.fixture(scope="module")
def batch(dense: Tensor) -> Batch:
    return BagSource.from_csr(csr_array(dense.numpy())).batch(torch.arange(ROWS))


def prior_of(model: Autoencoder) -> CompositePrior:
    assert isinstance(model.prior, CompositePrior)
    return model.prior


def mixture(model: Autoencoder, rows: Tensor, samples: int) -> distributions.Distribution:
    """In each dimension N(0, 1), the old posterior of the clean rows, and a normal with a log variance of 10."""
    prior = prior_of(model)
    assert isinstance(prior.encoder, BagEncoder)
    assert isinstance(prior.bottleneck, Gaussian)
    hidden = torch.tanh(rows @ prior.encoder.table + prior.encoder.bias)
    mean = prior.bottleneck.mean(hidden).repeat_interleave(samples, 0)
    scale = prior.bottleneck.log_scale(hidden).exp().repeat_interleave(samples, 0)
    means = torch.stack([torch.zeros_like(mean), mean, torch.zeros_like(mean)], -1)
    scales = torch.stack([torch.ones_like(mean), scale, torch.full_like(mean, np.exp(10 / 2))], -1)
    shares = distributions.Categorical(torch.tensor(SHARES))
    parts = distributions.Normal(means, scales)
    return distributions.MixtureSameFamily(distributions.Categorical(shares.probs.expand(means.shape)), parts)


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("scaling", [unit_norm, None])
def test_density_and_rate_are_those_of_the_mixture(dense: Tensor, batch: Batch, samples: int, scaling: Any) -> None:
    model = model_of(scaling=scaling)
    with torch.no_grad():  # the model moves on, the prior stays behind
        for parameter in (*model.encoder.parameters(), *model.bottleneck.parameters()):
            parameter.add_(0.1)
    step = model.step(batch, generator=generator(3), samples=samples)
    rows = dense / dense.norm(dim=1, keepdim=True) if scaling else dense
    expected = mixture(model, rows, samples).log_prob(step.code.sample).sum(1).view(ROWS, samples)
    torch.testing.assert_close(model.prior.log_prob(step), expected)
    posterior = step.code.posterior
    assert posterior is not None
    density = posterior.log_prob(step.code.sample).view(ROWS, samples)
    torch.testing.assert_close(model.prior.rate(step), (density - expected).mean(1))


def test_the_old_posterior_stays_until_it_is_told(batch: Batch) -> None:
    model = model_of()
    prior = prior_of(model)
    assert isinstance(prior.encoder, BagEncoder)
    assert isinstance(model.encoder, BagEncoder)
    assert prior.encoder.table.data_ptr() != model.encoder.table.data_ptr()
    before = prior.encoder.table.clone()
    model.loss(model.step(batch, generator=generator())).total.backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in prior.parameters())
    assert model.encoder.table.grad is not None
    with torch.no_grad():
        model.encoder.table.add_(1)
    assert torch.equal(prior.encoder.table, before)
    prior.remember(model)
    assert torch.equal(prior.encoder.table, before + 1)
    assert not prior.encoder.table.requires_grad
    assert {"prior.encoder.table", "prior.bottleneck.mean.weight"} <= model.state_dict().keys()


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    encoder, bottleneck = BagEncoder(4, (2,), generator=generator()), Gaussian(2, 1, generator=generator())
    with pytest.raises(SettingError, match="sum 1"):
        CompositePrior(encoder, bottleneck, shares)


def test_what_it_cannot_do_is_said(batch: Batch) -> None:
    with pytest.raises(SettingError, match="without inputs"):
        model_of().prior.sample(2, generator())
    deterministic = model_of(bottleneck=Deterministic(), decoder=DenseDecoder(HIDDEN, generator=generator()),
                             readout=LinearReadout(HIDDEN, WIDTH, generator=generator()))  # fmt: skip
    with pytest.raises(SettingError, match="posterior"):
        deterministic.loss(deterministic.step(batch))
