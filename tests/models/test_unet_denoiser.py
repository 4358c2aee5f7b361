"""The denoiser of several scales: any size, tiles that do not show, levels told and estimated, and noise that goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from planted import one_thread
from signals import GridSource, seeded
from striped import noisy, stripes

from isthmus.batch import Bags, Batch, Grid, Values
from isthmus.bundle.tensors import state_of
from isthmus.core.likelihoods.each_scale import EachScaleGaussian
from isthmus.errors import InputError, SettingError
from isthmus.models.denoisers.noise import ToldNoiseLevel, with_level
from isthmus.models.denoisers.restoring import IdentityReadout, restored
from isthmus.models.denoisers.unet_denoiser import (
    UNetEncoder,
    estimated_level,
    unet_denoiser,
)
from isthmus.models.recipes.rebuild import rebuild
from isthmus.training.run import Run

SIZES = {"widths": [8, 12], "blocks": [1, 1]}
SMALL = {**SIZES, "epochs": 8, "batch_size": 16, "learning_rate": 5e-3, "low": 0.1, "high": 0.3}


@pytest.fixture(autouse=True)
def _single() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_noise_goes_from_images_of_another_size(optimizer: str) -> None:
    recipe = unet_denoiser(Grid(1, 16, 16), generator=seeded(), optimizer=optimizer, **SMALL)
    recipe.fit(GridSource(stripes(160, 16, 16)), Run(device="cpu", precision="fp32"))
    clean = stripes(4, 17, 23, seed=7)
    before = float((noisy(clean) - clean).square().mean())
    told = (restored(recipe.model, noisy(clean), level=0.2) - clean).square().mean()
    wrong = (restored(recipe.model, noisy(clean), level=0.02) - clean).square().mean()
    assert float(told) < 0.5 * before
    assert float(told) < float(wrong), "the level is heeded"


@pytest.mark.parametrize("tile", [5, 16])
@pytest.mark.parametrize("level", [None, 0.1])
def test_tiles_do_not_show(tile: int, level: float | None) -> None:
    model = unet_denoiser(Grid(1, 8, 8), generator=seeded(), **SIZES).model
    images = torch.rand(2, 1, 43, 50, generator=seeded(2))
    whole = restored(model, images, level=level)
    torch.testing.assert_close(restored(model, images, level=level, tile=tile), whole, atol=1e-5, rtol=1e-5)


def test_a_pixel_reaches_no_further_than_said() -> None:
    model = unet_denoiser(Grid(1, 8, 8), generator=seeded(), **SIZES).model
    images = torch.rand(1, 1, 96, 96, generator=seeded(2))
    changed = images.clone()
    changed[0, 0, 49, 49] += 1
    moved = (restored(model, changed, level=0.1) != restored(model, images, level=0.1))[0, 0].nonzero()
    assert int((moved - 49).abs().max()) - model.encoder.reach < model.encoder.step


def test_an_image_and_a_level_that_are_scaled_together_give_a_scaled_result() -> None:
    model = unet_denoiser(Grid(1, 8, 8), generator=seeded(), **SIZES).model
    images = torch.rand(1, 1, 16, 16, generator=seeded(2))
    twice = restored(model, 2 * images, level=0.2)
    torch.testing.assert_close(twice, 2 * restored(model, images, level=0.1))


def test_the_level_is_estimated_where_it_is_not_told() -> None:
    flat = torch.full((3, 1, 64, 65), 0.5) + torch.tensor([0.05, 0.1, 0.2])[:, None, None, None] * torch.randn(
        3, 1, 64, 65, generator=seeded(1)
    )
    found = estimated_level(flat)
    torch.testing.assert_close(found, torch.tensor([0.05, 0.1, 0.2]), rtol=0.1, atol=0)
    assert estimated_level(torch.rand(2, 1, 2, 9)).tolist() == [0, 0]
    model = unet_denoiser(Grid(1, 8, 8), generator=seeded(), **SIZES).model.eval()
    one = flat[1:2]
    torch.testing.assert_close(restored(model, one), restored(model, one, level=float(found[1])))
    values = Values(one)
    with torch.no_grad():
        decoded = model.decode(model.encode(values).point, Batch(torch.arange(1), values, values))
    torch.testing.assert_close(decoded, restored(model, one))


def test_levels_are_drawn_for_each_image_and_told() -> None:
    drawn = ToldNoiseLevel(0.1, 0.3)(Values(torch.zeros(400, 1, 20, 20)), seeded()).values
    assert drawn.shape == (400, 2, 20, 20)
    told = drawn[:, 1, 0, 0]
    assert torch.equal(drawn[:, 1], told[:, None, None].expand(-1, 20, 20))
    torch.testing.assert_close(drawn[:, 0].flatten(1).std(1), told, rtol=0.2, atol=0)
    assert 0.1 <= float(told.min()) < 0.12
    assert 0.28 < float(told.max()) <= 0.3


def test_the_network_sees_the_noisy_image_and_the_likelihood_the_clean_one() -> None:
    recipe = unet_denoiser(Grid(1, 8, 8), generator=seeded(), **{**SMALL, "low": 0.2, "high": 0.2})
    with torch.no_grad():
        recipe.model.decoder.noise.weight.zero_()
    batch = GridSource(stripes(6, 8, 8)).batch(torch.arange(6))
    step = recipe.model.step(batch, generator=seeded(1))
    error = (step.decoded.detach() - batch.targets.values).square().mean()
    assert float(error) == pytest.approx(0.2**2, rel=0.15)


def test_rebuilt_from_its_settings() -> None:
    recipe = unet_denoiser(Grid(3, 8, 8), generator=seeded(), **SIZES)
    again = rebuild(unet_denoiser, Grid(3, 8, 8), SIZES, state_of(recipe.model))
    images = torch.rand(1, 3, 9, 11, generator=seeded())
    assert torch.equal(restored(recipe.model, images), restored(again, images))


def test_every_record_counts_alike_in_the_likelihood() -> None:
    likelihood, targets = EachScaleGaussian(), torch.zeros(2, 1, 4, 4)
    decoded = torch.stack([torch.full((1, 4, 4), 0.01), torch.full((1, 4, 4), 0.1)]).requires_grad_()
    found = likelihood(IdentityReadout(), decoded, Values(targets))
    found.sum().backward()
    # A tenth of the error has ten times the gradient: the same relative improvement gains the same.
    gains = (decoded.grad * decoded.detach()).flatten(1).sum(1)
    torch.testing.assert_close(gains, torch.full((2,), -16.0), rtol=0.02, atol=0)
    assert float((found[0] - found[1]).detach()) == pytest.approx(16 * torch.tensor(10.0).log().item(), rel=0.01)
    assert torch.equal(likelihood.mean(IdentityReadout(), decoded), decoded)
    drawn = likelihood.sample(IdentityReadout(), decoded, seeded())
    assert 0 < float((drawn - decoded).detach().std()) < 0.01


@pytest.mark.parametrize(
    "changes", [{"widths": []}, {"widths": [8]}, {"widths": [8, 0]}, {"blocks": [1, 0]}, {"low": 0.4}, {"high": 0.0}]
)
def test_settings_that_cannot_be(changes: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        unet_denoiser(Grid(1, 8, 8), generator=seeded(), **{**SMALL, **changes})


def test_inputs_that_cannot_be() -> None:
    model = unet_denoiser(Grid(1, 8, 8), generator=seeded(), **SIZES).model
    with pytest.raises(InputError, match="3 x 8 x 8"):
        restored(model, torch.zeros(1, 3, 8, 8))
    with pytest.raises(InputError, match="2 x 8 x 8"):
        restored(model, with_level(torch.zeros(1, 1, 8, 8), torch.zeros(1)))
    with pytest.raises(SettingError, match=r"level=-0\.1"):
        restored(model, torch.zeros(1, 1, 8, 8), level=-0.1)
    bags = Bags(torch.zeros(0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), torch.zeros(0))
    with pytest.raises(SettingError, match="Bags"):
        ToldNoiseLevel(0.0, 0.1)(bags, seeded())
    with pytest.raises(SettingError, match="floor"):
        EachScaleGaussian(0.0)
    with pytest.raises(SettingError, match="one logit"):
        EachScaleGaussian()(IdentityReadout(), torch.zeros(1, 1, 3, 3), Values(torch.zeros(1, 1, 4, 4)))
    assert UNetEncoder(1, generator=seeded()).step == 8
