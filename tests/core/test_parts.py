"""Bottlenecks, priors, corruptions, readouts and the objective, against torch's distributions and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import distributions

from isthmus.batch import Bag, Batch, TokenRows, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian, Gaussian
from isthmus.core.corruptions.numbers import Dropout, GaussianNoise
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder, DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood
from isthmus.core.likelihoods.discrete import Bernoulli
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.schedules import LinearAnnealing
from isthmus.core.priors.normal import NoPrior, StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models import mult_vae
from isthmus.sources import BagSource


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def posterior():
    g = generator()
    return DiagonalGaussian(torch.randn(5, 3, generator=g), 0.3 * torch.randn(5, 3, generator=g))


def test_gaussian_density_equals_torch_and_follows_the_layout_of_samples():
    q = posterior()
    z = q.sample(generator(1), 4)
    expected = distributions.Normal(q.mean.repeat_interleave(4, 0), q.log_scale.exp().repeat_interleave(4, 0))
    torch.testing.assert_close(q.log_prob(z), expected.log_prob(z).sum(1))


def test_noise_is_standard_normal():
    """A well-known implementation draws ε with a deviation of 0.01."""
    q = DiagonalGaussian(torch.full((1, 2), 3.0), torch.full((1, 2), math.log(2.0)))
    z = q.sample(generator(), 50_000)
    torch.testing.assert_close(z.mean(0), torch.full((2,), 3.0), atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), torch.full((2,), 2.0), atol=0.05, rtol=0)


def test_without_a_generator_nothing_is_random():
    bottleneck = Gaussian(6, 3, generator=generator())
    code = bottleneck(torch.randn(4, 6, generator=generator(1)), samples=2)
    torch.testing.assert_close(code.sample, code.point.repeat_interleave(2, 0))


def vector_model(**changes):
    g = generator()
    parts = {
        "encoder": DenseEncoder(6, (5,), generator=g, activate_last=True),
        "bottleneck": Gaussian(5, 3, generator=g),
        "prior": StandardNormal(3),
        "decoder": DenseDecoder(3, (5,), generator=g),
        "readout": LinearReadout(5, 6, generator=g),
        "likelihood": GaussianLikelihood(0.7),
    }
    return Autoencoder(**(parts | changes))


def vector_batch(rows=4):
    values = Values(torch.randn(rows, 6, generator=generator(8)))
    return Batch(torch.arange(rows), values, values)


def test_the_rate_is_the_kl_divergence_of_torch():
    step = vector_model().step(vector_batch(), generator=generator(2))
    q = distributions.Normal(step.code.posterior.mean, step.code.posterior.log_scale.exp())
    expected = distributions.kl_divergence(q, distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(step.model.prior.rate(step), expected)


def test_the_estimated_rate_approaches_the_exact_one():
    class Opaque:
        """The same posterior, without its closed form."""

        def __init__(self, q):
            self.mean, self.log_scale, self.log_prob, self.sample = q.mean, q.log_scale, q.log_prob, q.sample

    model, batch = vector_model(), vector_batch()
    step = model.step(batch, generator=generator(2), samples=20_000)
    exact = model.prior.rate(step)
    hidden = type(step.code)(step.code.point, step.code.sample, Opaque(step.code.posterior))
    estimated = model.prior.rate(type(step)(model, batch, hidden, None, step.log_likelihood, step.samples, None))
    torch.testing.assert_close(estimated, exact, atol=0.05, rtol=0.05)


def test_the_default_objective_is_one_sentence():
    model = vector_model(
        objective=Elbo(LinearAnnealing(0.2, 0.5)), penalties=[lambda step: {"extra": torch.tensor(3.0)}]
    )
    step = model.step(vector_batch(), generator=generator(2))
    rate, nll = model.prior.rate(step).mean(), -step.log_likelihood.mean()
    for progress, beta in ((0.0, 0.0), (0.25, 0.1), (0.5, 0.2), (1.0, 0.2)):
        loss = model.loss(step, progress=progress)
        torch.testing.assert_close(loss.total, beta * rate + nll + 3.0)
        assert set(loss.terms) == {"nll", "rate", "extra"}


def test_corruption_reaches_the_encoder_in_training_and_only_then():
    model, batch = vector_model(bottleneck=Deterministic(), prior=None, decoder=DenseDecoder(5, generator=generator()),
                                corruption=GaussianNoise(1.0)), vector_batch()  # fmt: skip
    clean = model.encode(batch.inputs).point
    torch.testing.assert_close(model.step(batch).code.point, clean)
    torch.testing.assert_close(model.step(batch, generator=generator(), corrupt=False).code.point, clean)
    assert not torch.allclose(model.step(batch, generator=generator()).code.point, clean)


def test_corruption_comes_after_scaling():
    """Mult-VAE drops entries of the normalised row: the norm is that of the whole row, not of what is left."""
    recipe = mult_vae(Bag(10), generator=generator(), hidden=4, code=2)
    batch = BagSource.from_csr(csr_array(np.ones((1, 10), np.float32))).batch(torch.arange(1))
    seen = []
    recipe.model.encoder.enter = lambda inputs: seen.append(inputs.weights) or torch.zeros(1, 4)
    recipe.model.step(batch, generator=generator())
    assert {round(float(w), 5) for w in seen[0]} == {0.0, round(2 / 10**0.5, 5)}


def test_dropout_keeps_the_mean_and_the_entries():
    values = Values(torch.ones(200, 100))
    dropped = Dropout(0.5)(values, generator()).values
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    with pytest.raises(SettingError, match="rate"):
        Dropout(1.0)
    with pytest.raises(SettingError, match="sparse"):
        GaussianNoise(1.0)(
            BagSource.from_csr(csr_array(np.eye(2, dtype=np.float32))).batch(torch.arange(2)).inputs, generator()
        )
    with pytest.raises(SettingError, match="token"):
        Dropout(0.1)(TokenRows(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool)), generator())


def test_readout_logits_are_inner_products_with_the_vectors():
    readout = LinearReadout(4, 9, generator=generator())
    decoded = torch.randn(3, 4, generator=generator(1))
    whole = readout.logits(decoded)
    torch.testing.assert_close(readout.queries(decoded) @ readout.vectors().T, whole)
    torch.testing.assert_close(readout.logits(decoded, slice(2, 5)), whole[:, 2:5])
    torch.testing.assert_close(readout.logits(decoded, torch.tensor([8, 0])), whole[:, [8, 0]])


def test_a_model_without_a_prior_says_so():
    with pytest.raises(SettingError, match="prior"):
        NoPrior().sample(1, generator())
    model = vector_model(bottleneck=Deterministic(), decoder=DenseDecoder(5, (5,), generator=generator()))
    step = model.step(vector_batch())
    with pytest.raises(SettingError, match="deterministic"):
        model.loss(step)


@pytest.mark.parametrize("sizes", [(7,), (7, 3)])
def test_the_bag_encoder_equals_an_mlp_on_the_dense_row(sizes):
    data = csr_array((np.random.default_rng(0).random((5, 12)) < 0.4).astype(np.float32))
    encoder = BagEncoder(12, sizes, generator=generator(), activate_last=True)
    inputs = BagSource.from_csr(data).batch(torch.arange(5)).inputs
    expected = torch.tanh(torch.from_numpy(data.toarray()) @ encoder.table + encoder.bias)
    for layer in encoder.mlp.layers:
        expected = torch.tanh(layer(expected))
    torch.testing.assert_close(encoder.trunk(encoder.enter(inputs), inputs), expected)


def test_bernoulli_and_vectors_train_through_the_same_parts():
    model, batch = vector_model(likelihood=Bernoulli()), vector_batch()
    targets = Values((batch.targets.values > 0).float())
    model.loss(model.step(Batch(batch.rows, batch.inputs, targets), generator=generator())).total.backward()
    assert all(p.grad is not None for p in model.parameters())
