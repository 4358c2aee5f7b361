"""The location of the rows of item tables: all in this process, or distributed over several processes.

Parts with a table get its ``Rows`` when they are built, and use them for everything that needs all rows: the sum of a
bag, a softmax, logits. In one process this adds no cost. ``isthmus.distributed`` implements the other case, in which
each of these is a sum or a maximum over the processes. A training uses a ``Placement``, and neither its loop nor the
models depend on which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors
from isthmus.protocols import Columns, Neighbours
from isthmus.rowlists import RowLists

Fill = Callable[[Tensor], object]
"""A function that fills a tensor with random numbers, in place: one at a time, or sixteen at a time, as PyTorch draws
normal numbers on a CPU."""


@runtime_checkable
class Rows(Protocol):
    """The rows of a table over all items: the local ones, and computations over all of them.

    Tables only have the local rows; items are numbered globally, unless a local number is mentioned.
    """

    @property
    def width(self) -> int:
        """The total number of rows."""

    @property
    def whole(self) -> bool:
        """Whether all rows are local."""

    def fill(self, table: Tensor, draw: Fill) -> None:
        """Draw numbers for all rows and keep those of the local rows, so that they do not depend on the placement."""

    def table(self, draw: Fill, *columns: int) -> nn.Parameter:
        """A new table [local rows, *columns] with such numbers."""

    def own(self, bags: Bags) -> Bags:
        """The entries whose items are local, with local numbers; the number of bags is unchanged."""

    def within(self, items: Int64[Tensor, " ascending"]) -> slice:
        """Which of some items, in ascending order, are local."""

    def places(self, items: Int64[Tensor, " items"]) -> Int64[Tensor, " items"]:
        """The local numbers of local items."""

    def lookup(self, table: Tensor, ids: Int64[Tensor, "*positions"]) -> Float[Tensor, "*positions width"]:
        """The rows of some items, local or not."""

    def total(self, part: Tensor) -> Tensor:
        """The sum of the results of all processes for their rows; differentiable."""

    def handed(self, state: Tensor) -> Tensor:
        """The same state; its gradient is the sum of the gradients of all processes."""

    def added(self, part: Tensor) -> Tensor:
        """``total`` without a gradient."""

    def largest(self, part: Tensor) -> Tensor:
        """The elementwise maximum over all processes; no gradient."""

    def logits(
        self, decoded: Float[Tensor, "batch hidden"], weight: Tensor, bias: Tensor | None, columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Inner products of states with rows, plus biases, for all items, a slice of them, or some by number."""

    def own_lists(self, lists: RowLists) -> RowLists:
        """The local items of each list, with local numbers."""

    def merged(self, found: Neighbours) -> Neighbours:
        """The best results over all rows, from the best of the local rows, which have local numbers."""


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
            decoded: one state per row.
            weight: the table.
            bias: one number per item; None for none.
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
        """The same results."""
        return found


@runtime_checkable
class Placement(Protocol):
    """The processes that train one model together, from the view of one of them."""

    @property
    def leader(self) -> bool:
        """Whether this process shows the progress and writes what is not distributed."""

    @property
    def alone(self) -> bool:
        """Whether no other process takes part."""

    @property
    def recovers(self) -> bool:
        """Whether this process can continue with its model after an error; not if other processes wait for it."""

    def rows(self, width: int) -> Rows:
        """The rows of a table over ``width`` items."""

    def any(self, here: bool) -> bool:
        """Whether ``here`` is true in any process; all processes call this at the same time and get the same result."""

    def most(self, here: int) -> int:
        """The maximum of a number over all processes, likewise."""

    def agreed(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of the leader, with which all processes decide alike, likewise."""

    def sharing(self, inputs: Tensors) -> AbstractContextManager[None]:
        """A context for a training step on these inputs, of which this process may compute a part
        (``isthmus.core.shares``)."""

    def differentiate(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Compute the gradient of the loss of a training step for all processes."""

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """The store of checkpoints for a training of ``model``: ``usual``, or one with the same methods."""


@dataclass(frozen=True)
class OneProcess:
    """This process alone."""

    leader: bool = True
    alone: bool = True
    recovers: bool = True

    def rows(self, width: int) -> Rows:
        """All rows."""
        return AllRows(width)

    def any(self, here: bool) -> bool:
        """Whether ``here`` is true."""
        return here

    def most(self, here: int) -> int:
        """The given number."""
        return here

    def agreed(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The given numbers."""
        return dict(numbers)

    def sharing(self, inputs: Tensors) -> AbstractContextManager[None]:
        """This process computes the whole batch."""
        return nullcontext()

    def differentiate(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Compute the gradient of the loss."""
        loss.backward()

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """The usual store.

        Args:
            model: the model that is trained.
            folder: folder of the checkpoints.
            usual: builds the store.
        """
        return usual(folder)


_placement: ContextVar[Placement] = ContextVar("placement", default=OneProcess())  # noqa: B039


def current() -> Placement:
    """The current placement, with which models are built and trained."""
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
    """The rows of a readout: those that it declares, or all."""
    named: Rows | None = getattr(readout, "rows", None)
    return AllRows(len(readout.weight)) if named is None else named


def cut_tables(model: nn.Module) -> dict[str, Rows]:
    """The tensors of a model whose rows are items and not all local, under all their names in its state.

    A module declares its tables with a method ``tables``, which returns their names within the module and their rows.
    """
    found: dict[str, Rows] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        tables: Callable[[], Mapping[str, Rows]] | None = getattr(module, "tables", None)
        if tables is not None:
            before = f"{prefix}." if prefix else ""
            found |= {f"{before}{name}": rows for name, rows in tables().items() if not rows.whole}
    return found
