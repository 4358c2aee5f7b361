"""The real images, where they are."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.datafolder import dataset_path
from isthmus.errors import SettingError, SourceError
from isthmus_images import datasets


def needs(name: str) -> None:
    try:
        dataset_path(name)
    except SourceError as error:
        pytest.skip(str(error))


def test_fashion_mnist() -> None:
    needs("fashion-mnist")
    test = datasets.fashion_mnist("test")
    assert test.pixels.shape == (10_000, 1, 28, 28)
    assert test.labels is not None
    assert test.labels[0] == "ankle boot"
    assert all(test.labels.count(name) == 1000 for name in datasets.CLOTHES)


def test_digits() -> None:
    train, test = datasets.digits("train"), datasets.digits("test")
    assert (len(train), len(test), train.size) == (1500, 297, (8, 8))
    assert train.labels is not None
    assert train.labels[:3] == ("0", "1", "2")
    assert (train.pixels.min(), train.pixels.max(), train.pixels.dtype) == (0, 1, np.float32)


def test_photographs() -> None:
    needs("denoise-grey")
    set12 = datasets.denoise_grey("set12").pictures
    assert len(set12) == 12
    assert {picture.shape for picture in set12.values()} == {(1, 256, 256), (1, 512, 512)}


def test_unknown_parts() -> None:
    for read in (datasets.fashion_mnist, datasets.digits, datasets.denoise_grey):
        with pytest.raises(SettingError, match="part='validation'"):
            read("validation")


def test_data_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    for read in (datasets.fashion_mnist, datasets.train400):
        with pytest.raises(SourceError, match="ISTHMUS_DATA"):
            read()
