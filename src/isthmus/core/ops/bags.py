"""The first layer for sparse rows: a weighted sum of table rows, forward and backward, without dense rows.

    out_b = Σ_{i ∈ bag b} weight_bi · table_i

The gradient of the table is the same operation on the transposed bags, Σ_b weight_bi · grad_b for each item i. It is
computed in a fixed order, without atomics, so that the same seed gives the same weights in every run.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from isthmus.batch import Bags


def bag_sum(table: Float[Tensor, "width entered"], bags: Bags) -> Float[Tensor, "batch entered"]:
    """Weighted sums of table rows, one for each bag; an empty bag gives zeros. The weights get no gradient."""
    weights = bags.weights.detach().to(table.dtype)
    if not (torch.is_grad_enabled() and table.requires_grad):
        return weighted_sums(table, bags.indices, bags.ends(), weights)[: bags.size]
    summed: Tensor = _BagSum.apply(table, bags.reweighted(weights))  # type: ignore[no-untyped-call]
    return summed


def weighted_sums(
    table: Float[Tensor, "width entered"],
    indices: Int64[Tensor, " entries"],
    offsets: Int64[Tensor, " ends"],
    weights: Float[Tensor, " entries"],
) -> Float[Tensor, "batch entered"]:
    """``embedding_bag`` in summing mode, also for input without entries, which ``embedding_bag`` rejects.

    Args:
        table: one vector for each item.
        indices: the items of all bags, concatenated.
        offsets: start of each bag and, at the end, the end of the last one.
        weights: weight of each entry.

    Returns:
        [batch, entered]; zeros for an empty bag.
    """
    if len(indices) == 0:
        return table.new_zeros(len(offsets) - 1, table.shape[1])
    return F.embedding_bag(
        indices, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )  # fmt: skip


def transposed_sums(
    grad: Float[Tensor, "batch entered"], bags: Bags, width: int
) -> Float[Tensor, "width entered"]:  # fmt: skip
    """For each item, the weighted sum of the rows of ``grad`` whose bags contain it."""
    items = torch.arange(width + 1, device=grad.device)
    offsets = torch.searchsorted(bags.items_by_item(), items)
    return weighted_sums(grad, bags.rows_by_item(), offsets, bags.weights[bags.by_item()])


class _BagSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Bags) -> Tensor:
        ctx.bags, ctx.width = bags, len(table)
        return weighted_sums(table, bags.indices, bags.ends(), bags.weights)[: bags.size]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return transposed_sums(grad.contiguous(), ctx.bags, ctx.width), None


def rows_of(
    table: Float[Tensor, "width ..."], rows: Int64[Tensor, " touched"], *, sparse: bool = False
) -> Float[Tensor, "touched ..."]:
    """The given rows of a table.

    Args:
        rows: ascending and distinct; the last one may be repeated, as by ``machine.unasked.distinct`` on an
            accelerator.
        sparse: return a sparse gradient with only these rows (a coalesced sparse tensor for a row-wise optimiser, in
            which repetitions of the last row all have its gradient) instead of a dense one.
    """
    taken: Tensor = _Rows.apply(table, rows, sparse)  # type: ignore[no-untyped-call]
    return taken


def sparse_bag_sum(table: Float[Tensor, "width entered"], bags: Bags) -> Float[Tensor, "batch entered"]:
    """``bag_sum`` with a sparse gradient: time and memory grow with the number of occurring items, not with the
    table."""
    if not (torch.is_grad_enabled() and table.requires_grad):
        return bag_sum(table, bags)
    rows, renumbered = bags.renumbered(len(table))
    return bag_sum(rows_of(table, rows, sparse=True), renumbered)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, sparse: bool) -> Tensor:
        ctx.rows, ctx.shape, ctx.sparse = rows, table.shape, sparse
        return table.index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if len(ctx.rows) and grad.device.type != "cpu":
            # An optimiser writes repeated rows several times, so they need the same gradient.
            grad = grad[torch.searchsorted(ctx.rows, ctx.rows)]
        if ctx.sparse:
            return (
                torch.sparse_coo_tensor(ctx.rows[None], grad, ctx.shape, is_coalesced=True, check_invariants=False),
                None,
                None,
            )
        return grad.new_zeros(ctx.shape).index_copy_(0, ctx.rows, grad), None, None


def unit_norm(bags: Bags) -> Bags:
    """Each row divided by its L2 norm, so that the scale does not depend on the number of interactions."""
    squares = bags.reweighted(bags.weights.square()).totals()
    norms = squares.sqrt().clamp(min=torch.finfo(squares.dtype).tiny)
    return bags.reweighted(bags.weights / norms[bags.rows()])
