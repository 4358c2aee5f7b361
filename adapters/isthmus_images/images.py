"""``Images``: images of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from isthmus.errors import SettingError
from isthmus.reprs import counted, described, joined
from isthmus_images.files.cropping import cropped
from isthmus_images.files.levels import Levels, checked_levels
from isthmus_images.files.loading import How, Loaded, load
from isthmus_images.files.pixels import Form, Pixels, as_bytes, shown


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Images of the same size and colour, in order.

    Attributes:
        pixels: bytes, or float32 from 0 (black) to 1; channels first: one for grey, three for colour.
        names: the path below a folder, or the position in an array.
        labels: the first folder below the one that was read, or those of an IDX file; None if there are none.
        skipped: names of files that could not be read, or are not pictures.
        levels: the values of black and white with which pictures of more than 8 bits were read; None if there were
            none.
        reasons: the reason for each skipped file.
    """

    pixels: Pixels
    names: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()
    levels: Levels | None = None
    reasons: tuple[str, ...] = ()

    def __repr__(self) -> str:
        channels, height, width = self.pixels.shape[1:]
        labels = "" if self.labels is None else "labelled"
        size = f"{height}×{width} {'grey' if channels == 1 else 'in colour'}"
        return described(self, joined([f"{counted(len(self.pixels), 'image')} of {size}", labels]))

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        size: int | Sequence[int] | None = None,
        colour: str | None = None,
        on_error: str = "raise",
        noisy: bool = False,
        levels: Sequence[float | int] | None = None,
    ) -> Images:
        """Read images from files or arrays.

        Pictures of more than 8 bits (12 or 16 bits, 32-bit integers, floats in files), arrays of uint16, and arrays of
        other integers outside 0 to 255 are scaled by their range: the smallest value of all that are read becomes
        black, the largest white. Other files in a folder are listed in ``skipped`` and in the log.

        Args:
            source: a folder of pictures, flat or nested; a picture; a ``.npy``, ``.npz`` or IDX file, optionally
                compressed (``.gz``, ``.xz``); an array [images, height, width] with 1 or 3 channels last or second if
                any; a Pillow image; or a list of paths, Pillow images or arrays. Floats in arrays range from 0 to 1.
            size: a side, or height and width, to which pictures are scaled and centre-cropped. By default their own
                size, which must be the same for all. Arrays are never resized.
            colour: ``grey`` or ``colour``; by default grey if all pictures are.
            on_error: "raise" an error for a file that cannot be read, or "skip" it, which is logged.
            noisy: whether floats may be outside 0 to 1.
            levels: the values of black and white in pictures of more than 8 bits, such as (0, 4095) for 12 bits,
                instead of the range of the data.

        Raises:
            SourceError: a path that does not exist, contains no pictures, or a broken file, which the message names.
            InputError: images of different sizes without ``size``, or an array of the wrong shape or type.
            ValueRangeError: NaN, or numbers that are not pixels.
            SettingError: an unknown colour or choice, or a size below 1.
        """
        return cls.of_loaded(load(source, How(Form.of(size, colour), on_error, noisy, checked_levels(levels))))

    @classmethod
    def crops(
        cls,
        source: Any,
        each: int,
        *,
        size: int | Sequence[int] | None = None,
        colour: str | None = None,
        on_error: str = "raise",
        seed: int = 0,
    ) -> Images:
        """Patches of pictures at their original resolution, rotated and mirrored at random. Pictures may have different
        sizes.

        Args:
            source: anything that ``read`` accepts, or ``Images``.
            each: number of patches per picture; their names contain the number.
            size: side length, or height and width, of a patch.
            colour, on_error: as for ``read``.
            seed: seed of positions and orientations.

        Returns:
            The patches.

        Raises:
            SettingError: fewer than 1 patch, or no size.
            InputError: a picture smaller than a patch; and the errors of ``read``.
        """
        form = Form.of(size, colour)
        if each < 1 or form.size is None:
            raise SettingError(f"{each} crops of size {size}", expected="at least 1, and a size, such as size=40")
        if isinstance(source, Images):
            loaded = Loaded(source.pixels, source.names, source.labels, levels=source.levels)
        else:
            loaded = load(source, How(Form(None, colour), on_error))
        return cls.of_loaded(cropped(loaded, each, form.size, seed))

    @classmethod
    def of(cls, source: Any) -> Images:
        """``source`` itself if it is ``Images``, otherwise ``read(source)``."""
        return source if isinstance(source, Images) else cls.read(source)

    @classmethod
    def of_loaded(cls, loaded: Loaded) -> Images:
        """Loaded pictures, which must have the same size.

        Raises:
            InputError: pictures of different sizes.
        """
        return cls(loaded.stacked(), loaded.names, loaded.labels, loaded.skipped, loaded.levels, loaded.reasons)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of all images."""
        return self.pixels.shape[2], self.pixels.shape[3]

    @property
    def colour(self) -> str:
        """``grey`` for one channel, ``colour`` for three."""
        return "grey" if self.pixels.shape[1] == 1 else "colour"

    def array(self) -> Float32[np.ndarray, "images height width *channels"]:
        """float32 from 0 to 1; channels last, without a channel axis for grey images."""
        return shown(self.pixels)

    def select(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Images:
        """The given images, in the given order."""
        chosen = np.asarray(rows, dtype=np.int64)
        labels = None if self.labels is None else tuple(self.labels[row] for row in chosen)
        return Images(self.pixels[chosen], tuple(self.names[row] for row in chosen), labels, levels=self.levels)

    def in_bytes(self) -> Images:
        """The same images with one byte per value."""
        return replace(self, pixels=as_bytes(self.pixels))
