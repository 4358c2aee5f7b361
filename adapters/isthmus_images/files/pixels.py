"""Pixel arrays: bytes from 0 (black) to 255, or float32 from 0 to 1; channels first, one (grey) or three (red, green,
blue)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from isthmus.checked.dense import real_numbers
from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus_images.files.levels import Levels, array_in_bytes, is_deep_array

Pixels = UInt8[np.ndarray, "images channels height width"] | Float32[np.ndarray, "images channels height width"]
Picture = UInt8[np.ndarray, "_ _ _"] | Float32[np.ndarray, "_ _ _"]
"""[channels, height, width]; pictures may have different sizes, so the axes have no names."""

Shown = Float32[np.ndarray, "images height width *channels"]
"""Images in the format for users: from 0 to 1, channels last, without a channel axis for grey images."""

ShownPicture = Float32[np.ndarray, "_ _ ..."]
"""One image in the format for users; pictures may have different sizes."""

CHANNELS = {"grey": 1, "colour": 3}
NOISY = 16.0
"""Limit for floats in noisy images; any larger noise would leave nothing visible."""


@dataclass(frozen=True)
class Form:
    """The target size and colour of images; None leaves them unchanged.

    Attributes:
        size: height and width.
        colour: ``grey`` or ``colour``.
    """

    size: tuple[int, int] | None = None
    colour: str | None = None

    @classmethod
    def of(cls, size: int | Sequence[int] | None, colour: str | None) -> Form:
        """Parse a size and colour given by a user; one number means a square.

        Raises:
            SettingError: a size below 1, or an unknown colour.
        """
        if colour is not None and colour not in CHANNELS:
            raise SettingError(f"colour={colour!r}", expected="'grey' or 'colour', or nothing for what is there")
        if size is None:
            return cls(None, colour)
        both = (size, size) if isinstance(size, int) else tuple(size)
        if len(both) != 2 or not all(type(side) is int and 1 <= side <= 1 << 15 for side in both):
            raise SettingError(f"size={size!r}", expected="pixels of a side, or height and width")
        return cls((both[0], both[1]), colour)

    def check(self, pixels: Pixels, what: str) -> None:
        """Check the form of an array; arrays are never resized or converted.

        Raises:
            InputError: another size, or another number of channels.
        """
        channels, *sides = pixels.shape[1:]
        if self.size is not None and tuple(sides) != self.size:
            raise InputError(
                f"{what} with images of {sides[0]} x {sides[1]}",
                expected=f"{self.size[0]} x {self.size[1]} (height x width)",
                remedy="resize them first; files are resized as they are read",
            )
        if self.colour is not None and channels != CHANNELS[self.colour]:
            raise InputError(f"{what} with {_named(channels)} images", expected=f"{self.colour} ones")


def as_pixels(array: Any, what: str = "an array", *, noisy: bool = False, levels: Levels | None = None) -> Pixels:
    """Convert an array [images, height, width], with channels (1 or 3) last, second or absent, to pixels.

    Args:
        array: booleans, bytes, floats, or integers of more bits, which are scaled.
        what: name of the array in error messages.
        noisy: whether floats may be outside 0 to 1.
        levels: the values of black and white in integers other than bytes; without them, integers from 0 to 255 are
            bytes, and others are scaled by their range.

    Raises:
        InputError: another shape or type, or no images.
        ValueRangeError: NaN, or floats outside 0 to 1.
    """
    given = real_numbers(array, "pixels")
    if given.ndim == 4 and given.shape[3] in (1, 3):
        given = given.transpose(0, 3, 1, 2)
    elif given.ndim == 3:
        given = given[:, None]
    if given.ndim != 4 or given.shape[1] not in (1, 3):
        raise InputError(
            f"{what} of shape {np.shape(array)}",
            expected="(images, height, width), with 1 or 3 channels last or second if any",
            remedy="one image is a list of one: array[None]" if given.ndim == 2 else "",
        )
    if 0 in given.shape:
        raise InputError(f"{what} of shape {np.shape(array)}", expected="at least one image of at least one pixel")
    return np.ascontiguousarray(_in_range(given, what, noisy, levels))


def as_shown(means: Float[Tensor, "images channels height width"]) -> Shown:
    """The output of a model in the format for users, clipped to 0 to 1."""
    return shown(means.float().clamp(0, 1).cpu().numpy())


def shown(pixels: Pixels) -> Shown:
    """Pixels in the format for users: float32 from 0 to 1, channels last, without a channel axis for grey images."""
    numbers = as_floats(pixels)
    return numbers[:, 0] if numbers.shape[1] == 1 else np.ascontiguousarray(numbers.transpose(0, 2, 3, 1))


def as_floats(pixels: Pixels) -> Float32[np.ndarray, "images channels height width"]:
    """Pixels as float32 from 0 to 1."""
    floats: Pixels = pixels if pixels.dtype == np.float32 else pixels.astype(np.float32) / np.float32(255)
    return floats


def as_bytes(pixels: Pixels) -> UInt8[np.ndarray, "images channels height width"]:
    """Pixels as bytes, rounded and clipped."""
    if pixels.dtype == np.uint8:
        return pixels
    rounded: Pixels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return rounded


def _in_range(given: npt.NDArray[np.generic], what: str, noisy: bool, levels: Levels | None) -> npt.NDArray[np.generic]:
    if given.dtype == np.uint8:
        return given
    if given.dtype == np.bool_:
        return given.astype(np.uint8) * np.uint8(255)
    if given.dtype.kind in "iu":
        deep = levels is not None or is_deep_array(given)
        return array_in_bytes(given, levels) if deep else given.astype(np.uint8)
    if given.dtype.kind == "f":
        _check_between(given, *((-NOISY, NOISY) if noisy else (0.0, 1.0)), what)
        return given.astype(np.float32)
    raise InputError(f"{what} of type {given.dtype}", expected="bytes from 0 to 255 or floats from 0 to 1")


def _check_between(given: npt.NDArray[np.generic], least: float, most: float, what: str) -> None:
    low, high = float(given.min()), float(given.max())
    if not (least <= low and high <= most):
        remedy = "divide by 255" if given.dtype.kind == "f" and low >= 0 and 1 < high <= 255 else ""
        raise ValueRangeError(
            f"{what} with numbers from {low:g} to {high:g}", expected=f"{least:g} to {most:g}", remedy=remedy
        )


def _named(channels: int) -> str:
    return next(name for name, count in CHANNELS.items() if count == channels)
