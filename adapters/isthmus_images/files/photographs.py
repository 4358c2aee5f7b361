"""Photographs as they are: read with all that belongs to them, and written again in the format of a name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps

from isthmus.checked.paths import plain_file
from isthmus.disk import written
from isthmus.errors import InputError, SourceError
from isthmus.reprs import brief
from isthmus_images.files.formats import UNREADABLE, formats

FORMATS = {
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Formats that photographs are written in, by the ending of the name."""

OPAQUE = ("BMP", "JPEG")
"""Formats without transparency."""

DEEP = ("PNG", "TIFF")
"""Formats with 16 bits for each value."""

QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
BYTE, SIXTEEN = 255, 65_535

Channels = Float32[np.ndarray, "channels height width"]


@brief
@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph, upright.

    Attributes:
        pixels: from 0 to 1; one channel (grey) or three.
        alpha: opacity of each pixel in bytes; None if it is opaque.
        deep: whether it has 16 bits for each value instead of 8; only grey ones can have.
        kept: what is written again with it: the profile of its colours, and EXIF data without the orientation.
    """

    pixels: Channels
    alpha: UInt8[np.ndarray, "height width"] | None
    deep: bool
    kept: dict[str, Any]

    def changed(self, change: Callable[[Channels], Channels]) -> Photograph:
        """The photograph with other pixels, of the same size."""
        return replace(self, pixels=change(self.pixels))


def read_photograph(path: Path) -> Photograph:
    """Read a photograph, turned upright as its EXIF data say. Palettes and CMYK become RGB; of several frames the first
    is taken.

    Raises:
        SourceError: not a picture, or a truncated one, or one too large for the memory.
        InputError: 16 bits for each value in colour, 32 bits, or floats.
    """
    plain_file(path, "a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats()) as opened:
                _check_depth(opened, path)
                opened.load()
                return _of_image(opened, path)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"{path} is not a picture that can be read ({reason})", expected="a whole file") from error


def write_photograph(path: Path, photograph: Photograph) -> None:
    """Write a photograph, completely or not at all, in the format that the ending of the name says.

    Raises:
        InputError: an unknown ending, a format that cannot have its transparency or its 16 bits, or a path that is not
            writable.
        OSError: for example a full disk; nothing is left there then.
    """
    check_name(path, photograph)
    name = FORMATS[path.suffix.lower()]
    with written(path) as file:
        _as_image(photograph).save(file, format=name, **QUALITY.get(name, {}), **_kept(photograph, name))


def check_name(path: Path, photograph: Photograph | None = None) -> None:
    """Check that a photograph can be written under a name.

    Args:
        path: the name.
        photograph: the photograph; None if it is not known yet.

    Raises:
        InputError: an unknown ending, or a format that cannot have the transparency or the 16 bits of the photograph.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise InputError(f"a photograph named {path.name}", expected=f"an ending of {', '.join(sorted(FORMATS))}")
    if photograph is not None and photograph.alpha is not None and name in OPAQUE:
        raise InputError(f"{path.name} for a picture with transparent parts", expected="a .png, .tif or .webp")
    if photograph is not None and photograph.deep and name not in DEEP:
        raise InputError(f"{path.name} for a picture of 16 bits", expected="a .png or .tif")


def _check_depth(image: Any, path: Path) -> None:
    """Pillow reads colours of 16 bits as 8 bits without a word."""
    if image.mode in ("I", "F") or ("16" in str(_layout_of(image)) and not image.mode.startswith("I;16")):
        raise InputError(
            f"{path} of more than 8 bits for each value", expected="8 bits, or 16 in grey", remedy="save it with 8 bits"
        )


def _layout_of(image: Any) -> Any:
    """How the file's values lie, such as "RGB;16B"."""
    tiles = getattr(image, "tile", None) or ()
    return [part for tile in tiles for part in np.atleast_1d(np.array(tile[3], dtype=object)) if isinstance(part, str)]


def _of_image(image: Any, path: Path) -> Photograph:
    upright = ImageOps.exif_transpose(image)
    kept = {"icc_profile": upright.info["icc_profile"]} if upright.info.get("icc_profile") else {}
    if len(exif := upright.getexif()):
        kept["exif"] = exif.tobytes()
    if upright.mode.startswith("I;16"):
        deep = np.asarray(upright).astype(np.float32) / np.float32(SIXTEEN)
        return Photograph(deep[None], None, True, kept)
    alpha = None
    if upright.has_transparency_data:
        grey = upright.mode in ("LA", "La") or (upright.mode == "L")
        upright = upright.convert("LA" if grey else "RGBA")
        alpha = np.array(upright.getchannel("A"))
    elif upright.mode == "CMYK":
        # The profile describes the inks, which are gone.
        kept.pop("icc_profile", None)
    try:
        plain = upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB")
    except ValueError as error:
        raise InputError(f"{path} of mode {image.mode} ({error})", expected="grey, RGB, CMYK or a palette") from None
    pixels = np.asarray(plain).astype(np.float32) / np.float32(BYTE)
    channels = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return Photograph(channels, alpha, False, kept)


def _as_image(photograph: Photograph) -> Any:
    pixels = np.clip(photograph.pixels, 0, 1)
    if photograph.deep:
        return Image.fromarray(np.rint(pixels[0] * np.float32(SIXTEEN)).astype(np.uint16))
    levels = np.rint(pixels * np.float32(BYTE)).astype(np.uint8)
    image = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))
    if photograph.alpha is not None:
        image.putalpha(Image.fromarray(photograph.alpha))
    return image


def _kept(photograph: Photograph, name: str) -> dict[str, Any]:
    return {} if name == "BMP" else photograph.kept
