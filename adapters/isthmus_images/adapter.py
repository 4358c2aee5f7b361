"""The adapter for images, which are grids of numbers, and its batches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from isthmus.batch import Batch, Grid, Values
from isthmus.errors import BundleError, InputError
from isthmus.reprs import brief
from isthmus.sources import RowSource
from isthmus_images.files.levels import SIXTEEN_BITS, Levels, checked_levels
from isthmus_images.files.loading import How, load
from isthmus_images.files.pixels import CHANNELS, Form, Pixels
from isthmus_images.images import Images

DOCUMENT = "images.json"


@brief
@dataclass(frozen=True, eq=False)
class ImageSource(RowSource):
    """Images of the same size; inputs and targets of a batch are the same numbers.

    Attributes:
        pixels: bytes, or fp32 if images were given as floats (0 to 1, or noisy); on the device of the batches.
    """

    pixels: UInt8[Tensor, "rows channels height width"] | Float[Tensor, "rows channels height width"]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of values of an image, for each row."""
        return torch.full((len(self.pixels),), self.pixels[:1].numel(), device=self.pixels.device)

    def to(self, device: torch.device) -> ImageSource:
        """The same images on another device."""
        return ImageSource(self.pixels.to(device))

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self.pixels.device

    def gathered(self, numbers: Int64[Tensor, " batch"], shape: tuple[int, ...]) -> Batch:
        """The batch of a layout, as fp32 from 0 to 1; ``numbers`` are on the source's device."""
        chosen = self.pixels[numbers]
        values = Values(chosen if chosen.is_floating_point() else chosen.float().div_(255))
        return Batch(numbers, values, values)


@brief
@dataclass(frozen=True)
class ImageAdapter:
    """The size of images, and whether they have colour.

    Attributes:
        signal: channels, height and width.
        levels: the values of black and white in pictures of more than 8 bits; None if there were none.
        in_arrays: whether they apply to arrays of integers, too; in bundles without recorded levels, arrays were bytes.
    """

    signal: Grid
    levels: Levels | None = None
    in_arrays: bool = True

    @classmethod
    def read(cls, source: Any, **options: Any) -> Images:
        """Images from files or arrays; see ``Images.read``."""
        return Images.read(source, **options)

    @classmethod
    def fit(cls, records: Any) -> ImageAdapter:
        """Take the size and colour of these images."""
        images = Images.of(records)
        return cls(Grid(len(images.pixels[0]), *images.size), images.levels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of all images."""
        return self.signal.height, self.signal.width

    @property
    def form(self) -> Form:
        """The size and colour with which files are read."""
        names = {count: name for name, count in CHANNELS.items()}
        return Form(self.size, names[self.signal.channels])

    def records(self, source: Any, *, on_error: str = "raise", noisy: bool = False) -> Images:
        """Images from files or arrays; files are read with the size and colour of this adapter.

        Args:
            source: ``Images``, which are unchanged, or anything that ``Images.read`` accepts.
            on_error: "raise" an error for a file that cannot be read, or "skip" it.
            noisy: whether floats may be outside 0 to 1.

        Returns:
            The images.

        Raises:
            InputError: an array with another size or colour.
        """
        if isinstance(source, Images):
            return source
        return Images.of_loaded(load(source, How(self.form, on_error, noisy, self.levels, self.in_arrays)))

    def prepare(self, records: Any) -> ImageSource:
        """One row for each image, in order.

        Raises:
            InputError: images with another size or colour.
        """
        images = self.records(records)
        self.form.check(images.pixels, "images")
        return ImageSource(_tensor(images.pixels))

    def state(self) -> dict[str, str]:
        """Channels, height, width and levels as a JSON document."""
        grid = self.signal
        sizes = {"channels": grid.channels, "height": grid.height, "width": grid.width}
        return {DOCUMENT: json.dumps({**sizes, "levels": None if self.levels is None else list(self.levels)})}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> ImageAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: the document is missing or invalid.
        """
        if DOCUMENT not in state:
            raise BundleError(f"the bundle holds no {DOCUMENT}", expected="the sizes of images")
        try:
            sizes = json.loads(state[DOCUMENT])
            channels, height, width = (sizes[name] for name in ("channels", "height", "width"))
            if channels not in CHANNELS.values():
                raise InputError(f"{channels} channels", expected="1 or 3")
            form = Form.of([height, width], None)
            levels = checked_levels(sizes.get("levels", SIXTEEN_BITS))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(f"the sizes of images do not fit ({error})", expected="as saved") from None
        assert form.size is not None
        return cls(Grid(channels, *form.size), levels, "levels" in sizes)


def _tensor(pixels: Pixels) -> torch.Tensor:
    # Copy read-only arrays, because torch would share their memory.
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
