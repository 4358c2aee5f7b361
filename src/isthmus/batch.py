"""Inputs and outputs of models.

A *signal* describes only the sizes of a domain's data; the core chooses its parts by it.
A *batch* contains tensors on one device, in one of three forms: bags, token rows or plain values.
Rows of a batch can be repeated: ``repeat(samples)`` puts the copies of one row next to each other
(row 0, row 0, row 1, row 1, ...). Samples of a code are arranged in the same order.
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
    """Sparse rows without their zeros: row r contains entries ``offsets[r]`` to ``offsets[r + 1]``."""

    indices: Int64[Tensor, " entries"]
    offsets: Int64[Tensor, " ends"]
    weights: Float[Tensor, " entries"]
    _known: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def laid_out(
        cls,
        indices: Int64[Tensor, " entries"],
        ends: Int64[Tensor, " more_ends"],
        weights: Float[Tensor, " entries"],
        rows: Int64[Tensor, " entries"],
        size: int,
    ) -> Bags:
        """Bags whose layout is known, and that may be followed by entries of weight 0 up to a fixed number of them.

        Args:
            indices: the items of all bags, then those of the filling.
            ends: where each bag starts, bags of the filling after the others, and where the last one ends.
            weights: one for each entry; 0 for the filling.
            rows: the row of each entry; any row for the filling.
            size: the number of bags without the filling.
        """
        return cls(indices, ends[: size + 1], weights, {"rows": rows, "ends": ends})

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.offsets) - 1

    def lengths(self) -> Int64[Tensor, " batch"]:
        """The number of entries of each row."""
        return self.offsets.diff()

    def rows(self) -> Int64[Tensor, " entries"]:
        """The row of each entry."""
        if "rows" not in self._known:
            row = torch.arange(self.size, device=self.offsets.device)
            self._known["rows"] = row.repeat_interleave(self.lengths(), output_size=len(self.indices))
        return self._known["rows"]

    def ends(self) -> Int64[Tensor, " more_ends"]:
        """Where each bag starts and the last one ends, bags of a filling among them: sums over all entries read it,
        and leave what belongs to the filling."""
        return self._known.get("ends", self.offsets)

    def by_item(self) -> Int64[Tensor, " entries"]:
        """Positions of the entries in ascending order of item, then of row."""
        if "by_item" not in self._known:
            self._known["by_item"] = torch.sort(self.indices.int(), stable=True).indices
        return self._known["by_item"]

    def items_by_item(self) -> Int64[Tensor, " entries"]:
        """The items in ascending order."""
        if "items_by_item" not in self._known:
            self._known["items_by_item"] = self.indices[self.by_item()]
        return self._known["items_by_item"]

    def rows_by_item(self) -> Int64[Tensor, " entries"]:
        """The row of each entry, in the order of ``by_item``."""
        if "rows_by_item" not in self._known:
            self._known["rows_by_item"] = self.rows()[self.by_item()]
        return self._known["rows_by_item"]

    def renumbered(self, width: int) -> tuple[Int64[Tensor, " touched"], Bags]:
        """The items that occur, of ``width`` in all, ascending (see ``distinct``), and the same bags over their places
        among them."""
        if "touched" not in self._known:
            found, self._known["places"] = distinct(self.indices, self.by_item())
            self._known["touched"] = found[:width]
        # Places are in the order of the items.
        known = {name: self._known[name] for name in ("rows", "ends", "by_item", "rows_by_item") if name in self._known}
        return self._known["touched"], Bags(self._known["places"], self.offsets, self.weights, known)

    def totals(self) -> Float[Tensor, " batch"]:
        """The sum of each row's weights."""
        totals = torch.zeros(self.size, dtype=self.weights.dtype, device=self.weights.device)
        return totals.index_add_(0, self.rows(), self.weights)

    def reweighted(self, weights: Float[Tensor, " entries"]) -> Bags:
        """The same entries with other weights. Information about the layout is shared, because it does not depend on
        them."""
        return Bags(self.indices, self.offsets, weights, self._known)

    def repeat(self, samples: int) -> Bags:
        """Repeat each row ``samples`` times, with copies next to each other."""
        if samples == 1:
            return self
        filled = len(self.ends()) > len(self.offsets)
        rows = torch.arange(self.size, device=self.offsets.device).repeat_interleave(samples)
        return self._taken(rows, None if filled else samples * len(self.indices))

    def take(self, rows: Int64[Tensor, " chosen"]) -> Bags:
        """The given rows, in the given order."""
        return self._taken(rows)

    def _taken(self, rows: Int64[Tensor, " chosen"], count: int | None = None) -> Bags:
        entries, offsets = gather_ranges(self.offsets, rows, count)
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
        """The device of the tensors."""
        return self.indices.device


@dataclass(frozen=True)
class TokenPlaces:
    """What the host knew of token rows before they were on a device, which need not be asked then.

    Attributes:
        lengths: the number of tokens of each row, 1 at least, on the device; padding is behind the last one.
        full: whether no row has padding; False where nobody knows.
        real: the positions of all tokens in the flattened ids, ascending, on the device; None where nobody knows.
    """

    lengths: Int64[Tensor, " batch"]
    full: bool = False
    real: Int64[Tensor, " tokens"] | None = None


@brief
@dataclass(frozen=True)
class TokenRows:
    """Token ids with a mask that is True for tokens and False for padding, which is at the end of a row.

    Attributes:
        ids: padding may have any id below the vocabulary size; only the mask counts.
        unseen: positions whose token is hidden from the decoder's input (word dropout); encoders and likelihoods ignore
            it.
        places: what is known of the mask; of rows that are taken out, nothing is.
    """

    ids: Int64[Tensor, "batch steps"]
    mask: Bool[Tensor, "batch steps"]
    unseen: Bool[Tensor, "batch steps"] | None = None
    places: TokenPlaces | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def real(self) -> Int64[Tensor, " tokens"]:
        """The positions of all tokens in the flattened ids, ascending."""
        known = None if self.places is None else self.places.real
        return self.mask.flatten().nonzero()[:, 0] if known is None else known

    def repeat(self, samples: int) -> TokenRows:
        """Repeat each row ``samples`` times, with copies next to each other."""
        ids, mask = (t.repeat_interleave(samples, 0) for t in (self.ids, self.mask))
        return TokenRows(ids, mask, None if self.unseen is None else self.unseen.repeat_interleave(samples, 0))

    def take(self, rows: Int64[Tensor, " chosen"]) -> TokenRows:
        """The given rows, in the given order."""
        return TokenRows(self.ids[rows], self.mask[rows], None if self.unseen is None else self.unseen[rows])

    def part(self, start: int, stop: int) -> TokenRows:
        """Rows ``start`` to ``stop``, without a copy."""
        unseen = None if self.unseen is None else self.unseen[start:stop]
        return TokenRows(self.ids[start:stop], self.mask[start:stop], unseen)

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
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
        """Repeat each row ``samples`` times, with copies next to each other."""
        return Values(self.values.repeat_interleave(samples, 0))

    def take(self, rows: Int64[Tensor, " chosen"]) -> Values:
        """The given rows, in the given order."""
        return Values(self.values[rows])

    def part(self, start: int, stop: int) -> Values:
        """Rows ``start`` to ``stop``, without a copy."""
        return Values(self.values[start:stop])

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.values.device


Tensors = Bags | TokenRows | Values


@brief
@dataclass(frozen=True)
class Batch:
    """Some rows of a source: the input of the encoder and the targets of the likelihood."""

    rows: Int64[Tensor, " batch"]
    inputs: Tensors
    targets: Tensors

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.inputs.size

    def repeat(self, samples: int) -> Batch:
        """Repeat each row ``samples`` times, with copies next to each other."""
        if samples == 1:
            return self
        rows = self.rows.repeat_interleave(samples)
        return Batch(rows, self.inputs.repeat(samples), self.targets.repeat(samples))


def require_bags(tensors: Tensors, reader: str) -> Bags:
    """Check that tensors are bags.

    Args:
        tensors: inputs or targets of a batch.
        reader: the part that reads them, for the error message.

    Returns:
        The same tensors.

    Raises:
        SettingError: token rows or dense values.
    """
    if not isinstance(tensors, Bags):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="bags")
    return tensors


def require_values(tensors: Tensors, reader: str) -> Values:
    """Check that tensors are dense values; like ``require_bags``."""
    if not isinstance(tensors, Values):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="dense values")
    return tensors


def require_tokens(tensors: Tensors, reader: str) -> TokenRows:
    """Check that tensors are token rows; like ``require_bags``."""
    if not isinstance(tensors, TokenRows):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="token rows")
    return tensors


def gather_ranges(
    offsets: Int64[Tensor, " ends"], rows: Int64[Tensor, " batch"], count: int | None = None
) -> tuple[Int64[Tensor, " entries"], Int64[Tensor, " new_ends"]]:
    """Positions of the entries of ``rows`` in a compressed layout, and the offsets of the gathered layout.

    Args:
        offsets: start of each row's entries, and the end of the last row's.
        rows: which rows, in which order.
        count: how many entries they have in all; a device is not asked for what its host knows.
    """
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    ends = torch.zeros(len(rows) + 1, dtype=torch.int64, device=offsets.device)
    torch.cumsum(lengths, 0, out=ends[1:])
    count = int(ends[-1]) if count is None else count
    shift = (starts - ends[:-1]).repeat_interleave(lengths, output_size=count)
    return torch.arange(count, device=offsets.device) + shift, ends


def distinct(
    values: Int64[Tensor, " many"], order: Int64[Tensor, " many"] | None = None
) -> tuple[Int64[Tensor, " touched"], Int64[Tensor, " many"]]:
    """The values that occur, ascending, and the place of each value among them.

    On a CPU each occurs once. An accelerator would have to be waited for to know how many there are: there the result
    is as long as ``values``, and the largest value fills the rest. Places are those of the first one.

    Args:
        values: in any order.
        order: the positions of the values in ascending order, where they are known.

    Returns:
        The distinct values, and [many] places.
    """
    if values.device.type == "cpu":
        found, places = values.unique(return_inverse=True)
        return found, places
    order = values.argsort() if order is None else order
    ascending = values[order]
    number = torch.zeros_like(order)
    torch.cumsum(ascending[1:] != ascending[:-1], 0, out=number[1:])
    found = ascending[-1:].expand(len(values)).scatter(0, number, ascending)
    return found, torch.empty_like(number).scatter_(0, order, number)
