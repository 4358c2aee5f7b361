"""The image adapter keeps what every adapter keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pictured import SIDE, bars
from PIL import Image

from isthmus.batch import Grid
from isthmus.errors import BundleError, InputError
from isthmus.testing.adapter import AdapterContract
from isthmus_images import ImageAdapter, Images
from isthmus_images.adapter import ImageSource


class TestGrey(AdapterContract):
    adapter = ImageAdapter

    def records(self):
        return ImageAdapter.read(bars(5))

    def foreign(self):
        return ImageAdapter.read(np.zeros((3, 20, 20), np.uint8))


class TestColourAsFloats(AdapterContract):
    adapter = ImageAdapter

    def records(self):
        return ImageAdapter.read(np.random.default_rng(0).uniform(size=(4, 9, 11, 3)))

    def foreign(self):
        return ImageAdapter.read(bars(3))


def test_bytes_become_numbers_from_zero_to_one() -> None:
    images = bars(6)
    source = ImageAdapter.fit(images).prepare(images)
    assert source.pixels.dtype == torch.uint8
    batch = source.batch(torch.tensor([4, 1]))
    assert batch.inputs is batch.targets
    expected = torch.from_numpy(images[[4, 1]][:, None].astype(np.float32) / 255)
    torch.testing.assert_close(batch.inputs.values, expected)
    assert source.lengths.tolist() == [SIDE * SIDE] * 6
    assert isinstance(source.to(torch.device("cpu")), ImageSource)


def test_read_only_arrays_are_copied() -> None:
    images = bars(3)
    images.flags.writeable = False
    source = ImageAdapter.fit(images).prepare(images)
    source.pixels.zero_()
    assert images.max() == 230


def test_images_of_another_size_or_colour_are_refused() -> None:
    adapter = ImageAdapter.fit(bars(3))
    assert adapter.signal == Grid(1, SIDE, SIDE)
    with pytest.raises(InputError, match="9 x 9"):
        adapter.prepare(Images.read(np.zeros((1, 9, 9), np.uint8)))
    with pytest.raises(InputError, match="colour"):
        adapter.prepare(Images.read(np.zeros((1, 12, 12, 3), np.uint8)))


def test_states_that_do_not_fit() -> None:
    with pytest.raises(BundleError, match=r"images\.json"):
        ImageAdapter.restore({})
    good = {"channels": 1, "height": 9, "width": 9}
    for wrong in ({**good, "channels": 2}, {**good, "height": 0}, {**good, "width": "9"}, {"height": 9}, [], 3):
        with pytest.raises(BundleError):
            ImageAdapter.restore({"images.json": json.dumps(wrong)})
    with pytest.raises(BundleError):
        ImageAdapter.restore({"images.json": "{"})


def test_later_pictures_are_scaled_like_those_of_the_training(tmp_path: Path) -> None:
    for name, most in (("train", 4000), ("later", 1000)):
        numbers = np.linspace(0, most, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
        Image.fromarray(numbers).save(tmp_path / f"{name}.png")
    adapter = ImageAdapter.fit(Images.read(tmp_path / "train.png"))
    again = ImageAdapter.restore(adapter.state())
    assert again.levels == (0, 4000)
    assert again.records(tmp_path / "later.png").pixels.max() == 63


def test_later_arrays_are_scaled_like_those_of_the_training() -> None:
    numbers = np.linspace(0, 4000, SIDE * SIDE).reshape(1, SIDE, SIDE).astype(np.uint16)
    again = ImageAdapter.restore(ImageAdapter.fit(Images.read(numbers)).state())
    for later in (numbers // 20, [numbers[0] // 20], (numbers // 20).astype(np.int64)):
        assert again.records(later).pixels.max() == 12
    assert again.records(np.full((1, SIDE, SIDE), 200, np.uint8)).pixels.max() == 200
    old = ImageAdapter.restore({"images.json": json.dumps({"channels": 1, "height": SIDE, "width": SIDE})})
    for later in (numbers.astype(np.int64) // 20, [numbers[0].astype(np.int64) // 20]):
        assert old.records(later).pixels.max() == 200


def test_a_bundle_that_says_nothing_of_levels_means_sixteen_bits() -> None:
    adapter = ImageAdapter.restore({"images.json": json.dumps({"channels": 1, "height": 9, "width": 9})})
    assert adapter.levels == (0, 65535)
    assert ImageAdapter.restore(ImageAdapter.fit(bars(3)).state()).levels is None
