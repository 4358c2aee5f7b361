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


def test_clothes_are_bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", "absent")
    for part, each in (("train", 690), ("test", 100)):
        found = datasets.demo_clothes(part)
        assert found.pixels.shape == (10 * each, 1, 28, 28)
        assert found.labels is not None
        assert all(found.labels.count(name) == each for name in datasets.CLOTHES)


def test_bundled_clothes_are_those_of_the_data_set() -> None:
    needs("fashion-mnist")
    whole, some = datasets.fashion_mnist("test"), datasets.demo_clothes("test")
    assert np.array_equal(some.pixels[:500], whole.pixels[_firsts(whole.labels, 100)][:500])


def _firsts(labels: tuple[str, ...] | None, each: int) -> np.ndarray:
    names = np.array(labels)
    return np.sort(np.concatenate([np.flatnonzero(names == name)[:each] for name in datasets.CLOTHES]))


def test_photographs() -> None:
    needs("denoise-grey")
    set12 = datasets.denoise_grey("set12").pictures
    assert len(set12) == 12
    assert {picture.shape for picture in set12.values()} == {(1, 256, 256), (1, 512, 512)}


def test_unknown_parts() -> None:
    for read in (datasets.fashion_mnist, datasets.demo_clothes, datasets.denoise_grey):
        with pytest.raises(SettingError, match="part='validation'"):
            read("validation")


def test_data_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    for read in (datasets.fashion_mnist, datasets.train400):
        with pytest.raises(SourceError, match="ISTHMUS_DATA"):
            read()
