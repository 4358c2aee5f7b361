"""Data sets on a device: sparse bags, dense vectors, and prefixes of token rows with the tokens that follow them.

There are no loader workers. All data stay on the device, and a batch is a gather of rows.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Float64, Int32, Int64
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bags, Batch, TokenRows, Values, require_tokens
from isthmus.checked.sparse import check_csr
from isthmus.disk.mapped import is_constant, is_mapped, pieces
from isthmus.machine.devices import sent
from isthmus.machine.unasked import gather_ranges
from isthmus.protocols import Source
from isthmus.reprs import brief

FEWEST = 2
"""Minimum number of tokens of a row in which one follows another."""

FILLING_BAGS = 64
"""Number of bags over which the padding of a batch is spread, because one long bag would delay all others."""


@dataclass(frozen=True)
class Layout:
    """What the host knows about a batch before the device gathers it.

    Attributes:
        numbers: data that the device needs, on the CPU.
        shape: layouts of the same shape only differ in their numbers.
    """

    numbers: Int64[Tensor, " numbers"]
    shape: tuple[int, ...]


@runtime_checkable
class LaidOut(Source, Protocol):
    """A source whose batches are gathered by the same operations if their layouts have the same shape."""

    def layout(self, rows: Int64[Tensor, " batch"], *, filled: bool = False) -> Layout:
        """The layout of a batch of rows on the CPU; ``filled`` pads it with entries of weight 0, so that there are few
        shapes."""

    def gathered(self, numbers: Int64[Tensor, " numbers"], shape: tuple[int, ...]) -> Batch:
        """The batch of a layout whose numbers are on the source's device."""


def few_sizes(count: int) -> int:
    """The size rounded up to one of a few: 4, 5, 6 or 7 times a power of two, at least 64."""
    step = 1 << max(4, (count - 1).bit_length() - 3)
    return max(64, -(-count // step) * step)


@brief
@dataclass(frozen=True, eq=False)
class BagSource:
    """Sparse rows over a catalogue: 4 bytes per entry, 8 with weights.

    Inputs and targets of a batch are the same bags, and their weights are the values of the matrix.

    Attributes:
        offsets: start of the entries of each row and, after the last row, their end.
        indices: column of each entry; converted to int64 one batch at a time.
        weights: value of each entry; None if all are 1.
        ages: number of later events of the row after the last one of the entry, if needed; see ``Bags``.
        times: time of that event in seconds, likewise.
        mapped: the memory-mapped matrix, if the entries are in files; for code that reads all rows.
    """

    offsets: Int64[Tensor, " ends"]
    indices: Int32[Tensor, " entries"]
    weights: Float[Tensor, " entries"] | None = None
    ages: Float[Tensor, " entries"] | None = None
    times: Float64[Tensor, " entries"] | None = None
    mapped: csr_array | None = None

    @classmethod
    def from_csr(cls, matrix: csr_array, device: torch.device | None = None) -> BagSource:
        """Copy a SciPy CSR matrix, shape (rows, width), to a device; by default the CPU.

        On the CPU, memory-mapped arrays are not copied: batches read their rows from the files.

        Raises:
            InputError: not a CSR matrix, an inconsistent one, or 2**31 columns or more.
        """
        check_csr(matrix)
        data = np.asarray(matrix.data, dtype=np.float32)
        weights = None if _all_one(data) else _taken(data, device)
        offsets = torch.tensor(matrix.indptr.astype(np.int64), device=device)
        mapped = matrix if device is None and is_mapped(matrix.indices) else None
        return cls(offsets, _taken(matrix.indices.astype(np.int32, copy=False), device), weights, mapped=mapped)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def ends_here(self) -> Int64[Tensor, " ends"]:
        """The offsets on the CPU."""
        return self.offsets.cpu()

    @cached_property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of entries of each row, on the CPU."""
        return self.ends_here.diff()

    def to(self, device: torch.device) -> BagSource:
        """The same rows on another device."""
        weights, ages, times = (None if of is None else of.to(device) for of in (self.weights, self.ages, self.times))
        mapped = self.mapped if device.type == "cpu" else None
        moved = BagSource(self.offsets.to(device), self.indices.to(device), weights, ages, times, mapped=mapped)
        vars(moved)["ends_here"] = self.ends_here
        return moved

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order. There is no wait for the device if ``rows`` are on the CPU."""
        device = self.offsets.device
        if rows.device.type == "cpu" != device.type:
            layout = self.layout(rows)
            return self.gathered(sent(layout.numbers, device), layout.shape)
        rows = sent(rows, device)
        entries, offsets = gather_ranges(self.offsets, rows)
        indices = self.indices[entries].long()
        weights = torch.ones_like(indices, dtype=torch.float32) if self.weights is None else self.weights[entries]
        ages, times = (None if of is None else of[entries] for of in (self.ages, self.times))
        bags = Bags(indices, offsets, weights, ages, times)
        return Batch(rows, bags, bags)

    def layout(self, rows: Int64[Tensor, " batch"], *, filled: bool = False) -> Layout:
        """The layout of a batch, computed on the host.

        Args:
            rows: their numbers, on the CPU.
            filled: whether to pad with entries of weight 0 to one of a few sizes, so that many batches have the same
                shape.

        Returns:
            The rows, the ends of their entries in the batch, and the offsets from there to their positions in the
            source.
        """
        starts = self.ends_here[rows]
        lengths = self.ends_here[rows + 1] - starts
        count, bags = int(lengths.sum()), min(FILLING_BAGS, len(rows))
        spare = few_sizes(count) - count if filled else 0
        # The padding consists of the first entries of the source, the same ones in each bag.
        if not 0 < spare <= bags * int(self.ends_here[-1]):
            spare = bags = 0
        parts = torch.full((bags,), spare // max(bags, 1))
        parts[: spare - int(parts.sum())] += 1
        lengths, starts = torch.cat([lengths, parts]), torch.cat([starts, parts.new_zeros(bags)])
        ends = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return Layout(torch.cat([rows, ends, starts - ends[:-1]]), (len(rows), bags, count + spare))

    def gathered(self, numbers: Int64[Tensor, " numbers"], shape: tuple[int, ...]) -> Batch:
        """The batch of a layout.

        Args:
            numbers: of the layout, on the source's device.
            shape: of the layout.

        Returns:
            The batch, computed by the same tensor operations for all layouts of a shape.
        """
        size, bags, count = shape
        rows, ends, shifts = numbers.split([size, size + bags + 1, size + bags])
        places = torch.arange(count, device=numbers.device)
        bag = torch.searchsorted(ends[1:], places, right=True)
        entries = places + shifts[bag]
        indices = self.indices[entries].long()
        weights = torch.ones_like(indices, dtype=torch.float32) if self.weights is None else self.weights[entries]
        if bags:
            # Their rows do not matter, but a single row with all of them would delay the others.
            weights, bag = weights * (bag < size), bag % size
        ages, times = (None if of is None else of[entries] for of in (self.ages, self.times))
        found = Bags(indices, ends[: size + 1], weights, ages, times, {"rows": bag, "ends": ends})
        return Batch(rows, found, found)


def _all_one(data: npt.NDArray[np.float32]) -> bool:
    some = data[:1] if is_constant(data) else data
    return all(bool((some[piece] == 1).all()) for piece in pieces(len(some)))


def _taken(array: npt.NDArray[Any], device: torch.device | None) -> Tensor:
    """A copy of an array, or the array itself if it is memory-mapped and stays on the CPU."""
    if not is_mapped(array):
        return torch.tensor(array, device=device)
    with warnings.catch_warnings():
        # It is never written to, because mapped files must not change.
        warnings.simplefilter("ignore", UserWarning)
        shared = torch.from_numpy(array)
    return shared if device is None else shared.to(device)


class RowSource(ABC):
    """A source whose batches are gathered by row numbers only, so that all layouts with equally many rows have the same
    shape."""

    @abstractmethod
    def gathered(self, numbers: Int64[Tensor, " batch"], shape: tuple[int, ...]) -> Batch:
        """The batch of a layout; ``numbers`` are on the source's device."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the rows are."""

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        return self.gathered(sent(rows, self.device), (len(rows),))

    def layout(self, rows: Int64[Tensor, " batch"], *, filled: bool = False) -> Layout:
        """The rows themselves.

        Args:
            rows: their numbers, on the CPU.
            filled: changes nothing.
        """
        return Layout(rows, (len(rows),))


@brief
@dataclass(frozen=True, eq=False)
class VectorSource(RowSource):
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

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.values.device

    def gathered(self, numbers: Int64[Tensor, " batch"], shape: tuple[int, ...]) -> Batch:
        """The batch of a layout; ``numbers`` are on the source's device."""
        values = Values(self.values.index_select(0, numbers))
        return Batch(numbers, values, values)


@dataclass(frozen=True, eq=False)
class NextTokens:
    """Every prefix of the rows of another source, and the bag of the tokens that follow it.

    A row of n tokens has n − 1 prefixes that are followed by a token; rows of fewer than two tokens are left out.

    Attributes:
        source: token rows.
        rows: its rows with at least two tokens.
        ahead: number of tokens after a prefix that are its targets, or fewer at the end of a row.
    """

    source: Source
    rows: Int64[Tensor, " long"]
    ahead: int = 1

    @classmethod
    def of(cls, source: Source, ahead: int = 1) -> NextTokens:
        """All rows with at least two tokens."""
        return cls(source, (source.lengths >= FEWEST).nonzero()[:, 0], ahead)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of prefixes of each row."""
        return self.source.lengths[self.rows] - 1

    def to(self, device: torch.device) -> NextTokens:
        """The same rows on another device."""
        return NextTokens(self.source.to(device), self.rows.to(device), self.ahead)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The prefixes of the given rows, row after row, with a bag of targets for each of them."""
        found = self.source.batch(self.rows[rows.to(self.rows.device)])
        return Batch(found.rows, *next_tokens(require_tokens(found.inputs, "a source of prefixes"), self.ahead))


def next_tokens(rows: TokenRows, ahead: int) -> tuple[TokenRows, Bags]:
    """All prefixes of token rows that are followed by a token, row after row, and the bag of the tokens after each.

    Args:
        rows: token rows.
        ahead: number of tokens after a prefix in its bag, or fewer at the end of a row.
    """
    ids, mask = rows.ids, rows.mask
    here = torch.arange(ids.shape[1] - 1, device=ids.device)
    behind = here[:, None] + torch.arange(1, ahead + 1, device=ids.device)
    there = mask[:, 1:, None] & (behind < mask.sum(1)[:, None, None])
    targets = ids[:, behind.clamp(max=ids.shape[1] - 1)][there]
    ends = there.sum(2)[mask[:, 1:]].cumsum(0)
    bags = Bags(targets, torch.cat([ends.new_zeros(1), ends]), torch.ones(len(targets), device=ids.device))
    times = None if rows.times is None else rows.times[:, :-1]
    return TokenRows(ids[:, :-1], mask[:, 1:], times=times, every=True), bags


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
        return SomeRows(self.source.to(device), self.rows)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        return self.source.batch(self.rows[rows.to(self.rows.device)])


def even_rows(rows: int, most: int) -> Int64[Tensor, " some"]:
    """At most ``most`` row numbers, evenly spaced from 0; deterministic."""
    count = min(rows, most)
    return torch.arange(count) * rows // max(count, 1)
