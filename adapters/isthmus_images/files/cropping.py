"""Crops of pictures at their original resolution."""

from __future__ import annotations

import numpy as np

from isthmus.errors import InputError
from isthmus_images.files.loading import Loaded
from isthmus_images.files.pixels import Picture


def cropped(loaded: Loaded, each: int, size: tuple[int, int], seed: int) -> Loaded:
    """``each`` crops of every picture at random positions, rotated and mirrored at random; only square ones are
    rotated.

    Args:
        loaded: pictures, which may have different sizes.
        each: number of crops per picture.
        size: height and width of a crop.
        seed: seed of positions and orientations.

    Returns:
        The crops with the name and label of their picture; names end in ``#`` and a number.

    Raises:
        InputError: a picture that is smaller than a crop.
    """
    generator = np.random.default_rng(seed)
    pictures: list[Picture] = []
    for name, picture in zip(loaded.names, loaded.pictures, strict=True):
        if any(have < want for have, want in zip(picture.shape[1:], size, strict=True)):
            raise InputError(
                f"{name} of {picture.shape[1]} x {picture.shape[2]} pixels", expected=f"{size[0]} x {size[1]} or more"
            )
        pictures += [_one(picture, size, generator) for _ in range(each)]
    names = tuple(f"{name}#{number}" for name in loaded.names for number in range(each))
    labels = None if loaded.labels is None else tuple(label for label in loaded.labels for _ in range(each))
    return Loaded(pictures, names, labels, loaded.skipped, loaded.levels, loaded.reasons)


def _one(picture: Picture, size: tuple[int, int], generator: np.random.Generator) -> Picture:
    top, left = (int(generator.integers(have - want + 1)) for have, want in zip(picture.shape[1:], size, strict=True))
    part = picture[:, top : top + size[0], left : left + size[1]]
    turns, mirrored = int(generator.integers(4)), bool(generator.integers(2))
    if size[0] == size[1]:
        part = np.rot90(part, turns, (1, 2))
    crop: Picture = np.ascontiguousarray(part[:, :, ::-1] if mirrored else part)
    return crop
