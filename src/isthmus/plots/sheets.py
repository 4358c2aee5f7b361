"""Contact sheets: images and their reconstructions, or a grid of samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from isthmus.errors import InputError
from isthmus.plots.drawing import Axes, Figure, blank

Images = Float[np.ndarray, "rows channels height width"]

INCHES = 0.75
"""Size of one image in inches."""

NAMED = 1.3
"""Width of the names of strips in inches."""


def sheet(strips: Mapping[str, Images], columns: int = 10) -> Figure:
    """Strips of images, one below the other, each with its name on the left; the first ``columns`` images of all strips
    are aligned. A single strip continues over several lines, as a grid of samples.

    Args:
        strips: images with 1 (grey) or 3 channels, from 0 (black) to 1, by name; other values are clipped.
        columns: images per line.

    Returns:
        A matplotlib figure.

    Raises:
        InputError: no images, images with 2 or more than 3 channels, or no column.
        MissingLibraryError: matplotlib is not installed.
    """
    if columns < 1 or not strips or not all(len(images) for images in strips.values()):
        raise InputError(f"a sheet of {len(strips)} strips and {columns} columns", expected="images, at least one each")
    for name, images in strips.items():
        if images.shape[1] not in (1, 3):
            raise InputError(f"{name}: images of {images.shape[1]} channels", expected="1 (grey) or 3 (colour)")
    lines = [(name, images[:columns]) for name, images in strips.items()]
    if len(strips) == 1:
        ((name, images),) = strips.items()
        starts = range(0, len(images), columns)
        lines = [(name if start == 0 else "", images[start : start + columns]) for start in starts]
    figure = blank(NAMED + INCHES * columns, INCHES * len(lines))
    for row, (name, images) in enumerate(lines):
        for column in range(columns):
            axes = figure.add_subplot(len(lines), columns, row * columns + column + 1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_frame_on(False)
            if column < len(images):
                axes.imshow(_pixels(images[column]), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
    return figure


def _pixels(image: Float[np.ndarray, "channels height width"]) -> Float[np.ndarray, "height width ..."]:
    """An image as matplotlib expects it: channels last, grey images without channels."""
    clipped: np.ndarray = np.clip(image, 0.0, 1.0)
    return clipped[0] if len(clipped) == 1 else clipped.transpose(1, 2, 0)


def draw_grid(axes: Axes, images: Images, columns: int, title: str) -> None:
    """Draw images line by line on one pair of axes.

    Args:
        axes: to draw on.
        images: with 1 (grey) or 3 channels, from 0 (black) to 1; other values are clipped.
        columns: images per line.
        title: title of the panel.
    """
    height, width = images.shape[-2:]
    gap = max(1, height // 14)
    lines = -(-len(images) // columns)
    whole = np.ones((images.shape[1], lines * (height + gap) - gap, columns * (width + gap) - gap), dtype=np.float32)
    for place, image in enumerate(images):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        whole[:, top : top + height, left : left + width] = image
    axes.imshow(_pixels(whole), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    axes.set_title(title, fontsize="medium", loc="left")
