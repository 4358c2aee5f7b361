"""Plain autoencoders learn the same with and without automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isthmus.batch import Bag, Grid, Signal, Values, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.models.kinds import contractive, denoising, vanilla, variational
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.sources import VectorSource
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus.training.steps import step
from isthmus.training.steps.plain import plain_steps

SIZES: dict[str, Any] = {"hidden": 6, "layers": 1, "code": 3, "epochs": 3, "batch_size": 16}


def made(builder: Callable[..., GradientRecipe], signal: Signal, **settings: Any) -> GradientRecipe:
    return builder(signal, generator=Run(seed=0).generator(), **SIZES | settings)


def trained(
    builder: Callable[..., GradientRecipe], run: Run | None = None, **settings: Any
) -> tuple[nn.Module, History]:
    rows = torch.randn(70, 5, generator=torch.Generator().manual_seed(1))
    recipe = made(builder, Vector(5), **settings)
    return recipe.model, recipe.fit(VectorSource(rows), run or Run(device="cpu", seed=0))


@pytest.mark.parametrize("builder", [vanilla, denoising])
@pytest.mark.parametrize("settings", [{}, {"layers": 2}, {"layers": 0}, {"weight_decay": 0.1}])
def test_the_same_training(
    builder: Callable[..., GradientRecipe], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, told = trained(builder, **settings)
    monkeypatch.setattr(step, "plain_steps", lambda model, plan: None)
    usual, expected = trained(builder, **settings)
    for name, weights in usual.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], weights, rtol=1e-3, atol=1e-5, msg=name)
    for one, other in zip(told.records, expected.records, strict=True):
        assert one.keys() == other.keys()
        for name in ("loss", "nll", "rate"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)


def test_which_models_are_plain() -> None:
    def found(recipe: GradientRecipe) -> bool:
        assert isinstance(recipe.model, Autoencoder)
        return plain_steps(recipe.model, recipe.plan) is not None

    assert found(made(vanilla, Vector(5)))
    assert found(made(denoising, Vector(5), noise="masking"))
    assert not found(made(vanilla, Vector(5), likelihood="learned-scale"))
    assert not found(made(vanilla, Grid(1, 8, 8), filters=2))
    assert not found(made(vanilla, Bag(5)))
    assert not found(made(variational, Vector(5)))
    assert not found(made(contractive, Vector(5)))


def test_shared_weights_are_differentiated_as_usual() -> None:
    recipe = made(vanilla, Vector(6), hidden=6, code=6)
    model: Any = recipe.model
    assert plain_steps(model, recipe.plan) is not None
    model.readout.weight = model.bottleneck.point.weight
    assert plain_steps(model, recipe.plan) is None


def test_frozen_weights_are_differentiated_as_usual() -> None:
    recipe = made(vanilla, Vector(6))
    model: Any = recipe.model
    model.readout.weight.requires_grad_(False)
    assert plain_steps(model, recipe.plan) is None


def test_gradient_of_the_gaussian() -> None:
    g = torch.Generator().manual_seed(0)
    logits, values = torch.randn(4, 3, generator=g, requires_grad=True), torch.randn(4, 3, generator=g)

    class Same:
        def logits(self, decoded: Tensor, columns: Any = None) -> Tensor:
            return decoded

    likelihood = Gaussian(scale=0.7)
    nats = -likelihood(Same(), logits, Values(values)).mean()
    nats.backward()
    found, gradient = likelihood.descent(logits.detach(), Values(values))
    torch.testing.assert_close(found, nats.detach())
    torch.testing.assert_close(gradient, logits.grad)


def test_resumed_training_goes_on_as_if_it_had_not_stopped(tmp_path: Any) -> None:
    whole, _ = trained(vanilla)
    trained(vanilla, Run(device="cpu", seed=0, checkpoints=tmp_path, until=1))
    resumed, _ = trained(vanilla, Run(device="cpu", seed=0, checkpoints=tmp_path, resume=True))
    for name, weights in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weights), name
