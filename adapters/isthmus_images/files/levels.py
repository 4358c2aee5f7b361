"""Levels of pictures with more than 8 bits, in files and in arrays: the values of black and white.

A 12-bit camera, a 16-bit scanner or a measurement in floats uses only a part of the range of its file format. Therefore
the actual range is used, that of all pictures that are read together, which keeps them comparable.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from isthmus.checked.dense import real_numbers
from isthmus.errors import InputError, SettingError
from isthmus_images.files.formats import UNREADABLE, formats

Levels = tuple[float, float]
"""The values of black and of white."""

SIXTEEN_BITS: Levels = (0.0, 65535.0)
"""The levels of bundles that do not record them."""

ROUNDING = 1e-3
"""Of a level; less than 16 bits can tell apart."""

DEEP_ENDINGS = frozenset(
    {".png", ".apng", ".tif", ".tiff", ".pgm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx", ".avif", ".webp"}
)
"""Of files that may have more than 8 bits; others need not be opened to find the levels."""


def is_deep(image: Any) -> bool:
    """Whether a Pillow image has more than 8 bits per value, as integers or floats."""
    return str(image.mode).startswith("I") or image.mode == "F"


def is_deep_array(numbers: npt.NDArray[Any]) -> bool:
    """Whether an array contains pictures of more than 8 bits: uint16, or other integers outside the range of a byte."""
    if numbers.dtype.kind not in "iu" or numbers.dtype == np.uint8 or not numbers.size:
        return False
    return numbers.dtype == np.uint16 or bool(numbers.min() < 0 or numbers.max() > 255)


def levels_of(sources: Iterable[Any]) -> Levels | None:
    """The smallest and the largest value of all deep pictures among files, Pillow images and arrays.

    Args:
        sources: paths, Pillow images and arrays of NumPy or torch; everything else, and unreadable files, are skipped.

    Returns:
        The levels; None if no picture is deep.
    """
    ends = [found for source in sources if (found := _ends(source)) is not None]
    return _from_ends(min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def checked_levels(levels: Any) -> Levels | None:
    """Check the levels given by a caller.

    Raises:
        SettingError: not two finite numbers, the smaller one first.
    """
    if levels is None:
        return None
    try:
        low, high = (float(level) for level in levels)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise SettingError(f"levels={levels!r}", expected="the numbers of black and of white, such as (0, 4095)")
    return low, high


def in_bytes(image: Any, levels: Levels | None) -> Any:
    """Convert a deep Pillow image to 8 bits.

    Args:
        image: image of mode I, I;16 or F.
        levels: the values of black and white; by default the range of the image. Other values are clipped.

    Raises:
        InputError: a picture with NaN.
    """
    numbers = np.asarray(image).astype(np.float64)
    if np.isnan(numbers).any():
        raise InputError("a picture of floats with NaN", expected="numbers in every pixel", remedy="fill them first")
    return Image.fromarray(_scaled(numbers, levels or _from_ends(*_range(numbers))))


def array_in_bytes(numbers: npt.NDArray[Any], levels: Levels | None) -> npt.NDArray[np.uint8]:
    """Convert an array of integers to bytes, one image at a time.

    Args:
        numbers: shape [images, ...].
        levels: the values of black and white; by default the range of the array. Other values are clipped.
    """
    known = levels or _from_ends(*_range(numbers))
    grey = np.empty(numbers.shape, np.uint8)
    for place, image in enumerate(numbers):
        grey[place] = _scaled(image.astype(np.float64), known)
    return grey


def _scaled(numbers: npt.NDArray[np.float64], levels: Levels) -> npt.NDArray[np.uint8]:
    low, high = levels
    # Multiply first, so that 16 bits map to 8 bits in exact steps of 257 without losing a level to rounding.
    return np.floor((np.clip(numbers, low, high) - low) * 255 / (high - low) + ROUNDING).astype(np.uint8)


def _ends(source: Any) -> Levels | None:
    if isinstance(source, Image.Image):
        return _range(np.asarray(source)) if is_deep(source) else None
    if isinstance(source, np.ndarray) or callable(getattr(source, "detach", None)):
        return _ends_of_array(source)
    if not isinstance(source, Path) or source.suffix.lower() not in DEEP_ENDINGS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats()) as opened:
                return _range(np.asarray(opened)) if is_deep(opened) else None
    except UNREADABLE:
        return None  # Whoever reads it says so.


def _ends_of_array(source: Any) -> Levels | None:
    try:
        numbers = real_numbers(source)
    except InputError:
        return None  # Whoever reads it says so.
    return _range(numbers) if is_deep_array(numbers) else None


def _range(numbers: npt.NDArray[Any]) -> Levels:
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers.ravel()
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)


def _from_ends(low: float, high: float) -> Levels:
    """The range; if all values are equal, the range of a type that can represent them."""
    if low < high:
        return low, high
    white = next((most for most in (1.0, 255.0, 65535.0) if 0 <= high <= most), max(abs(high), 1.0))
    return min(0.0, low), white
