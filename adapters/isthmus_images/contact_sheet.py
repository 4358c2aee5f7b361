"""Contact sheets (rows of images with captions as one picture), and images as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from isthmus.disk import check_file, check_writable, is_stream, new_folder, written
from isthmus.errors import InputError
from isthmus_images.files.pictures import as_image
from isthmus_images.files.pixels import Pixels, as_bytes, as_pixels

GAP = 4
CAPTION = 24
"""Height in pixels of the caption above a row, and the space before it."""

LETTERS = 14
TILE = 84
"""Approximate size in pixels to which small images are enlarged."""

PAPER, INK = "white", "black"
COLUMNS = 16

TOGETHER = (".npy", ".png")
"""Extensions of files that contain all images; any other name is a folder."""

Row = tuple[str, Any]


def sheet(rows: Sequence[Row]) -> Any:
    """Draw a Pillow image: for each row a caption above its images, from left to right.

    Args:
        rows: captions (empty for none) and images in the format for users, all of the same size.
    """
    strips = [(caption, as_bytes(as_pixels(images, "a row of a sheet"))) for caption, images in rows]
    times = max(1, round(TILE / max(strips[0][1].shape[2:])))
    height, width = (side * times for side in strips[0][1].shape[2:])
    most = max(len(images) for _, images in strips)
    heads = [CAPTION if caption else 0 for caption, _ in strips]
    size = (GAP + most * (width + GAP), GAP + sum(head + height + GAP for head in heads))
    paper = Image.new("RGB", size, PAPER)
    draw, font, top = ImageDraw.Draw(paper), ImageFont.load_default(LETTERS), GAP
    for (caption, images), head in zip(strips, heads, strict=True):
        if caption:
            draw.text((GAP, top + head - GAP), caption, fill=INK, font=font, anchor="ls")
        for place, tile in enumerate(_enlarged(images, times)):
            paper.paste(as_image(tile), (GAP + place * (width + GAP), top + head))
        top += head + height + GAP
    return paper


def in_rows(images: Any, columns: int = COLUMNS) -> list[Row]:
    """Split many images into rows without captions, so that the sheet is about square."""
    columns = min(columns, max(1, math.ceil(math.sqrt(len(images)))))
    return [("", images[start : start + columns]) for start in range(0, len(images), columns)]


def check_place(path: Path) -> None:
    """Check, before long computations, that images can be written to a path.

    Raises:
        InputError: the path exists or is not writable.
    """
    if path.exists() and not is_stream(path):
        raise InputError(f"{path} exists", expected="a new file or folder", remedy="choose another name or remove it")
    if path.suffix in TOGETHER:
        check_file(path)
    else:
        check_writable(path)


def write(path: Path, images: Any, names: Sequence[str]) -> int:
    """Write images to a new path: an array (``.npy``, float32), one picture of all of them (``.png``), or a folder with
    a ``.png`` for each name. They are written completely or not at all.

    Args:
        images: images in the format for users; a list if their sizes differ.

    Returns:
        The number of images.

    Raises:
        InputError: the path exists or is not writable, or images of different sizes for one array or picture.
        OSError: for example a full disk; nothing is left there then.
    """
    check_place(path)
    together = path.suffix in TOGETHER
    if together and isinstance(images, list):
        raise InputError(f"images of different sizes for {path}", expected="a folder", remedy="write --out FOLDER")
    if path.suffix == ".npy":
        with written(path) as file:
            np.save(file, np.asarray(images, dtype=np.float32), allow_pickle=False)
    elif path.suffix == ".png":
        save_sheet(in_rows(images), path)
    else:
        _write_each(path, images, names)
    return len(images)


def save_sheet(rows: Sequence[Row], path: Path) -> None:
    """Write the picture of ``sheet`` as PNG, completely or not at all; an older file is replaced.

    Raises:
        InputError: the path is not writable.
        OSError: for example a full disk; an older file is still there.
    """
    made = sheet(rows)
    with written(path) as file:
        made.save(file, format="PNG")


def _write_each(folder: Path, images: Any, names: Sequence[str]) -> None:
    places = [_place(name) for name in names]
    if len(set(places)) < len(places):
        places = [f"{row:05d}-{Path(place).name}" for row, place in enumerate(places)]
    with new_folder(folder) as scratch:
        for place, image in zip(places, images, strict=True):
            target = scratch / place
            target.parent.mkdir(parents=True, exist_ok=True)
            as_image(as_bytes(as_pixels(image[None], place))[0]).save(target)


def _place(name: str) -> str:
    """A path inside the folder, never above it."""
    parts = [part for part in Path(name).parts if part not in ("..", "/") and not part.endswith(":\\")]
    return Path(*parts).with_suffix(".png").as_posix() if parts else "image.png"


def _enlarged(images: Pixels, times: int) -> UInt8[np.ndarray, "images channels taller wider"]:
    larger: UInt8[np.ndarray, "images channels taller wider"] = images.repeat(times, 2).repeat(times, 3)
    return larger
