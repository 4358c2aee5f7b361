"""Inputs and outputs of models.

A *signal* describes only the sizes of a domain's data; the core chooses its parts by it.
A *batch* contains tensors on one device: bags, token rows, both of the same rows, or plain values.
Rows of a batch can be repeated: ``repeat(samples)`` puts the copies of one row next to each other
(row 0, row 0, row 1, row 1, ...). Samples of a code are arranged in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.machine.unasked import distinct, gather_ranges
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
    """Sparse rows without their zeros: row r contains entries ``offsets[r]`` to ``offsets[r + 1]``.

    Attributes:
        indices: column of each entry.
        offsets: start of the entries of each row and, after the last row, their end.
        weights: value of each entry.
        ages: number of later events of the row after the last one of the entry; None if not needed, or if the order is
            unknown.
        times: when that event happened, in seconds; None likewise.
    """

    indices: Int64[Tensor, " entries"]
    offsets: Int64[Tensor, " ends"]
    weights: Float[Tensor, " entries"]
    ages: Float[Tensor, " entries"] | None = None
    times: Float64[Tensor, " entries"] | None = None
    # What follows from the layout, once it is computed. Entries of weight 0 may follow the bags, in bags of their own
    # that only ``ends`` knows.
    _known: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

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
        """The start of each bag and the end of the last one, including padding bags; sums over all entries use it, and
        drop the padding."""
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
        """The items that occur, of ``width`` in all, ascending, as ``machine.unasked.distinct`` has them, and the same
        bags over their places among them."""
        if "touched" not in self._known:
            found, self._known["places"] = distinct(self.indices, self.by_item())
            self._known["touched"] = found[:width]
        # Places are in the order of the items.
        shared = ("rows", "ends", "by_item", "rows_by_item")
        known: dict[str, Tensor] = {name: self._known[name] for name in shared if name in self._known}
        places = self._known["places"]
        return self._known["touched"], Bags(places, self.offsets, self.weights, self.ages, self.times, known)

    def totals(self) -> Float[Tensor, " batch"]:
        """The sum of each row's weights."""
        totals = torch.zeros(self.size, dtype=self.weights.dtype, device=self.weights.device)
        return totals.index_add_(0, self.rows(), self.weights)

    def reweighted(self, weights: Float[Tensor, " entries"]) -> Bags:
        """The same entries with other weights. Information about the layout is shared, because it does not depend on
        them."""
        return Bags(self.indices, self.offsets, weights, self.ages, self.times, self._known)

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
        return self.entries(*gather_ranges(self.offsets, rows, count))

    def entries(self, entries: Int64[Tensor, " chosen"] | slice, offsets: Int64[Tensor, " ends"]) -> Bags:
        """Some entries, with all their data.

        Args:
            entries: positions of the entries, in the given order.
            offsets: the rows that they form.
        """
        ages, times = (None if of is None else of[entries] for of in (self.ages, self.times))
        return Bags(self.indices[entries], offsets, self.weights[entries], ages, times)

    def to(self, device: torch.device) -> Bags:
        """The same rows on another device."""
        ages, times = (None if of is None else of.to(device) for of in (self.ages, self.times))
        indices, offsets, weights = (of.to(device) for of in (self.indices, self.offsets, self.weights))
        return Bags(indices, offsets, weights, ages, times)

    def part(self, start: int, stop: int) -> Bags:
        """Rows ``start`` to ``stop``, without a copy."""
        if start == 0 and stop == self.size:
            return self
        offsets = self.offsets[start : stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return self.entries(slice(first, last), offsets - first)

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.indices.device


@dataclass(frozen=True)
class TokenPlaces:
    """What the host knows about token rows on a device, so that it need not wait for the device.

    Attributes:
        lengths: the number of tokens of each row, at least 1, on the device; padding follows the last one.
        full: whether no row has padding; False if unknown.
        real: the positions of all tokens in the flattened ids, ascending, on the device; None if unknown.
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
        unseen: positions whose token is hidden from the decoder's input (word dropout); nothing else reads it.
        times: time of each token, ascending, in seconds or in a unit of the data; None if unknown.
        places: known properties of the mask; dropped if rows are selected.
        every: whether each prefix of a row is a record, row after row; for causal encoders.
    """

    ids: Int64[Tensor, "batch steps"]
    mask: Bool[Tensor, "batch steps"]
    unseen: Bool[Tensor, "batch steps"] | None = None
    times: Float64[Tensor, "batch steps"] | None = None
    every: bool = False
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
        return self._each(lambda rows: rows.repeat_interleave(samples, 0))

    def take(self, rows: Int64[Tensor, " chosen"]) -> TokenRows:
        """The given rows, in the given order."""
        return self._each(lambda all_rows: all_rows[rows])

    def part(self, start: int, stop: int) -> TokenRows:
        """Rows ``start`` to ``stop``, without a copy."""
        return self._each(lambda rows: rows[start:stop])

    def to(self, device: torch.device) -> TokenRows:
        """The same rows on another device."""
        return self._each(lambda rows: rows.to(device))

    def last(self, length: int) -> TokenRows:
        """At most this many tokens of each row, the last ones."""
        if self.ids.shape[1] <= length:
            return self
        lengths = self.mask.sum(1)
        places = (lengths - length).clamp(min=0)[:, None] + torch.arange(length, device=self.device)
        shorter = self._each(lambda rows: rows.gather(1, places))
        return replace(shorter, mask=places < lengths[:, None])

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.ids.device

    def _each(self, change: Callable[[Tensor], Tensor]) -> TokenRows:
        unseen, times = (None if of is None else change(of) for of in (self.unseen, self.times))
        return TokenRows(change(self.ids), change(self.mask), unseen, times, self.every)


@brief
@dataclass(frozen=True)
class Histories:
    """The same rows as bags and in order, for a model whose parts read one or the other.

    Attributes:
        bags: the entries of each row.
        tokens: the last events of each row, oldest first.
    """

    bags: Bags
    tokens: TokenRows

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.bags.size

    def repeat(self, samples: int) -> Histories:
        """Repeat each row ``samples`` times, with copies next to each other."""
        return Histories(self.bags.repeat(samples), self.tokens.repeat(samples))

    def take(self, rows: Int64[Tensor, " chosen"]) -> Histories:
        """The given rows, in the given order."""
        return Histories(self.bags.take(rows), self.tokens.take(rows))

    def part(self, start: int, stop: int) -> Histories:
        """Rows ``start`` to ``stop``, without a copy."""
        return Histories(self.bags.part(start, stop), self.tokens.part(start, stop))

    def to(self, device: torch.device) -> Histories:
        """The same rows on another device."""
        return Histories(self.bags.to(device), self.tokens.to(device))

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.bags.device


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

    def to(self, device: torch.device) -> Values:
        """The same rows on another device."""
        return Values(self.values.to(device))

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.values.device


Tensors = Bags | TokenRows | Histories | Values


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
        The same tensors, or the bags of histories.

    Raises:
        SettingError: token rows or dense values.
    """
    tensors = tensors.bags if isinstance(tensors, Histories) else tensors
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
    tensors = tensors.tokens if isinstance(tensors, Histories) else tensors
    if not isinstance(tensors, TokenRows):
        raise SettingError(f"{type(tensors).__name__} for {reader}", expected="token rows")
    return tensors
