"""What only images have, and how well small models do on bars whose places are known. What every face does is in
``test_image_contract.py``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictured import SIDE, SMALL, bars, labelled
from PIL import Image

from isthmus import bundle
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.metrics.images import mse, psnr
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
    assert plain.encode(TEST).shape == (40, plain.code_width) == (40, 4)


def test_search_finds_bars_at_the_same_place(plain: ImageAutoencoder) -> None:
    answers = plain.search(TEST, 3)
    near = np.array([np.abs(TEST.array()[row] - TRAIN.array()[one[0].row]).mean() for row, one in enumerate(answers)])
    assert np.median(near) < 0.05
    assert np.mean([one[0].label == label for one, label in zip(answers, TEST.labels or (), strict=True)]) > 0.9
    own = plain.search(TRAIN.select([5]), 2)[0]
    assert own[0].score == pytest.approx(0, abs=1e-4)
    assert own[0].score >= own[1].score
    same = np.flatnonzero((TEST.pixels == TEST.pixels[3]).all((1, 2, 3)))
    assert plain.with_gallery(TEST).search(TEST.select([3]), 99)[0][0].row in same


def test_what_is_no_bar_is_strange(plain: ImageAutoencoder) -> None:
    noise = np.random.default_rng(0).uniform(size=(30, SIDE, SIDE))
    usual, strange = plain.anomaly_scores(TEST), plain.anomaly_scores(noise)
    assert strange.min() > np.median(usual)
    assert plain.is_anomaly(noise).all()
    assert plain.is_anomaly(TEST).mean() < 0.3


@pytest.mark.slow
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
    each = psnr(plain.reconstruct(TEST), TEST.array())
    assert found.standard_errors["psnr"] == pytest.approx(each.std(ddof=1) / np.sqrt(len(TEST)))
    assert (found.weighted_nll, found.noise, found.denoised_psnr) == (None, None, None)
    weighted = variational.evaluate(TEST, samples=20)
    assert weighted.rate > 0
    assert weighted.weighted_nll is not None
    assert weighted.weighted_nll < weighted.nll + weighted.rate
    assert plain.evaluate(TEST.select([0])).active_units is None
    with pytest.raises(SettingError, match="posterior"):
        plain.evaluate(TEST, samples=2)
    with pytest.raises(SettingError, match="noise -1"):
        plain.evaluate(TEST, noise=-1.0)


def test_parts_that_are_missing_stay_missing(plain: ImageAutoencoder, tmp_path: Path) -> None:
    without(plain, "latent_prior", "gallery", "anomaly_scorer").save(tmp_path / "m")
    again = ImageAutoencoder.load(tmp_path / "m")
    found = again.fitted
    assert (found.latent_prior, found.gallery, found.anomaly_scorer) == (None, None, None)
    assert np.array_equal(again.encode(TEST), plain.encode(TEST))
    for ask in (again.search, again.anomaly_scores, lambda _: again.sample(1)):
        with pytest.raises(InputError):
            ask(TEST)


def rewritten(source: Path, target: Path, plugin: str, documents: dict[str, str]) -> Path:
    saved = bundle.read(source)
    manifest = saved.manifest
    bundle.write(
        target,
        plugin=plugin,
        builder=manifest.builder,
        settings=manifest.settings,
        tensors=saved.tensors,
        documents={**saved.documents, **documents},
        facts=manifest.facts,
    )
    return target


def test_bundles_that_do_not_fit(plain: ImageAutoencoder, tmp_path: Path) -> None:
    plain.save(tmp_path / "m")
    documents = [
        ("images.json", '{"channels": 1, "height": 40, "width": 40}'),
        ("gallery.json", '{"names": ["a"], "labels": null}'),
        ("gallery.json", "[]"),
        ("strangeness.json", '{"value": "x"}'),
        ("strangeness.json", "{"),
    ]
    for row, (name, content) in enumerate(documents):
        changed = rewritten(tmp_path / "m", tmp_path / str(row), "images", {name: content})
        with pytest.raises(BundleError):
            ImageAutoencoder.load(changed)
    with pytest.raises(BundleError, match="of text"):
        ImageAutoencoder.load(rewritten(tmp_path / "m", tmp_path / "foreign", "text", {}))


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


def test_what_is_too_small_is_refused() -> None:
    with pytest.raises(SettingError, match="8 x 8"):
        ImageAutoencoder.fit(np.zeros((60, 4, 4), np.uint8))


def test_without_scikit_learn_there_is_no_fitted_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    model = ImageAutoencoder.fit(bars(60), epochs=1, run=RUN, **SMALL)
    assert model.fitted.latent_prior is None
    assert model.encode(bars(2)).shape == (2, 4)
