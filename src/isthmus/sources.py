"""Data sets on a device: sparse bags and dense vectors.

There are no loader workers. All data stay on the device, and a batch is a gather of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bags, Batch, Values, gather_ranges
from isthmus.checked.sparse import check_csr
from isthmus.machine.devices import sent
from isthmus.protocols import Source
from isthmus.reprs import brief


@brief
@dataclass(frozen=True, eq=False)
class BagSource:
    """Sparse rows over a catalogue: 4 bytes per entry, 8 with weights.

    Inputs and targets of a batch are the same bags, and their weights are the values of the matrix.

    Attributes:
        offsets: start of the entries of each row and, after the last row, their end.
        indices: column of each entry; converted to int64 one batch at a time.
        weights: value of each entry; None if all are 1.
        ages: how many events of the row came after the last one of the entry, if somebody reads it; see ``Bags``.
        times: when that event happened, in seconds, likewise.
    """

    offsets: Int64[Tensor, " ends"]
    indices: Int32[Tensor, " entries"]
    weights: Float[Tensor, " entries"] | None = None
    ages: Float[Tensor, " entries"] | None = None
    times: Float64[Tensor, " entries"] | None = None

    @classmethod
    def from_csr(cls, matrix: csr_array, device: torch.device | None = None) -> BagSource:
        """Copy a SciPy CSR matrix, shape (rows, width), to a device; by default the CPU.

        Raises:
            InputError: no CSR matrix, one whose parts do not fit each other, or 2**31 columns or more.
        """
        check_csr(matrix)
        data = np.asarray(matrix.data, dtype=np.float32)
        weights = None if (data == 1).all() else torch.tensor(data, device=device)
        offsets = torch.tensor(matrix.indptr.astype(np.int64), device=device)
        return cls(offsets, torch.tensor(matrix.indices.astype(np.int32), device=device), weights)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of entries of each row, on the CPU."""
        return self.offsets.cpu().diff()

    def to(self, device: torch.device) -> BagSource:
        """The same rows on another device."""
        more = (None if of is None else of.to(device) for of in (self.weights, self.ages, self.times))
        return BagSource(self.offsets.to(device), self.indices.to(device), *more)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order. A device need not be waited for where ``rows`` are on the CPU."""
        device = self.offsets.device
        counted = rows.device.type == "cpu" != device.type
        count = int(self.lengths[rows].sum()) if counted else None
        rows = sent(rows, device)
        entries, offsets = gather_ranges(self.offsets, rows, count)
        indices = self.indices[entries].long()
        weights = torch.ones_like(indices, dtype=torch.float32) if self.weights is None else self.weights[entries]
        ages, times = (None if of is None else of[entries] for of in (self.ages, self.times))
        bags = Bags(indices, offsets, weights, ages, times)
        return Batch(rows, bags, bags)


@brief
@dataclass(frozen=True, eq=False)
class VectorSource:
    """Dense rows; inputs and targets of a batch are the same numbers."""

    values: Float[Tensor, "rows width"]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The width, for each row."""
        rows, width = self.values.shape
        return torch.full((rows,), width, device=self.values.device)

    def to(self, device: torch.device) -> VectorSource:
        """The same rows on another device."""
        return VectorSource(self.values.to(device))

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        rows = sent(rows, self.values.device)
        values = Values(self.values.index_select(0, rows))
        return Batch(rows, values, values)


@dataclass(frozen=True, eq=False)
class SomeRows:
    """Some rows of another source, in their order."""

    source: Source
    rows: Int64[Tensor, " some"]

    @classmethod
    def of(cls, source: Source, most: int) -> SomeRows:
        """At most this many rows, evenly spaced."""
        return cls(source, even_rows(len(source), most))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The lengths of the chosen rows in the other source."""
        lengths = self.source.lengths
        return lengths[self.rows.to(lengths.device)]

    def to(self, device: torch.device) -> SomeRows:
        """The same rows on another device."""
        return SomeRows(self.source.to(device), self.rows.to(device))

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        return self.source.batch(self.rows[rows.to(self.rows.device)])


def even_rows(rows: int, most: int) -> Int64[Tensor, " some"]:
    """At most ``most`` row numbers, evenly spaced from 0; deterministic."""
    count = min(rows, most)
    return torch.arange(count) * rows // max(count, 1)
