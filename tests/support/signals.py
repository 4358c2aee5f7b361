"""Small data of every signal whose structure is known: three hidden numbers, or groups, make each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bag, Batch, Grid, Signal, TokenRows, Tokens, Values, Vector
from isthmus.protocols import Source
from isthmus.sources import BagSource, VectorSource

SIGNALS: dict[str, Signal] = {
    "bag": Bag(24),
    "vector": Vector(12),
    "grid": Grid(1, 8, 9),
    "tokens": Tokens(10, 6),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True, eq=False)
class GridSource:
    """Images; inputs and targets of a batch are the same pixels."""

    pixels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def lengths(self) -> Tensor:
        return torch.full((len(self),), self.pixels[0].numel())

    def to(self, device: torch.device) -> GridSource:
        return GridSource(self.pixels.to(device))

    def batch(self, rows: Tensor) -> Batch:
        values = Values(self.pixels[rows])
        return Batch(rows, values, values)


@dataclass(frozen=True, eq=False)
class TokenSource:
    """Rows of token ids of several lengths."""

    ids: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Tensor:
        return self.ends

    def to(self, device: torch.device) -> TokenSource:
        return TokenSource(self.ids.to(device), self.ends.to(device))

    def batch(self, rows: Tensor) -> Batch:
        mask = torch.arange(self.ids.shape[1]) < self.ends[rows, None]
        tokens = TokenRows(self.ids[rows], mask)
        return Batch(rows, tokens, tokens)


def source_of(name: str, rows: int = 240, seed: int = 0) -> Source:
    """Bags: a row holds 4 to 7 of the 8 items of its group. Vectors: three hidden normal numbers, mixed, and a little
    noise. Images: a bright row of pixels pairs, whose height is the hidden number. Tokens: a row repeats one of two
    letters of its group."""
    generator = seeded(seed)
    if name == "vector":
        mix = torch.randn(3, 12, generator=seeded(99))
        clean = torch.randn(rows, 3, generator=generator) @ mix
        return VectorSource(clean / clean.std(0) + 0.05 * torch.randn(rows, 12, generator=generator))
    if name == "grid":
        height = torch.randint(0, 6, (rows,), generator=generator)
        pixels = torch.zeros(rows, 1, 8, 9)
        for row, place in enumerate(height.tolist()):
            pixels[row, 0, place : place + 3] = 1
        return GridSource(pixels)
    if name == "tokens":
        group = torch.randint(0, 5, (rows, 1), generator=generator)
        ids = 2 * group + torch.randint(0, 2, (rows, 6), generator=generator)
        return TokenSource(ids, torch.randint(2, 7, (rows,), generator=generator))
    luck = np.random.default_rng(seed)
    dense = np.zeros((rows, 24), np.float32)
    for row in range(rows):
        dense[row, row % 3 * 8 + luck.choice(8, luck.integers(4, 8), replace=False)] = 1
    return BagSource.from_csr(csr_array(dense))
