"""The face over images: small models on bars, of which is known where they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictured import SIDE, SMALL, bars, labelled
from PIL import Image

from isthmus import bundle
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.metrics.images import mse
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder

RUN = Run(device="cpu", precision="fp32")
TRAIN, TEST = labelled(300), labelled(40, seed=1)


def without(model: ImageAutoencoder, *parts: str) -> ImageAutoencoder:
    return replace(model, fitted=replace(model.fitted, **dict.fromkeys(parts)))


@pytest.fixture(scope="module")
def plain() -> ImageAutoencoder:
    return ImageAutoencoder.fit(TRAIN, run=RUN, epochs=25, **SMALL)


@pytest.fixture(scope="module")
def variational() -> ImageAutoencoder:
    return ImageAutoencoder.fit(TRAIN, "variational", run=RUN, epochs=4, **SMALL)


def test_images_come_back_from_their_codes(plain: ImageAutoencoder) -> None:
    back, meant = plain.reconstruct(TEST), TEST.array()
    assert back.shape == meant.shape
    assert back.dtype == np.float32
    assert mse(back, meant).mean() < 0.25 * mse(np.broadcast_to(TRAIN.array().mean(0), meant.shape), meant).mean()
    codes = plain.encode(TEST)
    assert codes.shape == (40, plain.code_width) == (40, 4)
    np.testing.assert_allclose(plain.decode(codes), back, atol=1e-6)
    np.testing.assert_allclose(plain.decode(torch.from_numpy(codes)), back, atol=1e-6)


def test_the_same_image_has_the_same_code_wherever_it_stands(plain: ImageAutoencoder) -> None:
    together = plain.encode(TEST)
    np.testing.assert_allclose(plain.encode(TEST.select([7])), together[[7]], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(plain.encode(bars(40, 1)), together, rtol=1e-5, atol=1e-5)
    assert np.array_equal(plain.encode(TEST), together)


def test_the_same_seed_gives_the_same_model(variational: ImageAutoencoder) -> None:
    again = ImageAutoencoder.fit(TRAIN, "variational", run=RUN, epochs=4, **SMALL)
    assert np.array_equal(again.encode(TEST), variational.encode(TEST))


def test_search_finds_bars_at_the_same_place(plain: ImageAutoencoder) -> None:
    answers = plain.search(TEST, 3)
    near = np.array([np.abs(TEST.array()[row] - TRAIN.array()[one[0].row]).mean() for row, one in enumerate(answers)])
    assert np.median(near) < 0.05
    assert np.mean([one[0].label == label for one, label in zip(answers, TEST.labels or (), strict=True)]) > 0.9
    own = plain.search(TRAIN.select([5]), 2)[0]
    assert own[0].score == pytest.approx(0, abs=1e-4)
    assert own[0].score >= own[1].score
    other = plain.with_gallery(TEST)
    assert other.search(TEST.select([3]), 99)[0][0].row in np.flatnonzero(
        (TEST.pixels == TEST.pixels[3]).all((1, 2, 3))
    )
    assert len(plain.search(TEST.select([3]), 1)[0]) == 1
    with pytest.raises(InputError, match="with_gallery"):
        without(plain, "gallery").search(TEST)
    with pytest.raises(SettingError):
        plain.search(TEST, 0)


def test_what_is_no_bar_is_strange(plain: ImageAutoencoder) -> None:
    noise = np.random.default_rng(0).uniform(size=(30, SIDE, SIDE))
    usual, strange = plain.anomaly_scores(TEST), plain.anomaly_scores(noise)
    assert strange.min() > np.median(usual)
    assert plain.is_anomaly(noise).all()
    assert plain.is_anomaly(TEST).mean() < 0.3
    assert np.array_equal(plain.anomaly_scores(TEST), usual)
    with pytest.raises(InputError, match="anomaly scorer"):
        without(plain, "anomaly_scorer").anomaly_scores(TEST)


def test_interpolation_has_both_ends(plain: ImageAutoencoder) -> None:
    between = plain.interpolate(TEST.select([0]), bars(40, 1)[[1]], 5)
    np.testing.assert_allclose(between[[0, -1]], plain.reconstruct(TEST.select([0, 1])), atol=1e-5)
    assert len(between) == 5
    with pytest.raises(InputError, match="2 and 1"):
        plain.interpolate(TEST.select([0, 1]), TEST.select([2]))
    with pytest.raises(SettingError, match="at least 2"):
        plain.interpolate(TEST.select([0]), TEST.select([2]), 1)


def test_samples_follow_their_seed_and_prior(plain: ImageAutoencoder, variational: ImageAutoencoder) -> None:
    assert plain.sample(6, seed=1).shape == (6, SIDE, SIDE)
    assert np.array_equal(plain.sample(6, seed=1), plain.sample(6, seed=1))
    assert not np.array_equal(plain.sample(6, seed=1), plain.sample(6, seed=2))
    assert variational.sample(3, prior="standard").shape == (3, SIDE, SIDE)
    with pytest.raises(SettingError, match="without a prior"):
        plain.sample(3, prior="standard")
    with pytest.raises(SettingError, match="wild"):
        plain.sample(3, prior="wild")
    with pytest.raises(SettingError, match="prior='standard'"):
        without(plain, "latent_prior").sample(3)
    with pytest.raises(SettingError, match="0 samples"):
        plain.sample(0)


def test_denoising_takes_noise_away() -> None:
    model = ImageAutoencoder.fit(TRAIN, "denoising", run=RUN, epochs=25, level=0.3, **SMALL)
    found = model.evaluate(TEST, noise=0.3)
    assert found.noisy_psnr is not None
    assert found.denoised_psnr is not None
    assert found.denoised_psnr > found.noisy_psnr + 3
    dark = TEST.array() - 0.5
    assert model.denoise(dark).min() >= 0
    with pytest.raises(InputError):
        model.reconstruct(dark)


def test_evaluation(plain: ImageAutoencoder, variational: ImageAutoencoder) -> None:
    found = plain.evaluate(TEST)
    assert found.mse == pytest.approx(mse(plain.reconstruct(TEST), TEST.array()).mean())
    assert found.rate == 0
    assert (found.weighted_nll, found.noise, found.denoised_psnr) == (None, None, None)
    weighted = variational.evaluate(TEST, samples=20)
    assert weighted.rate > 0
    assert weighted.weighted_nll is not None
    assert weighted.weighted_nll < weighted.nll + weighted.rate
    assert plain.evaluate(TEST.select([0])).active_units is None
    with pytest.raises(SettingError, match="without a posterior"):
        plain.evaluate(TEST, samples=2)
    with pytest.raises(SettingError, match="noise -1"):
        plain.evaluate(TEST, noise=-1.0)


@pytest.mark.parametrize("name", ["plain", "variational"])
def test_what_is_saved_answers_as_before(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model: ImageAutoencoder = request.getfixturevalue(name)
    model.save(tmp_path / "m")
    again = ImageAutoencoder.load(tmp_path / "m")
    assert np.array_equal(again.encode(TEST), model.encode(TEST))
    assert np.array_equal(again.sample(3), model.sample(3))
    assert np.array_equal(again.anomaly_scores(TEST), model.anomaly_scores(TEST))
    assert again.anomaly_scorer.threshold == model.anomaly_scorer.threshold
    assert again.search(TEST, 4) == model.search(TEST, 4)
    assert (again.settings, again.builder) == (model.settings, model.builder)
    assert again.history.records == model.history.records


def test_parts_that_are_missing_stay_missing(plain: ImageAutoencoder, tmp_path: Path) -> None:
    without(plain, "latent_prior", "gallery", "anomaly_scorer").save(tmp_path / "m")
    again = ImageAutoencoder.load(tmp_path / "m")
    found = again.fitted
    assert (found.latent_prior, found.gallery, found.anomaly_scorer) == (None, None, None)
    assert np.array_equal(again.encode(TEST), plain.encode(TEST))


@pytest.mark.parametrize(
    ("document", "content"),
    [
        ("images.json", '{"channels": 1, "height": 40, "width": 40}'),
        ("gallery.json", '{"names": ["a"], "labels": null}'),
        ("gallery.json", "[]"),
        ("strangeness.json", '{"value": "x"}'),
        ("strangeness.json", "{"),
    ],
)
def test_bundles_that_do_not_fit(plain: ImageAutoencoder, tmp_path: Path, document: str, content: str) -> None:
    plain.save(tmp_path / "m")
    saved = bundle.read(tmp_path / "m")
    manifest = saved.manifest
    bundle.write(
        tmp_path / "changed",
        plugin="images",
        builder=manifest.builder,
        settings=manifest.settings,
        tensors=saved.tensors,
        documents={**saved.documents, document: content},
        facts=manifest.facts,
    )
    with pytest.raises(BundleError):
        ImageAutoencoder.load(tmp_path / "changed")
    bundle.write(
        tmp_path / "foreign",
        plugin="text",
        builder="sequence_vae",
        settings={},
        tensors=saved.tensors,
        documents=saved.documents,
    )
    with pytest.raises(BundleError, match="of text"):
        ImageAutoencoder.load(tmp_path / "foreign")


def test_colour_and_files(tmp_path: Path) -> None:
    for row, grey in enumerate(bars(60)):
        Image.fromarray(np.stack([grey, grey // 2, 255 - grey], 2)).resize((20, 24)).save(tmp_path / f"{row:02d}.png")
    model = ImageAutoencoder.fit(tmp_path, size=(9, 13), epochs=1, run=RUN, **SMALL)
    assert model.adapter.signal.channels == 3
    assert model.reconstruct(tmp_path / "00.png").shape == (1, 9, 13, 3)
    assert model.encode(tmp_path).shape == (60, 4)
    same = {one.item for one in model.search(tmp_path / "07.png", 60)[0] if one.score > -1e-4}
    assert "07.png" in same
    with pytest.raises(InputError, match="12 x 12"):
        model.encode(bars(3))


def test_few_images_train_to_the_last_epoch() -> None:
    model = ImageAutoencoder.fit(bars(20), epochs=2, run=RUN, **SMALL)
    assert (model.fitted.latent_prior, model.facts["validation_images"]) == (None, 0)
    assert model.history.metric is None
    assert model.anomaly_scores(bars(4)).shape == (4,)
    alone = ImageAutoencoder.fit(bars(1), epochs=1, run=RUN, **SMALL)
    assert alone.fitted.anomaly_scorer is None
    assert alone.encode(bars(1)).shape == (1, 4)


def test_settings_and_codes_that_are_none(plain: ImageAutoencoder) -> None:
    with pytest.raises(SettingError, match="no setting 'cod'"):
        ImageAutoencoder.fit(TRAIN, cod=3)
    with pytest.raises(SettingError, match="mult"):
        ImageAutoencoder.fit(TRAIN, "mult-vae")
    with pytest.raises(SettingError, match=r"validation=0\.9"):
        ImageAutoencoder.fit(TRAIN, validation=0.9)
    with pytest.raises(SettingError, match="at least 8 x 8"):
        ImageAutoencoder.fit(np.zeros((60, 4, 4), np.uint8))
    for codes in (np.zeros((2, 5)), np.zeros(4), np.zeros((0, 4)), np.full((1, 4), np.nan), [["a"] * 4]):
        with pytest.raises(InputError, match="codes"):
            plain.decode(codes)


def test_without_scikit_learn_there_is_no_fitted_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    model = ImageAutoencoder.fit(bars(60), epochs=1, run=RUN, **SMALL)
    assert model.fitted.latent_prior is None
    assert model.encode(bars(2)).shape == (2, 4)
