"""Reads one picture, a file or a Pillow image, as pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from isthmus.checked.paths import plain_file
from isthmus.errors import InputError, SourceError
from isthmus_images.files.formats import UNREADABLE, formats
from isthmus_images.files.levels import Levels, in_bytes, is_deep
from isthmus_images.files.pixels import CHANNELS, Form, Picture

GREY = ("1", "L", "LA", "La")


def picture_of(path: Path, form: Form, levels: Levels | None = None) -> Picture:
    """Read a file, rotated according to its EXIF data; only the first frame is used, and transparent parts become
    white.

    If a size is given, the picture is scaled and centre-cropped to it.

    Args:
        path: path of the file.
        form: size and colour.
        levels: the values of black and white if it has more than 8 bits; by default its own range.

    Raises:
        SourceError: not a picture, a truncated one, or one that is too large for the memory.
    """
    plain_file(path, "a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats()) as opened:
                opened.load()
                return picture_from(opened, form, levels)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"{path} is not a picture that can be read ({reason})", expected="a whole file") from error


def picture_from(image: Any, form: Form, levels: Levels | None = None) -> Picture:
    """A Pillow image; see ``picture_of``.

    Raises:
        InputError: a picture with NaN, or with a mode that Pillow cannot convert to grey or colour.
    """
    upright = ImageOps.exif_transpose(image)
    if is_deep(upright):
        upright = in_bytes(upright, levels)
    plain = _in_colour(upright, form.colour or ("grey" if _is_grey(upright) else "colour"))
    if form.size is not None and plain.size != form.size[::-1]:
        plain = ImageOps.fit(plain, form.size[::-1], Image.Resampling.LANCZOS)
    pixels = np.array(plain)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def as_image(picture: Picture) -> Any:
    """Bytes [channels, height, width] as a Pillow image."""
    return Image.fromarray(picture[0] if len(picture) == CHANNELS["grey"] else picture.transpose(1, 2, 0))


def _is_grey(image: Any) -> bool:
    if image.mode != "P":
        return image.mode in GREY
    colours = np.array(image.getpalette() or [0]).reshape(-1, 3) if image.getpalette() else np.zeros((1, 3))
    used = colours[[colour for _, colour in image.getcolors() or [] if colour < len(colours)]]
    return bool((used == used[:, :1]).all())


def _in_colour(image: Any, colour: str) -> Any:
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    wanted = "L" if colour == "grey" else "RGB"
    try:
        return image.convert(wanted)
    except ValueError as error:
        raise InputError(f"a picture of mode {image.mode} ({error})", expected="grey, RGB, CMYK or a palette") from None
