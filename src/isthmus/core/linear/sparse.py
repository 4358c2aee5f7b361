"""A linear autoencoder with a fixed number of weights in each column, for catalogues too large for a dense matrix.

Scores are x B as in ``isthmus.core.linear.dense``. B is stored column by column, as neighbours and weights. It is read
row by row, since a bag holds few columns: the weights are sorted once by (row, column), and scoring a bag only reads
the rows of its entries.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors, require_bags
from isthmus.protocols import Columns

PRODUCTS = 1 << 21
"""Maximum number of products of bag entries and weights at a time."""


class SparseLinear(nn.Module):
    """scores = x B, where column j of B is ``weights[j]`` at the rows ``neighbours[j]`` and 0 elsewhere.

    Args:
        width: number of columns.
        slots: number of weights per column.
    """

    neighbours: Tensor
    weights: Tensor

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        self.register_buffer("neighbours", torch.zeros(width, slots, dtype=torch.int32))
        self.register_buffer("weights", torch.zeros(width, slots))
        self._sorted: _Sorted | None = None

    @property
    def width(self) -> int:
        """The number of columns that are ranked."""
        return len(self.weights)

    def assign(
        self, neighbours: Int32[Tensor, "width slots"], weights: Float[Tensor, "width slots"]
    ) -> None:  # fmt: skip
        """Store a solution."""
        self.neighbours.copy_(neighbours)
        self.weights.copy_(weights)

    def prepare(self, inputs: Tensors) -> Bags:
        """The bags themselves, since nothing can be computed before the columns are known.

        Raises:
            SettingError: inputs that are not bags.
        """
        return require_bags(inputs, "a linear model")

    def scores(self, state: Bags, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """x B, for some columns or all."""
        if columns is None or isinstance(columns, slice):
            start, stop, _ = slice(None).indices(self.width) if columns is None else columns.indices(self.width)
            return self._layout().product(state, start, max(start, stop))
        chosen = _Layout.of(self.neighbours[columns], self.weights[columns])
        return chosen.product(state, 0, len(columns))

    def weights_for(self, column: int) -> Float[Tensor, " width"]:
        """A column of B."""
        dense = self.weights.new_zeros(self.width)
        return dense.index_add_(0, self.neighbours[column].long(), self.weights[column])

    def _layout(self) -> _Layout:
        # ``load_state_dict`` and ``to`` overwrite or replace the buffers, so the layout is checked.
        tables = (self.neighbours, self.weights)
        versions = (self.neighbours._version, self.weights._version)
        if self._sorted is None or self._sorted.versions != versions or self._sorted.tables[1] is not self.weights:
            self._sorted = _Sorted(tables, versions, _Layout.of(*tables))
        return self._sorted.layout


@dataclass(frozen=True)
class _Layout:
    """The weights of some columns in ascending order of ``row * columns + column``."""

    keys: Int64[Tensor, " entries"]
    weights: Float[Tensor, " entries"]
    columns: int

    @staticmethod
    def of(neighbours: Int32[Tensor, "columns slots"], weights: Float[Tensor, "columns slots"]) -> _Layout:
        columns = len(weights)
        own = torch.arange(columns, device=weights.device)[:, None]
        keys, order = (neighbours.long() * columns + own).flatten().sort()
        return _Layout(keys, weights.flatten()[order], columns)

    def product(self, bags: Bags, start: int, stop: int) -> Float[Tensor, "batch columns"]:
        """x B for the columns from ``start`` to ``stop``, a bounded number of products at a time."""
        size = stop - start
        sums = self.weights.new_zeros(bags.size * size)
        bases = bags.indices * self.columns
        firsts = torch.searchsorted(self.keys, bases + start)
        counts = torch.searchsorted(self.keys, bases + stop) - firsts
        # Maps a key to the position of its column in the sums of the entry's bag.
        shifts = bags.rows() * size - bases - start
        ends = counts.cumsum(0)
        total = int(ends[-1]) if len(ends) else 0
        edges = torch.arange(PRODUCTS, max(total, PRODUCTS), PRODUCTS, device=ends.device)
        bounds = [0, *torch.searchsorted(ends, edges, right=True).tolist(), len(ends)]
        for first, last in itertools.pairwise(bounds):
            some = slice(first, last)
            self._add(sums, firsts[some], counts[some], shifts[some], bags.weights[some])
        return sums.view(bags.size, size)

    def _add(self, sums: Tensor, firsts: Tensor, counts: Tensor, shifts: Tensor, weights: Tensor) -> None:
        ends = counts.cumsum(0)
        total = int(ends[-1]) if len(ends) else 0
        places = torch.arange(total, device=ends.device)
        places += (firsts - ends + counts).repeat_interleave(counts, output_size=total)
        columns = self.keys[places].add_(shifts.repeat_interleave(counts, output_size=total))
        products = self.weights[places].mul_(weights.to(sums.dtype).repeat_interleave(counts, output_size=total))
        sums.index_add_(0, columns, products)


@dataclass(frozen=True)
class _Sorted:
    """A layout and the buffers it was built from."""

    tables: tuple[Tensor, Tensor]
    versions: tuple[int, int]
    layout: _Layout
