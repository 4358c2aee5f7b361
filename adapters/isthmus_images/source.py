"""Images as batches: bytes on the device, numbers from 0 to 1 a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from isthmus.batch import Batch, Values


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Images of one size; inputs and targets of a batch are the same numbers.

    Attributes:
        pixels: bytes, or fp32 where images came as such (0 to 1, or noisy); on the device that batches are for.
    """

    pixels: UInt8[Tensor, "rows channels height width"] | Float[Tensor, "rows channels height width"]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Numbers of an image, for each row."""
        return torch.full((len(self.pixels),), self.pixels[:1].numel(), device=self.pixels.device)

    def to(self, device: torch.device) -> ImageSource:
        """The same images on another device."""
        return ImageSource(self.pixels.to(device))

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order, as fp32 from 0 to 1."""
        rows = rows.to(self.pixels.device)
        chosen = self.pixels[rows]
        values = Values(chosen if chosen.is_floating_point() else chosen.float().div_(255))
        return Batch(rows, values, values)
