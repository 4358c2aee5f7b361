"""Noise taken away from images of any size, and the crops that is learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictured import bars
from PIL import Image

from isthmus.cli import main
from isthmus.errors import InputError, SettingError
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder, Images
from isthmus_images.denoising import noised

RUN = Run(device="cpu", precision="fp32")


def stripes(height: int, width: int) -> np.ndarray:
    picture = np.full((height, width), 30, np.uint8)
    picture[:, ::8] = picture[:, 1::8] = picture[:, 2::8] = picture[:, 3::8] = 220
    return picture


@pytest.fixture(scope="module")
def denoiser() -> ImageAutoencoder:
    small = {"filters": 8, "depth": 4, "epochs": 40, "batch_size": 16, "learning_rate": 5e-3}
    given = [stripes(24, 32), stripes(40, 40)]
    return ImageAutoencoder.fit(given, "residual-denoiser", size=16, crops=60, run=RUN, low=0.2, high=0.2, **small)


def test_photographs_of_several_sizes_come_back_without_noise(denoiser: ImageAutoencoder) -> None:
    given = [stripes(20, 28), stripes(33, 17)]
    found = denoiser.evaluate(given, noise=0.2)
    assert found.noisy_psnr is not None
    assert found.denoised_psnr is not None
    assert found.denoised_psnr > found.noisy_psnr + 2
    assert (found.mse, found.rate) == (None, None)
    cleaned = denoiser.denoise(given)
    assert [one.shape for one in cleaned] == [(20, 28), (33, 17)]
    assert denoiser.denoise([given[0], given[0]]).shape == (2, 20, 28)
    scores = [one["objective"] for one in denoiser.history.records]
    assert max(scores) > scores[0], "it is scored on noisy images"


def test_it_is_saved_and_used_from_the_command_line(
    denoiser: ImageAutoencoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    denoiser.save(tmp_path / "m")
    for name, sizes in (("a.png", (20, 28)), ("b.png", (33, 17))):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(stripes(*sizes)).save(tmp_path / "in" / name)
    assert main(["denoise", str(tmp_path / "m"), str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "b.png").size == (17, 33)
    assert main(["evaluate", str(tmp_path / "m"), str(tmp_path / "in"), "--noise", "0.1", "--json"]) == 0
    capsys.readouterr()
    for args in (("sample", "--out", "x.png"), ("encode", str(tmp_path / "in"), "--json")):
        assert main([args[0], str(tmp_path / "m"), *args[1:]]) == 2
        assert "residual_denoiser" in capsys.readouterr().err


def test_what_a_denoiser_does_not_have(denoiser: ImageAutoencoder) -> None:
    picture = stripes(16, 16)[None]
    for ask in (denoiser.encode, denoiser.reconstruct, denoiser.search):
        with pytest.raises(InputError, match="has no codes"):
            ask(picture)
    with pytest.raises(InputError):
        denoiser.anomaly_scores(picture)
    with pytest.raises(SettingError, match="noise"):
        denoiser.evaluate(picture)


def test_crops_are_parts_of_their_picture() -> None:
    numbered = np.arange(20 * 30, dtype=np.int64).reshape(20, 30) % 251
    crops = Images.crops([numbered, numbered.T.copy()], 12, size=(5, 7), seed=3)
    assert crops.pixels.shape == (24, 1, 5, 7)
    assert crops.names[:2] == ("0#0", "0#1")
    windows = np.lib.stride_tricks.sliding_window_view(numbered, (5, 7)).reshape(-1, 5, 7)
    for crop in crops.pixels[:12, 0]:
        assert any((windows == seen).all((1, 2)).any() for seen in (crop, crop[:, ::-1]))
    assert np.array_equal(
        Images.crops([numbered], 4, size=5, seed=1).pixels, Images.crops([numbered], 4, size=5, seed=1).pixels
    )
    assert not np.array_equal(crops.pixels[0], crops.pixels[1])


def test_crops_that_cannot_be_cut() -> None:
    with pytest.raises(InputError, match="12 x 12"):
        Images.crops(bars(2), 3, size=13)
    with pytest.raises(SettingError, match="size"):
        Images.crops(bars(2), 3)
    with pytest.raises(SettingError, match="0"):
        Images.crops(bars(2), 0, size=4)
    labels = Images(bars(2)[:, None], ("a", "b"), ("x", "y"))
    assert Images.crops(labels, 2, size=8).labels == ("x", "x", "y", "y")


def test_noise_is_that_of_numpy() -> None:
    images = Images.read(bars(3))
    expected = images.array() + np.random.default_rng(5).normal(0, 0.1, (3, 12, 12))
    np.testing.assert_allclose(noised(images, 0.1, 5).array(), expected, atol=1e-6)
