"""Real images for tests, benchmarks and the demo.

``demo_clothes`` is included in the package. The other data sets are searched for in the folders of
``isthmus.datafolder``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from isthmus.datafolder import dataset_path
from isthmus.errors import SettingError
from isthmus.reprs import brief
from isthmus_images.files.arrays import read_arrays
from isthmus_images.files.pixels import Picture
from isthmus_images.images import Images

CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@brief
@dataclass(frozen=True)
class Photographs:
    """Grey pictures of different sizes.

    Attributes:
        pictures: bytes [1, height, width], by name.
    """

    pictures: dict[str, Picture]


def demo_clothes(part: str = "train") -> Images:
    """Grey 28 x 28 pictures of clothes, included in the package: the first ones of each label of Fashion-MNIST (MIT
    licence), ``train`` 6,900, ``test`` 1,000; labels are the names of ``CLOTHES``.

    Raises:
        SettingError: another part.
    """
    _known(part, ("train", "test"))
    with as_file(files("isthmus_images") / "data" / "demo_fashion_mnist") as folder:
        return _clothes(folder / f"{part}-images-idx3-ubyte.xz")


def fashion_mnist(part: str = "train") -> Images:
    """Grey 28 x 28 pictures of clothes (Xiao, Rasul & Vollgraf 2017): ``train`` 60,000, ``test`` 10,000; labels are the
    names of ``CLOTHES``.

    Raises:
        SettingError: another part.
        SourceError: the data are not available.
    """
    _known(part, ("train", "test"))
    prefix = {"train": "train", "test": "t10k"}[part]
    return _clothes(dataset_path(f"fashion-mnist/{prefix}-images-idx3-ubyte.xz"))


def train400() -> Images:
    """400 grey photographs of 180 x 180 pixels, for training denoisers (Zhang et al. 2017).

    Raises:
        SourceError: the data are not available.
    """
    return Images.read(dataset_path("denoise-grey/train400.npy.xz"))


def denoise_grey(part: str) -> Photographs:
    """Grey photographs for comparing denoisers: ``set12`` (12) and ``bsd68`` (68), of different sizes.

    Raises:
        SettingError: another part.
        SourceError: the data are not available.
    """
    _known(part, ("set12", "bsd68"))
    found = read_arrays(dataset_path(f"denoise-grey/{part}.npz.xz"))
    return Photographs({name: array.astype(np.uint8)[None] for name, array in sorted(found.items())})


def _clothes(path: Path) -> Images:
    found = Images.read(path)
    labels = None if found.labels is None else tuple(CLOTHES[int(label)] for label in found.labels)
    return Images(found.pixels, found.names, labels)


def _known(part: str, parts: tuple[str, ...]) -> None:
    if part not in parts:
        raise SettingError(f"part={part!r}", expected=f"one of {', '.join(parts)}")
