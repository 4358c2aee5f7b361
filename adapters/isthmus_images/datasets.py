"""Real images for tests, benchmarks and the demo; looked for where ``isthmus.datafolder`` looks.

The digits of scikit-learn come with that library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.datafolder import dataset_path
from isthmus.errors import MissingLibraryError, SettingError
from isthmus_images.files.arrays import read_arrays
from isthmus_images.files.pixels import Picture
from isthmus_images.images import Images

CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
TEST_DIGITS = 297
"""The last rows of the digits; other people wrote them."""


@dataclass(frozen=True)
class Photographs:
    """Grey pictures of several sizes.

    Attributes:
        pictures: bytes [1, height, width], by name.
    """

    pictures: dict[str, Picture]


def fashion_mnist(part: str = "train") -> Images:
    """Grey 28 x 28 pictures of clothes (Xiao, Rasul & Vollgraf 2017): ``train`` 60,000, ``test`` 10,000; labels are the
    names of ``CLOTHES``.

    Raises:
        SettingError: another part.
        SourceError: the data are not there.
    """
    _known(part, ("train", "test"))
    prefix = {"train": "train", "test": "t10k"}[part]
    found = Images.read(dataset_path(f"fashion-mnist/{prefix}-images-idx3-ubyte.xz"))
    labels = None if found.labels is None else tuple(CLOTHES[int(label)] for label in found.labels)
    return Images(found.pixels, found.names, labels)


def digits(part: str = "train") -> Images:
    """Grey 8 x 8 handwritten digits of scikit-learn (Alpaydin & Kaynak 1998): ``train`` 1,500, ``test`` 297.

    Raises:
        SettingError: another part.
        MissingLibraryError: scikit-learn is not installed.
    """
    _known(part, ("train", "test"))
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingLibraryError("the digits come with scikit-learn", remedy="pip install scikit-learn") from error
    found = load_digits()
    whole = Images.read((found.images / 16).astype(np.float32))
    labelled = Images(whole.pixels, whole.names, tuple(map(str, found.target.tolist())))
    train = len(whole) - TEST_DIGITS
    return labelled.select(np.arange(train) if part == "train" else np.arange(train, len(whole)))


def train400() -> Images:
    """400 grey photographs of 180 x 180, to learn denoising from (Zhang et al. 2017).

    Raises:
        SourceError: the data are not there.
    """
    return Images.read(dataset_path("denoise-grey/train400.npy.xz"))


def denoise_grey(part: str) -> Photographs:
    """Grey photographs that denoisers are compared on: ``set12`` (12) and ``bsd68`` (68), of several sizes.

    Raises:
        SettingError: another part.
        SourceError: the data are not there.
    """
    _known(part, ("set12", "bsd68"))
    found = read_arrays(dataset_path(f"denoise-grey/{part}.npz.xz"))
    return Photographs({name: array.astype(np.uint8)[None] for name, array in sorted(found.items())})


def _known(part: str, parts: tuple[str, ...]) -> None:
    if part not in parts:
        raise SettingError(f"part={part!r}", expected=f"one of {', '.join(parts)}")
