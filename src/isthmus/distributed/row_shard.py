"""Some consecutive rows of a table, and computations over all rows together with other processes.

Values that are the same in all processes (a decoded state, a loss) are called replicated. A sum over the parts is
replicated, and so is its gradient, which is therefore the gradient of each part. If each process multiplies a
replicated state with its own rows, each gets a part of the gradient, and these parts are summed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from isthmus.batch import Bags
from isthmus.core.placement import Fill
from isthmus.distributed.talk import Talk
from isthmus.errors import SettingError
from isthmus.protocols import Columns, Neighbours
from isthmus.rowlists import RowLists, owners

BLOCK = 1 << 22
"""Number of random numbers that are drawn at a time; those for other processes are discarded."""

AT_ONCE = 16
"""Normal numbers are drawn sixteen at a time; blocks that are multiples of this give the same numbers as one draw."""


def spans(width: int, size: int) -> list[slice]:
    """The rows of ``width`` for each of ``size`` processes; all except the last ones have equally many.

    Raises:
        SettingError: fewer rows than processes.
    """
    each = -(-width // size)
    if (size - 1) * each >= width:
        raise SettingError(
            f"{width} items over {size} processes", expected="at least one for each", remedy="start fewer processes"
        )
    return [slice(rank * each, min(width, (rank + 1) * each)) for rank in range(size)]


@dataclass(frozen=True, eq=False)
class RowShard:
    """Rows ``start`` to ``stop`` of ``width``; the methods are those of ``isthmus.core.placement.Rows``.

    Attributes:
        talk: connection to the processes with the other rows.
    """

    width: int
    start: int
    stop: int
    talk: Talk

    @classmethod
    def of(cls, width: int, talk: Talk) -> RowShard:
        """The rows of this process."""
        own = spans(width, talk.size)[talk.rank]
        return cls(width, own.start, own.stop, talk)

    def __deepcopy__(self, memo: dict[int, Any]) -> RowShard:
        return self

    @property
    def whole(self) -> bool:
        """False, even for a single process, whose checkpoints then have the format for several."""
        return False

    def fill(self, table: Tensor, draw: Fill) -> None:
        """Draw the numbers of all rows in blocks and keep those of the local rows."""
        columns, target = table.shape[1:], table.detach()
        each = math.prod(columns)
        step = max(AT_ONCE, BLOCK // max(1, each) // AT_ONCE * AT_ONCE)
        first = 0
        while first < self.width:
            last = min(first + step, self.width)
            if (self.width - last) * each < AT_ONCE:
                last = self.width
            block = torch.empty(last - first, *columns, dtype=table.dtype)
            draw(block)
            low, high = max(first, self.start), min(last, self.stop)
            if low < high:
                target[low - self.start : high - self.start] = block[low - first : high - first]
            first = last

    def table(self, draw: Fill, *columns: int) -> nn.Parameter:
        """A new table of the local rows."""
        table = torch.empty(self.stop - self.start, *columns)
        self.fill(table, draw)
        return nn.Parameter(table)

    def own(self, bags: Bags) -> Bags:
        """The entries whose items are local, with local numbers."""
        here = self._here(bags.indices)
        before = nn.functional.pad(here.cumsum(0), (1, 0))
        return Bags(bags.indices[here] - self.start, before[bags.offsets], bags.weights[here])

    def within(self, items: Int64[Tensor, " ascending"]) -> slice:
        """Which of some items, in ascending order, are local."""
        edges = torch.tensor([self.start, self.stop], device=items.device)
        low, high = torch.searchsorted(items, edges).tolist()
        return slice(low, high)

    def places(self, items: Int64[Tensor, " items"]) -> Int64[Tensor, " items"]:
        """The local numbers of local items."""
        return items - self.start

    def lookup(self, table: Tensor, ids: Int64[Tensor, "*positions"]) -> Float[Tensor, "*positions width"]:
        """The rows of some items, local or not."""
        places = (ids - self.start).clamp(0, self.stop - self.start - 1)
        return self.total(nn.functional.embedding(places, table) * self._here(ids)[..., None])

    def total(self, part: Tensor) -> Tensor:
        """The sum over all processes; its gradient is that of each part."""
        whole: Tensor = _SumOver.apply(part, self.talk)  # type: ignore[no-untyped-call]
        return whole

    def handed(self, state: Tensor) -> Tensor:
        """The same state; its gradient is the sum over all processes."""
        same: Tensor = _HandedTo.apply(state, self.talk)  # type: ignore[no-untyped-call]
        return same

    def added(self, part: Tensor) -> Tensor:
        """The sum over all processes, without a gradient."""
        return self.talk.added(part)

    def largest(self, part: Tensor) -> Tensor:
        """The elementwise maximum over all processes, without a gradient."""
        return self.talk.largest(part)

    def logits(
        self, decoded: Float[Tensor, "batch hidden"], weight: Tensor, bias: Tensor | None, columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Inner products of states with rows, plus biases, combined from all processes.

        Args:
            decoded: one state per row, the same in all processes.
            weight: the local rows.
            bias: one number per local row; None for none.
            columns: a slice of the items or some by number; None for all.

        Returns:
            The same logits in each process.
        """
        items = torch.arange(self.width, device=weight.device)
        items = items if columns is None else items[columns]
        here = self._here(items)
        own = self.places(items[here])
        part = nn.functional.linear(self.handed(decoded), weight[own], None if bias is None else bias[own])
        return self.total(part.new_zeros(len(decoded), len(items)).masked_scatter(here.expand(len(decoded), -1), part))

    def own_lists(self, lists: RowLists) -> RowLists:
        """The local items of each list, with local numbers."""
        here = self._here(lists.rows)
        counts = torch.bincount(owners(lists)[here], minlength=lists.size)
        return RowLists(lists.rows[here] - self.start, nn.functional.pad(counts.cumsum(0), (1, 0)))

    def merged(self, found: Neighbours) -> Neighbours:
        """The best results of all processes. Ties stay in ascending order of row, because the processes are in the
        order of their rows and the sort is stable."""
        rows = torch.where(found.rows < 0, found.rows, found.rows + self.start)
        every, scores = (torch.cat(self.talk.gathered(part), 1) for part in (rows, found.scores))
        best, order = scores.sort(dim=1, descending=True, stable=True)
        k = found.rows.shape[1]
        return Neighbours(every.gather(1, order[:, :k]), best[:, :k].contiguous())

    def _here(self, items: Tensor) -> Tensor:
        return (items >= self.start) & (items < self.stop)


class _SumOver(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, talk: Talk) -> Tensor:
        return talk.added(part)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _HandedTo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state: Tensor, talk: Talk) -> Tensor:
        ctx.talk = talk
        return state.view_as(state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.talk.added(grad), None
