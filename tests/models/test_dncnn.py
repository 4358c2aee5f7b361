"""The residual denoiser: any size, tiles that do not show, and noise that goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from planted import one_thread
from signals import GridSource, seeded
from striped import noisy, stripes

from isthmus.batch import Bags, Batch, Grid, Values
from isthmus.bundle.tensors import state_of
from isthmus.errors import InputError, SettingError
from isthmus.models.denoisers.dncnn import residual_denoiser
from isthmus.models.denoisers.noise import UniformNoiseLevel
from isthmus.models.denoisers.restoring import IdentityReadout, ResidualDecoder, restored
from isthmus.models.kinds import vanilla
from isthmus.models.recipes.rebuild import rebuild
from isthmus.training.run import Run

SMALL = {"filters": 8, "depth": 4, "epochs": 10, "batch_size": 16, "learning_rate": 5e-3, "low": 0.2, "high": 0.2}


@pytest.fixture(autouse=True)
def _single() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("shrink", [1, 2])
def test_noise_goes_from_images_of_another_size(shrink: int) -> None:
    recipe = residual_denoiser(Grid(1, 12, 12), generator=seeded(), shrink=shrink, **SMALL)
    recipe.fit(GridSource(stripes(160, 12, 12)), Run(device="cpu", precision="fp32"))
    clean = stripes(4, 17, 23, seed=7)
    before = float((noisy(clean) - clean).square().mean())
    left = (restored(recipe.model, noisy(clean)) - clean).square().mean()
    assert float(left) < 0.6 * before


@pytest.mark.parametrize("shrink", [1, 2, 3])
@pytest.mark.parametrize("tile", [5, 16])
def test_tiles_do_not_show(tile: int, shrink: int) -> None:
    model = residual_denoiser(Grid(1, 8, 8), generator=seeded(), filters=4, depth=3, shrink=shrink).model
    _shaken(model)
    images = torch.rand(2, 1, 19, 26, generator=seeded(2))
    torch.testing.assert_close(restored(model, images, tile=tile), restored(model, images), atol=1e-5, rtol=1e-5)


def test_a_pixel_reaches_no_further_than_said() -> None:
    for shrink in (1, 2):
        model = residual_denoiser(Grid(1, 8, 8), generator=seeded(), filters=4, depth=3, shrink=shrink).model
        _shaken(model)
        images = torch.rand(1, 1, 30, 30, generator=seeded(2))
        changed = images.clone()
        changed[0, 0, 15, 15] += 1
        moved = (restored(model, changed) != restored(model, images))[0, 0].nonzero()
        beyond = int((moved - 15).abs().max()) - model.encoder.reach
        assert beyond < shrink


def test_the_likelihood_scores_the_clean_image_and_the_network_sees_the_noisy_one() -> None:
    recipe = residual_denoiser(Grid(1, 8, 8), generator=seeded(), **SMALL)
    with torch.no_grad():
        recipe.model.decoder.noise.weight.zero_()
    batch = GridSource(stripes(6, 8, 8)).batch(torch.arange(6))
    step = recipe.model.step(batch, generator=seeded(1))
    # Nothing is taken away: what is decoded is the noisy input, whose mean squared error is the noise's.
    error = (step.decoded.detach() - batch.targets.values).square().mean()
    assert float(error) == pytest.approx(0.2**2, rel=0.15)
    clean = recipe.model.step(batch)
    assert torch.equal(clean.decoded, batch.targets.values)


def test_levels_are_drawn_for_each_image() -> None:
    still = Values(torch.zeros(400, 1, 20, 20))
    spread = UniformNoiseLevel(0.1, 0.3)(still, seeded()).values.flatten(1).std(1)
    assert 0.08 < float(spread.min()) < 0.12
    assert 0.28 < float(spread.max()) < 0.33
    assert float(spread.mean()) == pytest.approx(0.2, abs=0.01)


def test_rebuilt_from_its_settings() -> None:
    recipe = residual_denoiser(Grid(3, 8, 8), generator=seeded(), filters=4, depth=3, shrink=2)
    again = rebuild(residual_denoiser, Grid(3, 8, 8), {"filters": 4, "depth": 3, "shrink": 2}, state_of(recipe.model))
    images = torch.rand(1, 3, 9, 11, generator=seeded())
    assert torch.equal(restored(recipe.model, images), restored(again, images))


def test_inner_layers_begin_near_the_identity() -> None:
    encoder = residual_denoiser(Grid(1, 8, 8), generator=seeded(), filters=6, depth=4).model.encoder
    maps = torch.rand(2, 6, 9, 9, generator=seeded(1))
    for layer in encoder.layers:
        assert float((layer(maps) - maps).detach().square().mean()) < 0.1 * float(maps.square().mean())


def test_training_is_as_before_afterwards() -> None:
    model = residual_denoiser(Grid(1, 8, 8), generator=seeded(), filters=4, depth=3).model.train()
    restored(model, torch.rand(1, 1, 8, 8))
    assert model.training


@pytest.mark.parametrize("changes", [{"depth": 2}, {"filters": 0}, {"shrink": 0}, {"low": 0.3}, {"high": 0.0}])
def test_settings_that_cannot_be(changes: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        residual_denoiser(Grid(1, 8, 8), generator=seeded(), **{**SMALL, "high": 0.2, **changes})


def test_inputs_that_cannot_be() -> None:
    model = residual_denoiser(Grid(1, 8, 8), generator=seeded(), filters=4, depth=3).model
    with pytest.raises(InputError, match="3 x 8 x 8"):
        restored(model, torch.zeros(1, 3, 8, 8))
    with pytest.raises(SettingError, match="tile"):
        restored(model, torch.zeros(1, 1, 8, 8), tile=0)
    with pytest.raises(SettingError, match="residual_denoiser"):
        restored(vanilla(Grid(1, 8, 8), generator=seeded(), hidden=4).model, torch.zeros(1, 1, 8, 8))
    with pytest.raises(SettingError, match="inputs"):
        ResidualDecoder(4, 1, generator=seeded())(torch.zeros(1, 4, 8, 8), None)
    with pytest.raises(SettingError, match="columns"):
        IdentityReadout().logits(torch.zeros(1, 1, 8, 8), slice(0, 1))
    bags = Bags(torch.zeros(0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), torch.zeros(0))
    with pytest.raises(SettingError, match="Bags"):
        UniformNoiseLevel(0.0, 0.1)(bags, seeded())


def test_a_batch_is_what_was_encoded() -> None:
    values = Values(torch.rand(2, 1, 9, 9, generator=seeded()))
    model = residual_denoiser(Grid(1, 9, 9), generator=seeded(), filters=4, depth=3).model.eval()
    with torch.no_grad():
        decoded = model.decode(model.encode(values).point, Batch(torch.arange(2), values, values))
    torch.testing.assert_close(decoded, restored(model, values.values))


def _shaken(model: torch.nn.Module) -> None:
    """Running statistics and scales that are not those of a fresh network."""
    for norm in model.encoder.norms:
        norm.running_mean.normal_(generator=seeded(4))
        norm.running_var.uniform_(0.5, 2.0, generator=seeded(5))
