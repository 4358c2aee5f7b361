"""Where the rows of item tables are: all of them in this process, or a part of them in each of several processes.

Parts with a table ask for its ``Rows`` when they are built, and compute with them what needs every row: the sum of a
bag, a softmax, logits. In one process that is what it says and costs nothing. ``isthmus.distributed`` has the other
case, in which each of these is a sum or a maximum over the processes. A training is given a ``Placement``, and neither
its loop nor the models know which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus.batch import Bags
from isthmus.protocols import Columns, Neighbours
from isthmus.rowlists import RowLists

Fill = Callable[[Tensor], object]
"""Draws numbers into a tensor, in place: number after number, or sixteen at a time, as PyTorch draws normal numbers on
a CPU."""


@runtime_checkable
class Rows(Protocol):
    """The rows of a table over all items: those that are here, and what is computed over all of them.

    Axes of tables are those of the rows that are here; items have their numbers among all.
    """

    @property
    def width(self) -> int:
        """How many rows there are in all."""

    @property
    def whole(self) -> bool:
        """Whether all of them are here."""

    def fill(self, table: Tensor, draw: Fill) -> None:
        """Draw numbers for all rows and keep those of the rows that are here: the same numbers wherever they are."""

    def table(self, draw: Fill, *columns: int) -> nn.Parameter:
        """A new table [rows here, *columns] with such numbers."""

    def own(self, bags: Bags) -> Bags:
        """The entries whose items are here, by their numbers here; as many bags as before."""

    def within(self, items: Int64[Tensor, " ascending"]) -> slice:
        """Which of some items, in ascending order, are here."""

    def places(self, items: Int64[Tensor, " items"]) -> Int64[Tensor, " items"]:
        """The numbers here of items that are here."""

    def lookup(self, table: Tensor, ids: Int64[Tensor, "*positions"]) -> Float[Tensor, "*positions width"]:
        """The rows of some items, wherever they are."""

    def total(self, part: Tensor) -> Tensor:
        """The sum of what each process computed of its rows; differentiable."""

    def handed(self, state: Tensor) -> Tensor:
        """The same state, whose gradient is the sum of those that each process has for its rows."""

    def added(self, part: Tensor) -> Tensor:
        """``total`` without a gradient."""

    def largest(self, part: Tensor) -> Tensor:
        """The elementwise maximum of what each process has; no gradient."""

    def logits(
        self, decoded: Float[Tensor, "batch hidden"], weight: Tensor, bias: Tensor | None, columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Inner products of states with rows, plus biases; of all items, a slice of them, or some by number."""

    def own_lists(self, lists: RowLists) -> RowLists:
        """The items of each list that are here, by their numbers here."""

    def merged(self, found: Neighbours) -> Neighbours:
        """The best answers over all rows, from the best of the rows here, which have their numbers here."""


@dataclass(frozen=True)
class AllRows:
    """All rows are in this process."""

    width: int
    whole: bool = True

    def fill(self, table: Tensor, draw: Fill) -> None:
        """Draw numbers into the table."""
        draw(table.detach())

    def table(self, draw: Fill, *columns: int) -> nn.Parameter:
        """A new table [width, *columns] with such numbers."""
        table = torch.empty(self.width, *columns)
        draw(table)
        return nn.Parameter(table)

    def own(self, bags: Bags) -> Bags:
        """The same bags."""
        return bags

    def within(self, items: Int64[Tensor, " ascending"]) -> slice:
        """All of them."""
        return slice(None)

    def places(self, items: Int64[Tensor, " items"]) -> Int64[Tensor, " items"]:
        """The same numbers."""
        return items

    def lookup(self, table: Tensor, ids: Int64[Tensor, "*positions"]) -> Float[Tensor, "*positions width"]:
        """The rows of some items."""
        return nn.functional.embedding(ids, table)

    def total(self, part: Tensor) -> Tensor:
        """The same tensor."""
        return part

    def handed(self, state: Tensor) -> Tensor:
        """The same tensor."""
        return state

    def added(self, part: Tensor) -> Tensor:
        """The same tensor."""
        return part

    def largest(self, part: Tensor) -> Tensor:
        """The same tensor."""
        return part

    def logits(
        self, decoded: Float[Tensor, "batch hidden"], weight: Tensor, bias: Tensor | None, columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Inner products of states with rows, plus biases.

        Args:
            decoded: one state a row.
            weight: the table.
            bias: one number for each item; None for none.
            columns: a slice of the items or some by number; None for all.

        Returns:
            The logits.
        """
        if columns is None:
            return nn.functional.linear(decoded, weight, bias)
        return nn.functional.linear(decoded, weight[columns], None if bias is None else bias[columns])

    def own_lists(self, lists: RowLists) -> RowLists:
        """The same lists."""
        return lists

    def merged(self, found: Neighbours) -> Neighbours:
        """The same answers."""
        return found


@runtime_checkable
class Placement(Protocol):
    """The processes that train one model together, seen from one of them."""

    @property
    def leader(self) -> bool:
        """Whether this process speaks for all: it shows the progress and writes what is not in parts."""

    @property
    def recovers(self) -> bool:
        """Whether this process can go on with its model after an error. If others wait for it elsewhere, it cannot."""

    def rows(self, width: int) -> Rows:
        """The rows of a table over ``width`` items."""

    def any(self, here: bool) -> bool:
        """Whether it is so in any process; all of them ask at the same time, and all hear the same."""

    def most(self, here: int) -> int:
        """The largest number of any process, likewise."""

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """What keeps the checkpoints of a training of ``model``: ``usual``, or something with the same methods."""


@dataclass(frozen=True)
class OneProcess:
    """This process alone."""

    leader: bool = True
    recovers: bool = True

    def rows(self, width: int) -> Rows:
        """All rows."""
        return AllRows(width)

    def any(self, here: bool) -> bool:
        """Whether it is so here."""
        return here

    def most(self, here: int) -> int:
        """The number here."""
        return here

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """The usual one.

        Args:
            model: what is trained.
            folder: of the checkpoints.
            usual: makes what keeps them.
        """
        return usual(folder)


_placement: ContextVar[Placement] = ContextVar("placement", default=OneProcess())  # noqa: B039


def current() -> Placement:
    """The placement of the models that are built and trained here and now."""
    return _placement.get()


@contextmanager
def placed(placement: Placement) -> Iterator[None]:
    """Inside this context, models are built and trained with this placement."""
    token = _placement.set(placement)
    try:
        yield
    finally:
        _placement.reset(token)


def rows_of(readout: Any) -> Rows:
    """The rows of a readout: those that it names, or all."""
    named: Rows | None = getattr(readout, "rows", None)
    return AllRows(len(readout.weight)) if named is None else named


def cut_tables(model: nn.Module) -> dict[str, Rows]:
    """The tensors of a model whose rows are items and not all here, under all their names in its state.

    A module names its tables by a method ``tables``: their names within the module, and their rows.
    """
    found: dict[str, Rows] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        tables: Callable[[], Mapping[str, Rows]] | None = getattr(module, "tables", None)
        if tables is not None:
            before = f"{prefix}." if prefix else ""
            found |= {f"{before}{name}": rows for name, rows in tables().items() if not rows.whole}
    return found
