"""What flows through the bridge.

A *signal* describes the sizes of a domain's data and nothing else; the core chooses its parts by it.
A *batch* carries tensors on one device, in one of three forms: bags, token rows or plain values.

Rows of a batch can be repeated: ``repeat(samples)`` puts the copies of one row next to each other
(row 0, row 0, row 1, row 1, ...). Samples of a code are laid out in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.reprs import brief

# --- signals: sizes only ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bag:
    """Sparse rows over ``width`` items, such as a person's interactions or a bag of words."""

    width: int


@dataclass(frozen=True)
class Vector:
    """Dense rows of ``width`` numbers."""

    width: int


@dataclass(frozen=True)
class Tokens:
    """Sequences of at most ``length`` token ids below ``vocabulary``."""

    vocabulary: int
    length: int


@dataclass(frozen=True)
class Grid:
    """Images of ``channels`` x ``height`` x ``width``."""

    channels: int
    height: int
    width: int


Signal = Bag | Vector | Tokens | Grid

# --- tensors ---------------------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class Bags:
    """Sparse rows without their zeros: row r holds entries ``offsets[r]`` to ``offsets[r + 1]``."""

    indices: Int64[Tensor, " entries"]
    offsets: Int64[Tensor, " ends"]
    weights: Float[Tensor, " entries"]
    _known: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.offsets) - 1

    def lengths(self) -> Int64[Tensor, " batch"]:
        """Entries of each row."""
        return self.offsets.diff()

    def rows(self) -> Int64[Tensor, " entries"]:
        """The row that each entry belongs to."""
        if "rows" not in self._known:
            row = torch.arange(self.size, device=self.offsets.device)
            self._known["rows"] = row.repeat_interleave(self.lengths(), output_size=len(self.indices))
        return self._known["rows"]

    def by_item(self) -> Int64[Tensor, " entries"]:
        """Positions of the entries in ascending order of item; inside an item, of row."""
        if "by_item" not in self._known:
            self._known["by_item"] = torch.sort(self.indices.int(), stable=True).indices
        return self._known["by_item"]

    def totals(self) -> Float[Tensor, " batch"]:
        """The sum of each row's weights."""
        totals = torch.zeros(self.size, dtype=self.weights.dtype, device=self.weights.device)
        return totals.index_add_(0, self.rows(), self.weights)

    def reweighted(self, weights: Float[Tensor, " entries"]) -> Bags:
        """The same entries with other weights. What is known of the layout is shared: it does not depend on them."""
        return Bags(self.indices, self.offsets, weights, self._known)

    def repeat(self, samples: int) -> Bags:
        """Each row ``samples`` times, copies side by side."""
        if samples == 1:
            return self
        return self.take(torch.arange(self.size, device=self.offsets.device).repeat_interleave(samples))

    def take(self, rows: Int64[Tensor, " chosen"]) -> Bags:
        """The given rows, in the order given."""
        entries, offsets = gather_ranges(self.offsets, rows)
        return Bags(self.indices[entries], offsets, self.weights[entries])

    def part(self, start: int, stop: int) -> Bags:
        """Rows ``start`` to ``stop``, without a copy."""
        if start == 0 and stop == self.size:
            return self
        offsets = self.offsets[start : stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return Bags(self.indices[first:last], offsets - first, self.weights[first:last])

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.indices.device


@brief
@dataclass(frozen=True)
class TokenRows:
    """Token ids with a mask that is true where a token stands and false on padding, which is at the end of a row.

    Attributes:
        ids: any id below the vocabulary on padding: the mask decides.
        unseen: positions whose token a decoder is not shown as its input (word dropout); encoders and likelihoods
            ignore it.
    """

    ids: Int64[Tensor, "batch steps"]
    mask: Bool[Tensor, "batch steps"]
    unseen: Bool[Tensor, "batch steps"] | None = None

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def repeat(self, samples: int) -> TokenRows:
        """Each row ``samples`` times, copies side by side."""
        ids, mask = (t.repeat_interleave(samples, 0) for t in (self.ids, self.mask))
        return TokenRows(ids, mask, None if self.unseen is None else self.unseen.repeat_interleave(samples, 0))

    def take(self, rows: Int64[Tensor, " chosen"]) -> TokenRows:
        """The given rows, in the order given."""
        return TokenRows(self.ids[rows], self.mask[rows], None if self.unseen is None else self.unseen[rows])

    def part(self, start: int, stop: int) -> TokenRows:
        """Rows ``start`` to ``stop``, without a copy."""
        unseen = None if self.unseen is None else self.unseen[start:stop]
        return TokenRows(self.ids[start:stop], self.mask[start:stop], unseen)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.ids.device


@brief
@dataclass(frozen=True)
class Values:
    """Dense numbers: vectors ``[batch, width]`` or images ``[batch, channels, height, width]``."""

    values: Float[Tensor, "batch ..."]

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.values)

    def repeat(self, samples: int) -> Values:
        """Each row ``samples`` times, copies side by side."""
        return Values(self.values.repeat_interleave(samples, 0))

    def take(self, rows: Int64[Tensor, " chosen"]) -> Values:
        """The given rows, in the order given."""
        return Values(self.values[rows])

    def part(self, start: int, stop: int) -> Values:
        """Rows ``start`` to ``stop``, without a copy."""
        return Values(self.values[start:stop])

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.values.device


Tensors = Bags | TokenRows | Values


@brief
@dataclass(frozen=True)
class Batch:
    """Some rows of a source: what the encoder reads and what the likelihood scores."""

    rows: Int64[Tensor, " batch"]
    inputs: Tensors
    targets: Tensors

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.inputs.size

    def repeat(self, samples: int) -> Batch:
        """Each row ``samples`` times, copies side by side."""
        if samples == 1:
            return self
        rows = self.rows.repeat_interleave(samples)
        return Batch(rows, self.inputs.repeat(samples), self.targets.repeat(samples))


def require_bags(tensors: Tensors, reader: str) -> Bags:
    """The same, known to be bags.

    Args:
        tensors: inputs or targets of a batch.
        reader: who reads them, for the error.

    Raises:
        SettingError: token rows or dense values.
    """
    if not isinstance(tensors, Bags):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="bags")
    return tensors


def require_values(tensors: Tensors, reader: str) -> Values:
    """The same, known to be dense values; otherwise as ``require_bags``."""
    if not isinstance(tensors, Values):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="dense values")
    return tensors


def require_tokens(tensors: Tensors, reader: str) -> TokenRows:
    """The same, known to be token rows; otherwise as ``require_bags``."""
    if not isinstance(tensors, TokenRows):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="token rows")
    return tensors


def gather_ranges(
    offsets: Int64[Tensor, " ends"], rows: Int64[Tensor, " batch"]
) -> tuple[Int64[Tensor, " entries"], Int64[Tensor, " new_ends"]]:
    """Positions of the entries of ``rows`` in a compressed layout, and the offsets of the gathered layout."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    ends = torch.zeros(len(rows) + 1, dtype=torch.int64, device=offsets.device)
    torch.cumsum(lengths, 0, out=ends[1:])
    count = int(ends[-1])
    shift = (starts - ends[:-1]).repeat_interleave(lengths, output_size=count)
    return torch.arange(count, device=offsets.device) + shift, ends
