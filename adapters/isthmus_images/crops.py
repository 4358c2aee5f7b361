"""Random crops of images of any size, as a source for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int64, UInt8
from torch import Generator, Tensor

from isthmus.batch import Batch, Values
from isthmus.errors import InputError
from isthmus.machine.devices import sent
from isthmus.reprs import brief

ORIENTATIONS = 8
"""Four rotations, each with and without mirroring."""


@brief
@dataclass(frozen=True, eq=False)
class Crops:
    """Square crops, each rotated and mirrored at random; the images are stored as one byte per pixel.

    Inputs and targets of a batch are the same pixels, from 0 to 1.

    Attributes:
        pixels: pixels of all images, channel after channel, row after row.
        sizes: channels, height and width of each image.
        starts: positions of the first pixels of the images.
        places: image, top, left and orientation of each crop.
        size: edge length of a crop in pixels.
    """

    pixels: UInt8[Tensor, " pixels"]
    sizes: Int64[Tensor, "images 3"]
    starts: Int64[Tensor, " images"]
    places: Int64[Tensor, "crops 4"]
    size: int

    @classmethod
    def drawn(
        cls, images: Sequence[UInt8[Tensor, "channels _height _width"]], size: int, count: int, *, generator: Generator
    ) -> Crops:
        """Random crops: images are used in turn; positions and orientations are random.

        Args:
            images: bytes, with the same channels, each at least as large as a crop.
            size: edge length of a crop in pixels.
            count: number of crops.
            generator: random generator of positions and orientations.

        Returns:
            A source of ``count`` rows.

        Raises:
            InputError: no images, an image smaller than a crop, images with different channels, or no crops.
        """
        if not images or count < 1:
            raise InputError(f"{count} crops of {len(images)} images", expected="at least one of at least one")
        sizes = torch.tensor([list(image.shape) for image in images])
        if bool((sizes[:, 0] != sizes[0, 0]).any()) or int(sizes[:, 1:].min()) < size or size < 1:
            smallest = " x ".join(map(str, sizes.min(0).values.tolist()))
            raise InputError(
                f"crops of {size} x {size} from images of {smallest}", expected="images of one kind, no smaller"
            )
        image = torch.arange(count) % len(images)
        uniform = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        corner = (uniform * (sizes[image, 1:] - size + 1)).long()
        turned = torch.randint(ORIENTATIONS, (count, 1), generator=generator)
        starts = sizes.prod(1).cumsum(0) - sizes.prod(1)
        pixels = torch.cat([one.flatten() for one in images])
        return cls(pixels, sizes, starts, torch.cat([image[:, None], corner, turned], 1), size)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of values of a crop, for each row."""
        return torch.full((len(self),), self.channels * self.size**2, device=self.places.device)

    @cached_property
    def channels(self) -> int:
        """The number of channels of every image."""
        return int(self.sizes[0, 0])

    def to(self, device: torch.device) -> Crops:
        """The same crops on another device."""
        tensors = (self.pixels, self.sizes, self.starts, self.places)
        pixels, sizes, starts, places = (one.to(device) for one in tensors)
        moved = Crops(pixels, sizes, starts, places, self.size)
        vars(moved)["channels"] = self.channels
        return moved

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given crops, in the given order: [batch, channels, size, size]."""
        rows = sent(rows, self.places.device)
        image, top, left, turned = (column[:, None, None] for column in self.places[rows].T)
        _, height, width = (column[:, None, None] for column in self.sizes[image.flatten()].T)
        row, column = self._grid(turned)
        inside = self.starts[image] + (top + row) * width + left + column
        channels = torch.arange(self.channels, device=rows.device)[:, None, None]
        found = self.pixels[inside[:, None] + channels * (height * width)[:, None]]
        values = Values(found.float() / 255)
        return Batch(rows, values, values)

    def _grid(self, turned: Int64[Tensor, "batch 1 1"]) -> tuple[Tensor, Tensor]:
        """The row and the column of the image for each pixel of a crop."""
        step = torch.arange(self.size, device=turned.device)
        row, column = (one.expand(len(turned), -1, -1) for one in torch.meshgrid(step, step, indexing="ij"))
        row, column = torch.where(turned % 2 == 1, column, row), torch.where(turned % 2 == 1, row, column)
        last = self.size - 1
        return torch.where(turned // 2 % 2 == 1, last - row, row), torch.where(turned // 4 == 1, last - column, column)
