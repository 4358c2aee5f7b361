"""Mult-DAE and Mult-VAE against the plain dense formulas of Liang et al. 2018, written here a second time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bag, Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.linear.dense import inverse
from isthmus.core.rankers import AutoencoderRanker
from isthmus.errors import SettingError
from isthmus.models import ease, edlae, mult_dae, mult_vae, rdlae, rec_vae
from isthmus.models.recipes.settings import checked, keywords_of
from isthmus.sources import BagSource
from isthmus.training.run import Run

WIDTH = 30


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def dense() -> Tensor:
    """Six rows of zeros and ones, the last one empty, and one with a single item."""
    rows = (np.random.default_rng(3).random((6, WIDTH)) < 0.3).astype(np.float32)
    rows[4] = 0
    rows[4, 7] = 1
    rows[5] = 0
    return torch.from_numpy(rows)


@pytest.fixture(scope="module")
def batch(dense: Tensor) -> Batch:
    return BagSource.from_csr(csr_array(dense.numpy())).batch(torch.arange(len(dense)))


def loud(model: Autoencoder) -> Autoencoder:
    """Weights large enough that every activation and bias matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(len(parameter))) * 0.5)
    return model


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)


class PlainDae:
    """width -> tanh(code) -> width."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.w1, self.b1 = state["encoder.table"], state["encoder.bias"]
        self.w2, self.b2 = state["readout.weight"].T, state["readout.bias"]

    def logits(self, x: Tensor) -> Tensor:
        return torch.tanh(unit(x) @ self.w1 + self.b1) @ self.w2 + self.b2


class PlainVae:
    """width -> tanh(hidden) -> mean and log scale; mean -> tanh(hidden) -> width."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def layer(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.tanh(unit(x) @ self.state["encoder.table"] + self.state["encoder.bias"])
        return self.layer("bottleneck.mean", hidden), self.layer("bottleneck.log_scale", hidden)

    def logits(self, x: Tensor) -> Tensor:
        mean, _ = self.posterior(x)
        deep = "decoder.mlp.layers.0.weight" in self.state
        return self.layer("readout", torch.tanh(self.layer("decoder.mlp.layers.0", mean)) if deep else mean)

    def divergence(self, x: Tensor) -> Tensor:
        mean, log_scale = self.posterior(x)
        variance = (2 * log_scale).exp()
        return 0.5 * (-variance.log() + variance + mean.square() - 1).sum(1)


def negative_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    return -(torch.log_softmax(logits, 1) * x).sum(1).mean()


def logits_of(model: Autoencoder, batch: Batch) -> Tensor:
    ranker = AutoencoderRanker(model)
    return ranker.scores(ranker.prepare(batch.inputs))


def test_mult_dae_is_the_plain_network(dense: Tensor, batch: Batch) -> None:
    model = loud(mult_dae(Bag(WIDTH), generator=generator(), code=5).model)
    plain = PlainDae({name: tensor.detach() for name, tensor in model.state_dict().items()})
    torch.testing.assert_close(logits_of(model, batch), plain.logits(dense), atol=1e-5, rtol=1e-5)
    loss = model.loss(model.step(batch))
    expected = negative_log_likelihood(plain.logits(dense), dense)
    torch.testing.assert_close(loss.total, expected)
    assert float(loss.terms["rate"]) == 0


def test_mult_vae_is_the_plain_network(dense: Tensor, batch: Batch) -> None:
    model = loud(mult_vae(Bag(WIDTH), generator=generator(), hidden=7, code=4, published=True).model)
    plain = PlainVae({name: tensor.detach() for name, tensor in model.state_dict().items()})
    torch.testing.assert_close(logits_of(model, batch), plain.logits(dense), atol=1e-5, rtol=1e-5)
    step = model.step(batch)
    torch.testing.assert_close(model.prior.rate(step), plain.divergence(dense), atol=1e-5, rtol=1e-5)
    nll = negative_log_likelihood(plain.logits(dense), dense)
    for progress, beta in ((0.0, 0.0), (0.425, 0.1), (0.85, 0.2), (1.0, 0.2)):
        expected = nll + beta * plain.divergence(dense).mean()
        torch.testing.assert_close(model.loss(step, progress=progress).total, expected, atol=1e-5, rtol=1e-5)


def test_the_rate_of_a_user_grows_with_the_number_of_items(dense: Tensor, batch: Batch) -> None:
    model = loud(mult_vae(Bag(WIDTH), generator=generator(), hidden=7, code=4, gamma=0.03).model)
    plain = PlainVae({name: tensor.detach() for name, tensor in model.state_dict().items()})
    nll = negative_log_likelihood(plain.logits(dense), dense)
    expected = nll + 0.03 * (dense.sum(1) * plain.divergence(dense)).mean()
    for progress in (0.0, 1.0):
        torch.testing.assert_close(
            model.loss(model.step(batch), progress=progress).total, expected, atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(
    ("builder", "sizes"), [(mult_dae, {"code": 4}), (mult_vae, {"code": 4, "hidden": 7, "decoder": 5, "beta": 0.2})]
)
def test_gradients_are_those_of_the_plain_network(
    builder: Any, sizes: dict[str, Any], dense: Tensor, batch: Batch
) -> None:
    model = loud(builder(Bag(WIDTH), generator=generator(), **sizes).model)
    model.loss(model.step(batch), progress=0.425).total.backward()
    state = {name: tensor.detach().clone().requires_grad_() for name, tensor in model.state_dict().items()}
    plain: Any = PlainDae(state) if builder is mult_dae else PlainVae(state)
    loss = negative_log_likelihood(plain.logits(dense), dense)
    if builder is mult_vae:
        loss = loss + 0.1 * plain.divergence(dense).mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, state[name].grad, atol=1e-5, rtol=1e-4)


def test_beta_rises_as_in_the_published_code(batch: Batch) -> None:
    """MovieLens-20M: 116,677 people in batches of 500 are 234 steps an epoch, 200 epochs; β = min(0.2, step / 200,000)
    reaches its cap at step 40,000 of 46,800: 85.5 % of the way, which the builder rounds to 85 %."""
    recipe = mult_vae(Bag(WIDTH), generator=generator(), hidden=3, code=2, published=True)
    weight, one_step = recipe.model.objective.rate_weight, recipe.model.step(batch)
    steps = 200 * math.ceil(116_677 / 500)
    assert steps == 46_800
    assert recipe.plan.epochs == 200
    for step in (0, 10_000, 20_000, 39_000, 40_000, 46_800):
        published = min(0.2, step / 200_000)
        assert weight(one_step, step / steps) == pytest.approx(published, abs=0.0015)
    assert weight(one_step, 0.85) == weight(one_step, 1.0) == 0.2


def test_published_settings() -> None:
    vae, dae = (builder(Bag(WIDTH), generator=generator(), published=True) for builder in (mult_vae, mult_dae))
    assert vae.model.encoder.table.shape == (WIDTH, 600)
    assert vae.model.bottleneck.mean.weight.shape == (200, 600)
    assert vae.model.readout.weight.shape == (WIDTH, 600)
    assert dae.model.encoder.table.shape == dae.model.readout.weight.shape == (WIDTH, 200)
    for recipe in (vae, dae):
        assert recipe.model.corruption.rate == 0.5
        assert recipe.plan.batching.size == 500
        assert recipe.plan.learning_rate == 1e-3
        assert (recipe.plan.epochs, recipe.plan.patience) == (200, None)
    assert vae.plan.weight_decay == 0
    assert dae.plan.weight_decay == pytest.approx(2 * 0.01 / 500)


@pytest.mark.parametrize("builder", [mult_dae, mult_vae, rec_vae])
def test_what_is_given_takes_precedence_over_the_paper(builder: Any) -> None:
    keywords = keywords_of(builder)
    assert keywords["published"].default is False
    paper = checked("a model", builder, {"published": True, "patience": 3})
    assert (paper["patience"], paper["batch_size"]) == (3, 500)
    assert checked("a model", builder, paper) == paper
    plain = checked("a model", builder, {})
    assert plain == {name: keyword.default for name, keyword in keywords.items()}
    built = [
        builder(Bag(WIDTH), generator=generator(), **given).plan
        for given in (paper, {"published": True, "patience": 3})
    ]
    assert built[0].described() == built[1].described()


@pytest.mark.parametrize("builder", [mult_dae, mult_vae])
def test_first_weights_are_xavier_uniform(builder: Any) -> None:
    """Glorot & Bengio 2010: uniform in ±√(6 / (in + out)), whose variance is 2 / (in + out); biases nearly 0."""
    model = builder(Bag(700), generator=generator(), published=True).model
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert 0 < float(parameter.detach().abs().max()) < 0.006, name
            continue
        bound = math.sqrt(6 / sum(parameter.shape))
        largest = float(parameter.detach().abs().max())
        assert 0.99 * bound < largest <= bound, name
        assert float(parameter.detach().var()) == pytest.approx(bound**2 / 3, rel=0.03), name


@pytest.mark.parametrize("builder", [mult_dae, mult_vae, rec_vae, ease, edlae, rdlae])
def test_building_leaves_the_global_random_state_alone(builder: Any) -> None:
    before = torch.get_rng_state()
    one, two = (builder(Bag(9), generator=generator(5)).model.state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("builder", "settings"),
    [
        (mult_dae, {"code": 0}),
        (mult_dae, {"epochs": 0}),
        (mult_dae, {"batch_size": 0}),
        (mult_vae, {"hidden": 0}),
        (mult_vae, {"annealing": 0.0}),
        (mult_vae, {"dropout": 1.0}),
        (mult_vae, {"weight_decay": -1.0}),
        (mult_vae, {"patience": 0}),
        (ease, {"regularisation": 0.0}),
        (edlae, {"regularisation": 0.0}),
        (edlae, {"dropout": 1.0}),
        (edlae, {"dropout": -0.1}),
        (rdlae, {"dropout": 1.0}),
        (rdlae, {"xi": -0.1}),
        (rdlae, {"xi": 1.1}),
    ],
)
def test_settings_without_meaning_are_refused(builder: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        builder(Bag(5), generator=generator(), **settings)


@pytest.mark.parametrize("builder", [ease, edlae, rdlae])
def test_linear_models_refuse_what_no_memory_holds(builder: Any) -> None:
    with pytest.raises(SettingError, match=r"50,001 items.*30 GB"):
        builder(Bag(50_001), generator=generator())


@pytest.mark.parametrize(
    ("builder", "settings", "dropout", "xi"),
    [(ease, {}, 0.0, 0.0), (edlae, {"dropout": 0.4}, 0.4, 0.0), (rdlae, {"dropout": 0.4, "xi": 0.2}, 0.4, 0.2)],
)
def test_linear_models_are_settings_of_one_problem(
    builder: Any, settings: dict[str, float], dropout: float, xi: float, dense: Tensor
) -> None:
    matrix = csr_array(dense.numpy())
    recipe = builder(Bag(WIDTH), generator=generator(), regularisation=2.0, **settings)
    for _ in range(2):
        recipe.fit(BagSource.from_csr(matrix), Run(device="cpu"))
        np.testing.assert_array_equal(recipe.model.weights.numpy(), inverse(matrix, 2.0, dropout).weights(xi))
